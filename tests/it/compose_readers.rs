//! Compose files as portcheck reads them by itself, and as docker compose does. scripts/test-tools
//! installs the latter.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, from_str};

use crate::common::{Run, has, in_namespace, portcheck, skip};

/// The files, a directory for each project.
fn projects() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/compose");
    let mut projects: Vec<PathBuf> = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    projects.sort();
    projects
}

/// The ports that the compose files of a project ask for, where programs are looked for in `path`,
/// and plugins of docker in `home`.
#[track_caller]
fn asked(project: &Path, path: &str, home: &Path) -> BTreeSet<String> {
    let mut command = portcheck(&["preflight", "--json", "--exit-zero"]);
    command.current_dir(project).env_clear().env("PATH", path).env("HOME", home);
    let run = Run::from(command.output().unwrap());
    assert_eq!((run.code, &*run.stderr), (0, ""), "{}: {}", project.display(), run.stdout);
    let answer: Value = from_str(&run.stdout).unwrap();
    let rows = answer["preflight"].as_array().unwrap().iter().filter(|row| row["kind"] == "compose");
    let words = |row: &Value| {
        let port = if row["range"].is_null() { &row["port"] } else { &row["range"] };
        format!("{} {} {port} {}", row["service"], row["address"], row["protocol"])
    };
    rows.map(words).collect()
}

/// A program that a test writes.
fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A home directory with this plugin of docker.
fn home_with(plugin: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    script(&home.path().join(".docker/cli-plugins/docker-compose"), plugin);
    home
}

/// A `docker` that runs the plugin, and notes that in the home directory.
const DOCKER: &str =
    "#!/bin/sh\necho \"$@\" >> \"$HOME/calls\"\nshift\nexec \"$HOME/.docker/cli-plugins/docker-compose\" \"$@\"\n";

fn path_with_docker(directory: &Path) -> String {
    script(&directory.join("docker"), DOCKER);
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap())
}

#[test]
fn both_readers_agree_on_twenty_projects() {
    in_namespace(|| {
        let compose = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/docker-compose");
        if !compose.is_file() {
            return skip("no docker compose: scripts/test-tools installs it");
        }
        let home = tempfile::tempdir().unwrap();
        let plugin = home.path().join(".docker/cli-plugins/docker-compose");
        fs::create_dir_all(plugin.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&compose, &plugin).unwrap();
        let path = path_with_docker(home.path());
        let projects = projects();
        assert_eq!(projects.len(), 20);
        for project in &projects {
            let own = asked(project, "/nonexistent", home.path());
            assert!(!own.is_empty(), "{}", project.display());
            assert_eq!(own, asked(project, &path, home.path()), "{}", project.display());
        }
        let calls = fs::read_to_string(home.path().join("calls")).unwrap();
        assert_eq!(calls.lines().count(), projects.len(), "{calls}");
    });
}

#[test]
fn docker_compose_has_the_last_word_if_it_says_something() {
    in_namespace(|| {
        if !has("sh") {
            return skip("no sh");
        }
        let project = &projects()[0];
        let answer = r#"{"services": {"other": {"ports": [{"published": "7999", "protocol": "tcp"}]}}}"#;
        for (plugin, own_word_stands) in [
            (format!("#!/bin/sh\necho '{answer}'\n"), false),
            ("#!/bin/sh\necho '{\"services\": 7}'\n".to_owned(), true),
            ("#!/bin/sh\necho 'no configuration file'; exit 14\n".to_owned(), true),
            ("#!/bin/sh\nkill -9 $$\n".to_owned(), true),
            ("not even a program".to_owned(), true),
        ] {
            let home = home_with(&plugin);
            let own = asked(project, "/nonexistent", home.path());
            let corrected = asked(project, &path_with_docker(home.path()), home.path());
            let calls = fs::read_to_string(home.path().join("calls")).unwrap();
            assert!(calls.contains("config --format json"), "{calls}");
            let expected = if own_word_stands { own } else { [r#""other" null 7999 "tcp""#.to_owned()].into() };
            assert_eq!(corrected, expected, "{plugin}");
        }
    });
}
