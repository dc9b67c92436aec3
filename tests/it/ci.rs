//! In CI: formats that CI systems read, the GitHub action, the hook of pre-commit, and what
//! docs/ci.md says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json as value};

use crate::common::role::Role;
use crate::common::{Run, has, in_namespace, json_of, portcheck, run, skip};

/// A text file of the repository.
fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

const COMPOSE: &str = "services:\n  web:\n    ports:\n      - \"${WEB_PORT:-8080}:80\"\n      - \"8081:81\"\n  \
                       db:\n    ports:\n      - \"8081:1\"\n      - \"${DB_PORT}:2\"\n";

/// A directory with a compose file, and portcheck on the PATH.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("compose.yaml"), COMPOSE).unwrap();
    std::fs::create_dir(directory.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portcheck"), directory.path().join("bin/portcheck")).unwrap();
    directory
}

/// A shell that runs `script` in a directory, with portcheck on its PATH.
fn bash(script: &str, directory: &Path, path: &[PathBuf]) -> Command {
    let mut command = Command::new("bash");
    let others = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(path.iter().cloned().chain(std::env::split_paths(&others))).unwrap();
    command.args(["-c", script]).current_dir(directory).env("PATH", path).stdin(Stdio::null());
    for variable in ["WEB_PORT", "DB_PORT", "COMPOSE_FILE", "GITHUB_ENV"] {
        command.env_remove(variable);
    }
    command
}

#[test]
fn ports_of_manifests_in_every_format_of_ci() {
    in_namespace(|| {
        let directory = directory();
        let (_server, _) = Role::playing("listen 127.0.0.1:8080");
        let run = |format: &str| -> Run {
            let mut command = portcheck(&["preflight", "--format", format]);
            command.current_dir(directory.path()).env_remove("WEB_PORT").env_remove("DB_PORT").output().unwrap().into()
        };
        let github = run("github");
        let lines: Vec<&str> = github.stdout.lines().collect();
        assert_eq!((github.code, lines.len(), github.stderr.as_str()), (1, 4, ""), "{github:?}");
        assert!(
            lines[0]
                .starts_with("::error file=compose.yaml,line=4,col=9,title=web 8080/tcp is held::8080/tcp is in use"),
            "{lines:#?}"
        );
        assert!(lines[0].contains("%0Aset WEB_PORT="), "{lines:#?}");
        assert_eq!(
            lines[1],
            "::error file=compose.yaml,line=5,col=9,title=web 8081/tcp is asked for twice::compose.yaml:8 db asks for it, too"
        );
        let gitlab: Value = serde_json::from_str(&run("gitlab").stdout).unwrap();
        assert_eq!((gitlab.as_array().unwrap().len(), &gitlab[0]["location"]["lines"]["begin"]), (4, &value!(4)));
        let junit = run("junit").stdout;
        std::fs::write(directory.path().join("junit.xml"), &junit).unwrap();
        let count = "import sys, xml.etree.ElementTree as tree\n\
                     print(*[len(tree.parse('junit.xml').findall('.//' + name)) for name in ('testcase', 'failure', 'error')])";
        let counted = Command::new("python3").args(["-c", count]).current_dir(directory.path()).output().unwrap();
        assert_eq!(Run::from(counted).stdout, "4 3 1\n", "{junit}");

        std::fs::write(directory.path().join("bad.yaml"), "services:\n  a: b: c\n").unwrap();
        let mut command = portcheck(&["preflight", "bad.yaml", "--format", "github"]);
        let malformed = Run::from(command.current_dir(directory.path()).output().unwrap());
        assert_eq!(malformed.code, 2);
        assert!(
            malformed.stdout.starts_with("::error file=bad.yaml,line=2,col=7,title=manifest is malformed::"),
            "{malformed:?}"
        );
    });
}

/// Every command has these formats.
#[test]
fn every_command_has_the_formats_of_ci() {
    in_namespace(|| {
        let (_server, _) = Role::playing("listen 127.0.0.1:8080");
        for (arguments, code) in [
            (&["8080"][..], 1),
            (&["8081"], 0),
            (&["list"], 0),
            (&["connections"], 0),
            (&["kill", "8080/tcp", "--dry-run"], 0),
            (&["wait", "8080", "--for", "free", "--timeout", "10ms"], 124),
            (&["free"], 0),
            (&["leases"], 0),
            (&["identify", "8081"], 1),
        ] {
            let github = run(&[arguments, &["--format", "github"]].concat());
            assert_eq!(github.code, code, "{github:?}");
            let is_annotation =
                |line: &str| ["::error ", "::notice ", "::warning "].iter().any(|level| line.starts_with(level));
            assert!(!github.stdout.is_empty() && github.stdout.lines().all(is_annotation), "{github:?}");
            let level = if code == 0 { "::notice" } else { "::error" };
            assert!(github.stdout.starts_with(level), "{arguments:?}: {github:?}");
            let junit = run(&[arguments, &["--format", "junit"]].concat()).stdout;
            assert!(junit.contains("<testcase ") && junit.ends_with("</testsuites>\n"), "{junit}");
            let gitlab: Value =
                serde_json::from_str(&run(&[arguments, &["--format", "gitlab"]].concat()).stdout).unwrap();
            assert_eq!(gitlab.as_array().unwrap().is_empty(), code == 0, "{arguments:?} {gitlab:#}");
        }
    });
}

