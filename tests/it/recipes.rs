//! The recipes of docs/recipes.md, exactly as they are there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::role::Role;
use crate::common::server::until;
use crate::common::{Background, Run, has, in_namespace, json, owners, port, run, skip};

/// The text of a file in a recipe.
fn recipe(file: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md")).unwrap();
    let is_its = |block: &&str| block.lines().next().is_some_and(|line| line.split(' ').nth(1) == Some(file));
    let block = text.split("```").find(is_its).unwrap_or_else(|| panic!("no recipe for {file}"));
    block.split_once('\n').unwrap().1.to_owned()
}

/// A project with a server `serve PORT`, and a `smoke-test PORT` that says who listens.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = Self(directory);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portcheck"), project.path("portcheck")).unwrap();
        // The pipe by which the role is told to begin never ends, as it is also open for writing.
        let own = std::env::current_exe().unwrap();
        project.script(
            "serve",
            &format!(
                "test -p fifo || mkfifo fifo\nexec 3<>fifo\necho go >&3\n\
                 PORTCHECK_TEST_ROLE=\"listen 127.0.0.1:$1 reuse-address\" exec {} --exact role --nocapture <&3 >/dev/null",
                own.display()
            ),
        );
        project.script("smoke-test", "portcheck -q \"$1\"/tcp; test $? = 1 && echo tested");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A program that runs in the project, and finds portcheck.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap();
        command.args(arguments).current_dir(self.0.path()).env("PATH", format!("{}:{path}", self.0.path().display()));
        // npm would look for a newer version of itself, in a namespace without a network.
        command.stdin(Stdio::null()).env("NPM_CONFIG_UPDATE_NOTIFIER", "false");
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Run {
        // Into files: a process that stays in the background would keep a pipe open.
        let file = |name: &str| std::fs::File::create(self.path(name)).unwrap();
        let mut command = self.command(program, arguments);
        let status = command.stdout(file("stdout")).stderr(file("stderr")).status().unwrap();
        let read = |name: &str| std::fs::read_to_string(self.path(name)).unwrap();
        Run { code: status.code().unwrap(), stdout: read("stdout"), stderr: read("stderr") }
    }
}

/// Ends the holders of a port with portcheck itself.
fn clean_up(number: u16) {
    let end = run(&[&format!("{number}/tcp"), "--kill", "--yes", "--force", "--reuse-addr"]);
    assert_eq!(end.code, 0, "{end:?}");
}

#[test]
fn an_npm_script_frees_its_port_and_tests_its_server() {
    in_namespace(|| {
        if !has("npm") || !has("node") {
            return skip("no npm");
        }
        let project = Project::new();
        std::fs::write(project.path("package.json"), recipe("package.json")).unwrap();
        let server = "require('http').createServer((_, answer) => answer.end('served')).listen(3000)";
        std::fs::write(project.path("server.js"), server).unwrap();
        let test = "require('http').get('http://localhost:3000', answer => answer.pipe(process.stdout))";
        std::fs::write(project.path("e2e.js"), test).unwrap();

        let (stale, _) = Role::playing("listen 127.0.0.1:3000");
        let dev = Background::spawn(&mut project.command("npm", &["run", "dev"]));
        until("the new server listens", || {
            let found = owners(port(&json(&["3000/tcp", "--no-probe"]), 3000, "tcp"));
            !found.is_empty() && found != [stale.pid()]
        });
        clean_up(3000);
        drop(dev);

        let tested = project.run("npm", &["run", "--silent", "e2e"]);
        assert_eq!((tested.code, tested.stdout.ends_with("served")), (0, true), "{tested:?}");
        assert_eq!(run(&["3000/tcp", "--wait", "free", "--reuse-addr", "-q"]).code, 0);
        // A wait ends when its server dies, not when the time runs out.
        std::fs::write(project.path("server.js"), "process.exit(3)").unwrap();
        let failed = project.run("npm", &["run", "--silent", "e2e"]);
        assert_eq!((failed.code, failed.stdout.contains("has ended")), (1, true), "{failed:?}");
    });
}