#[test]
fn an_answer_is_exit_zero_if_that_is_asked_for() {
    in_namespace(|| {
        let (_server, _) = Role::playing("listen 127.0.0.1:8080");
        let answer = json_of(portcheck(&["8080/tcp", "--json", "--exit-zero"]));
        assert_eq!((&answer["exit_code"], &answer["ports"][0]["status"]), (&value!(0), &value!("held")));
        assert_eq!(run(&["8080/tcp", "--exit-zero"]).code, 0);
        assert_eq!(run(&["wait", "8080", "--for", "free", "--timeout", "10ms", "--exit-zero"]).code, 0);
        assert_eq!(run(&["nonesuch", "--exit-zero"]).code, 2);
        assert_eq!(run(&["8080", "-q", "--exit-zero"]).code, 2);
        assert_eq!(run(&["preflight", "missing.yaml", "--exit-zero"]).code, 2);
    });
}

/// What `portcheck free` left out is told with -v only.
#[test]
fn free_ports_come_without_all_that_was_excluded() {
    in_namespace(|| {
        let short = json_of(portcheck(&["free", "--json"]));
        assert_eq!(short["free"]["choice"]["excluded"], value!([]));
        assert!(short.to_string().len() < 4000, "{}", short.to_string().len());
        let all = json_of(portcheck(&["free", "--json", "-v"]));
        assert!(!all["free"]["choice"]["excluded"].as_array().unwrap().is_empty());
    });
}

/// The lines of a block below `key: |` in a YAML file, for each that there is.
fn blocks(text: &str, key: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() != format!("{key}: |") {
            continue;
        }
        let indent = line.len() - line.trim_start().len() + 2;
        let mut block = String::new();
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with(&" ".repeat(indent))) {
            block += line.get(indent..).unwrap_or_default();
            block.push('\n');
        }
        blocks.push(block);
    }
    blocks
}

/// An archive as scripts/release makes it. `PORTCHECK_ARCHIVES` names a directory with a real one.
fn archives(into: &Path) -> PathBuf {
    if let Some(real) = std::env::var_os("PORTCHECK_ARCHIVES") {
        return real.into();
    }
    let name = format!("portcheck-{}-x86_64-unknown-linux-musl", env!("CARGO_PKG_VERSION"));
    let folder = into.join(&name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_portcheck"), folder.join("portcheck")).unwrap();
    let script = format!("tar -czf {name}.tar.gz {name} && rm -r {name} && sha256sum portcheck-* >SHA256SUMS");
    assert!(Command::new("bash").args(["-c", &script]).current_dir(into).status().unwrap().success());
    into.to_owned()
}

/// The steps of the action, run one after the other as GitHub does, in a clean directory.
#[test]
fn the_steps_of_the_action_install_check_and_annotate() {
    in_namespace(|| {
        let steps = blocks(&file("action.yml"), "run");
        let [install, check] = &steps[..] else { panic!("{steps:#?}") };
        let version = concat!("default: ", env!("CARGO_PKG_VERSION"));
        assert!(file("action.yml").contains(version), "it installs another version");
        let (runner, project) = (tempfile::tempdir().unwrap(), directory());
        let path = |name: &str| runner.path().join(name);
        std::fs::create_dir(path("archives")).unwrap();
        let archives = archives(&path("archives"));
        std::fs::remove_dir_all(project.path().join("bin")).unwrap();
        let step = |script: &str, directories: &[PathBuf], variables: &[(&str, &str)]| -> Run {
            let mut command = bash(script, project.path(), directories);
            for (name, file) in
                [("GITHUB_PATH", "path"), ("GITHUB_OUTPUT", "output"), ("GITHUB_STEP_SUMMARY", "summary")]
            {
                command.env(name, path(file));
            }
            command.env("RUNNER_TEMP", runner.path()).env("RUNNER_OS", "Linux").env("RUNNER_ARCH", "X64");
            command.env("VERSION", env!("CARGO_PKG_VERSION")).env("ARCHIVES", &archives).env("SHA256", "");
            command.env("RELEASES", "https://127.0.0.1:1/none").env("FILES", "compose.yaml\n").env("FAIL", "true");
            command.envs(variables.iter().copied());
            command.output().unwrap().into()
        };

        let wrong = step(install, &[], &[("SHA256", "0000")]);
        assert!(wrong.code == 1 && wrong.stdout.contains("another checksum") && !path("path").exists(), "{wrong:?}");
        assert_eq!(step(install, &[], &[("RUNNER_OS", "Windows")]).code, 1);
        let installed = step(install, &[], &[]);
        assert_eq!((installed.code, installed.stdout.as_str(), installed.stderr.as_str()), (0, "", ""));
        let directories: Vec<PathBuf> =
            std::fs::read_to_string(path("path")).unwrap().lines().map(PathBuf::from).collect();
        assert!(directories[0].join("portcheck").is_file());

        let (_server, _) = Role::playing("listen 127.0.0.1:8080");
        let checked = step(check, &directories, &[]);
        assert_eq!(checked.code, 1, "{checked:?}");
        assert!(checked.stdout.starts_with("::error file=compose.yaml,line=4,"), "{checked:?}");
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        assert_eq!(read("output"), "exit-code=1\n");
        assert!(
            read("summary").contains("| held ") && read("summary").contains("| compose.yaml:4 web |"),
            "{}",
            read("summary")
        );
        let lenient = step(check, &directories, &[("FAIL", "false"), ("FILES", "")]);
        assert_eq!(lenient.code, 0, "{lenient:?}");
    });
}

/// The hook names the files that it reads, and its entry reads them.
#[test]
fn the_hook_of_pre_commit_checks_manifests() {
    let hook = file(".pre-commit-hooks.yaml");
    let key = |name: &str| hook.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim().to_owned();
    let script = "import re, sys\nprint(*[name for name in sys.argv[2:] if re.search(sys.argv[1], name)], sep='\\n')";
    let names = [
        "compose.yaml",
        "a/docker-compose.prod.yml",
        "Procfile",
        "x/package.json",
        "src/main.rs",
        "web.socket",
        "decompose.yaml",
    ];
    let found = Command::new("python3").args(["-c", script, &key("files:")]).args(names).output().unwrap();
    let found = Run::from(found).stdout;
    assert_eq!(
        found.lines().collect::<Vec<_>>(),
        ["compose.yaml", "a/docker-compose.prod.yml", "Procfile", "x/package.json", "web.socket"]
    );
    in_namespace(|| {
        let directory = directory();
        let script = format!("{} compose.yaml --exit-zero", key("entry:"));
        let run = Run::from(bash(&script, directory.path(), &[directory.path().join("bin")]).output().unwrap());
        assert!(run.code == 0 && run.stdout.contains("collision"), "{run:?}");
    });
}

/// The lines of docs/ci.md, exactly as they are there.
#[test]
fn the_lines_for_jq_say_what_they_promise() {
    in_namespace(|| {
        if !has("jq") {
            return skip("no jq");
        }
        let directory = directory();
        let (server, _) = Role::playing("listen 127.0.0.1:8080");
        let text = file("docs/ci.md");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("| jq ")).collect();
        let pid = server.pid().to_string();
        let expected: [&dyn Fn(&str) -> bool; 12] = [
            &|said| said == "false\n",
            &|said| said.contains("listens on 127.0.0.1:8080"),
            &|said| said == format!("{pid}\n"),
            &|said| said.ends_with("kill 8080/tcp\n"),
            &|said| said.is_empty(),
            &|said| !said.is_empty(),
            &|said| said.trim().parse::<u16>().is_ok(),
            &|said| said == "compose.yaml:4 8080\ncompose.yaml:5 8081\ncompose.yaml:8 8081\n",
            &|said| said.starts_with("WEB_PORT=80"),
            &|said| said == "DB_PORT has no value\n",
            &|said| said == "{\"collision\":2,\"held\":1,\"unresolved\":1}\n",
            &|said| said.starts_with("web: 8080/tcp is in use"),
        ];
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, is_expected) in lines.iter().zip(expected) {
            let run = Run::from(bash(line, directory.path(), &[directory.path().join("bin")]).output().unwrap());
            assert!(run.code == 0 && run.stderr.is_empty() && is_expected(&run.stdout), "{line}: {run:?}");
        }
    });
}