#[test]
fn a_makefile_waits_and_stops() {
    in_namespace(|| {
        if !has("make") {
            return skip("no make");
        }
        let project = Project::new();
        std::fs::write(project.path("Makefile"), recipe("Makefile")).unwrap();
        let (last, _) = Role::playing("listen 127.0.0.1:8080");
        let running = Background::spawn(&mut project.command("make", &["run"]));
        drop(last);
        crate::common::until_it_listens(8080);
        let stopped = project.run("make", &["stop"]);
        assert_eq!((stopped.code, stopped.stdout.contains("8080/tcp is free")), (0, true), "{stopped:?}");
        drop(running);
        let tested = project.run("make", &["smoke"]);
        assert_eq!((tested.code, tested.stdout.ends_with("tested\n")), (0, true), "{tested:?}");
        clean_up(8080);
    });
}

#[test]
fn a_job_of_github_actions_starts_tests_and_frees() {
    in_namespace(|| {
        if !has("bash") {
            return skip("no bash, which runs the steps");
        }
        let project = Project::new();
        let steps = recipe(".github/workflows/test.yml");
        let mut ran = 0;
        for step in steps.split("- name: ").skip(1) {
            let (_, script) = step.split_once("run: ").unwrap();
            let script = script.strip_prefix("|\n").unwrap_or(script);
            let lines: Vec<&str> = script.lines().map(str::trim).collect();
            // As the runner does it.
            let done = project.run("bash", &["--noprofile", "--norc", "-eo", "pipefail", "-c", &lines.join("\n")]);
            assert_eq!(done.code, 0, "{step}: {done:?}");
            ran += 1;
        }
        assert_eq!((ran, run(&["-q", "8080/tcp", "--reuse-addr"]).code), (3, 0));
    });
}

/// The words of a list in a line such as `command: ["./serve", "8080"]`.
fn words(recipe: &str, key: &str) -> Vec<String> {
    let line = recipe.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
    serde_json::from_str(line.trim_start_matches(':').trim()).unwrap()
}

#[test]
fn an_entry_point_of_docker_compose_waits_for_the_database() {
    in_namespace(|| {
        let project = Project::new();
        project.script("migrate", "echo \"migrated $1\"");
        let text = recipe("docker-compose.yml");
        let line = [words(&text, "entrypoint"), words(&text, "command")].concat();
        // As in Docker: the name of the service leads to its container. On the first address nobody
        // listens.
        std::fs::write(project.path("hosts"), "127.0.0.9 db\n127.0.0.8 db\n").unwrap();
        let with_hosts = ["-m", "sh", "-c", "mount --bind hosts /etc/hosts && exec \"$@\"", "sh"];
        let mut command = project.command("unshare", &with_hosts);
        if !project.run("unshare", &[&with_hosts[..], &["getent", "hosts", "db"]].concat()).stdout.contains("db") {
            return skip("no name can be made up for another machine");
        }
        let app = command.args(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (_database, _) = Role::playing("listen 127.0.0.8:5432");
        let done = Run::from(app.wait_with_output().unwrap());
        assert_eq!((done.code, &*done.stdout), (0, "migrated --all\n"), "{done:?}");
    });
}

#[test]
fn a_unit_waits_before_and_after_its_start() {
    in_namespace(|| {
        let project = Project::new();
        let unit = recipe("web.service");
        let line = |key: &str, main_pid: u32| -> Vec<String> {
            let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
            let line = line.replace("/usr/local/bin/", "").replace("/srv/web/", "./");
            line.replace("$MAINPID", &main_pid.to_string()).split(' ').map(str::to_owned).collect()
        };
        let run_line = |key: &str, main_pid: u32| {
            let words = line(key, main_pid);
            let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            project.run(&project.path(&words[0]).to_string_lossy(), &arguments)
        };
        let (last, _) = Role::playing("listen 127.0.0.1:8080");
        let waits = std::thread::scope(|scope| {
            let waits = scope.spawn(|| run_line("ExecStartPre", 0));
            drop(last);
            waits.join().unwrap()
        });
        assert_eq!(waits.code, 0, "{waits:?}");
        let words = line("ExecStart", 0);
        let main = Background::spawn(&mut project.command(&words[0], &[&words[1]]));
        let up = run_line("ExecStartPost", main.pid());
        assert_eq!(up.code, 0, "{up:?}");
        // Another process on the port is no success.
        assert_eq!(run_line("ExecStartPost", 999_999).code, 1);
    });
}
