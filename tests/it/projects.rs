//! Whose a port is, in the words of those who work on it: the task, the project and its branch.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json as value};

use crate::common::role::Role;
use crate::common::{
    Background, NOBODY, Run, has, in_namespace, is_root, json, json_as_nobody, owners, port, portcheck, readable_copy,
    run, skip, until_it_listens,
};

/// A user who is nobody else here.
const MALLORY: u32 = 58_232;

/// A directory for the projects of a test.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the directories around it.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// A report for somebody whose home this is.
    fn report(&self, target: &str) -> Run {
        portcheck(&[target]).env("HOME", self.0.path()).output().unwrap().into()
    }
}

/// A tool with everything that it starts. Its group ends with the test.
struct Group(Child);

impl Group {
    fn spawn(command: &mut Command) -> Self {
        Self(command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::KILL,
        );
        let _ = self.0.wait();
    }
}

/// The only process that holds a TCP port.
#[track_caller]
fn holder(answer: &Value, number: u16) -> (u32, Value) {
    let [pid] = owners(port(answer, number, "tcp"))[..] else { panic!("{answer:#}") };
    let processes = answer["processes"].as_array().unwrap();
    (pid, processes.iter().find(|process| process["pid"] == pid).unwrap().clone())
}

#[track_caller]
fn git(directory: &Path, arguments: &str) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Ada", "-c", "user.email=ada@shop.test"]).args(arguments.split(' '));
    command.current_dir(directory).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments}: {output:?}");
}

const SERVER: &str = "require('net').createServer().listen(3000, '127.0.0.1')";

#[test]
fn npm_run_dev_of_a_project_and_its_branch_are_said_first() {
    in_namespace(|| {
        if !has("npm") || !has("git") {
            return skip("no npm or git");
        }
        let home = Home::new();
        home.write("shop/package.json", r#"{"name": "shop-frontend", "scripts": {"dev": "node server.js"}}"#);
        home.write("shop/server.js", SERVER);
        git(&home.path("shop"), "init --quiet --initial-branch feature/cart");
        let mut npm = Command::new("npm");
        npm.args(["run", "dev"]).current_dir(home.path("shop")).env("npm_config_cache", home.path("cache"));
        let _npm = Group::spawn(npm.env("npm_config_update_notifier", "false"));
        until_it_listens(3000);

        let (pid, process) = holder(&json(&["3000/tcp"]), 3000);
        let project = value!({"directory": home.path("shop"), "name": "shop-frontend", "kind": "npm",
            "git_branch": "feature/cart"});
        let task = value!({"runner": "npm", "name": "dev", "file": home.path("shop/package.json")});
        assert_eq!((&process["project"], &process["task"]), (&project, &task));
        let report = home.report("3000");
        let first = format!("3000/tcp is in use: npm run dev of shop-frontend (node, pid {pid})");
        assert_eq!(report.first_line(), first, "{report:?}");
        assert!(report.stdout.contains("    project       ~/shop, branch feature/cart\n"), "{report:?}");
        assert!(!report.stdout.contains("directory"), "{report:?}");
        assert!(report.stdout.lines().count() <= 9, "{report:?}");
        // Scripts rely on the names of processes.
        let listed = run(&["--format", "csv"]);
        assert!(listed.stdout.contains(",node,"), "{listed:?}");
    });
}

#[test]
fn a_target_of_make_is_a_task() {
    in_namespace(|| {
        if !has("make") || !has("python3") {
            return skip("no make or python3");
        }
        let home = Home::new();
        home.write("shop/Makefile", "serve:\n\t@python3 -m http.server --bind 127.0.0.1 3000; true\n");
        let mut make = Command::new("make");
        let _make = Group::spawn(make.args(["-j", "2", "serve"]).current_dir(home.path("shop")));
        until_it_listens(3000);
        let (pid, process) = holder(&json(&["3000/tcp"]), 3000);
        let task = value!({"runner": "make", "name": "serve", "file": home.path("shop/Makefile")});
        assert_eq!((&process["project"], &process["task"]), (&value!(null), &task));
        let report = home.report("3000");
        assert_eq!(report.first_line(), format!("3000/tcp is in use: make serve (python3, pid {pid})"), "{report:?}");
        assert!(report.stdout.contains("    directory     ~/shop\n"), "{report:?}");
    });
}

#[test]
fn an_interpreter_is_named_and_found_by_what_it_runs() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let home = Home::new();
        home.write("manage.py", "import http.server; http.server.test(port=8001, bind='127.0.0.1')");
        let python =
            |arguments: &[&str]| Background::spawn(Command::new("python3").args(arguments).current_dir(home.path("")));
        let module = python(&["-u", "-m", "http.server", "8000", "--bind", "127.0.0.1"]);
        let script = python(&["manage.py", "runserver"]);
        until_it_listens(8000);
        until_it_listens(8001);
        let first = |target: &str| run(&[target]).first_line().to_owned();
        assert_eq!(first("8000"), format!("8000/tcp is in use: http.server (python3, pid {})", module.pid()));
        assert_eq!(first("8001"), format!("8001/tcp is in use: manage.py runserver (python3, pid {})", script.pid()));
        let found = json(&["list", "--process", "manage.py runserver"]);
        assert_eq!(found["ports"].as_array().unwrap().len(), 1, "{found:#}");
        assert_eq!(owners(port(&found, 8001, "tcp")), [script.pid()]);
        // What a script reads stays as it was.
        let answer = json(&["8000/tcp"]);
        let summary = port(&answer, 8000, "tcp")["findings"][0]["summary"].as_str().unwrap();
        assert!(summary.starts_with(&format!("python3 (pid {}) listens on", module.pid())), "{summary}");
    });
}

/// A role that listens on port 3000 and works in `directory`.
fn working_in(directory: &Path) -> Role {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.current_dir(directory);
    let mut role = Role::spawn(command, "listen 127.0.0.1:3000");
    role.go();
    role
}

#[test]
fn a_worktree_has_a_branch_of_its_own() {
    in_namespace(|| {
        if !has("git") {
            return skip("no git");
        }
        let home = Home::new();
        home.write("shop/Cargo.toml", "[package]\nname = \"shop-api\"\n");
        git(&home.path("shop"), "init --quiet --initial-branch main");
        git(&home.path("shop"), "add .");
        git(&home.path("shop"), "commit --quiet --message first");
        git(&home.path("shop"), "worktree add -q ../fix");
        let project = |directory: &str| {
            let _role = working_in(&home.path(directory));
            holder(&json(&["3000/tcp"]), 3000).1["project"].clone()
        };
        let expected = |directory: &str, branch: Value| value!({"directory": home.path(directory), "name": "shop-api", "kind": "cargo", "git_branch": branch});
        assert_eq!(project("shop"), expected("shop", value!("main")));
        assert_eq!(project("fix"), expected("fix", value!("fix")));
        git(&home.path("fix"), "checkout -q --detach");
        assert_eq!(project("fix"), expected("fix", value!(null)));
    });
}

/// None of these may hang the one who asks, fill their memory, reach their terminal or change the verdict.
#[test]
fn hostile_files_of_a_project_change_nothing() {
    in_namespace(|| {
        let home = Home::new();
        home.write("escapes/package.json", r#"{"name": "\u001b]0;owned\u0007\u001b[31mred"}"#);
        home.write("escapes/.git/HEAD", "ref: refs/heads/\u{1b}[31mred\n");
        home.write("binary/package.json", b"{\"name\": \"\xff\xfe\"}");
        home.write("large/package.json", "");
        let large = fs::File::options().write(true).open(home.path("large/package.json")).unwrap();
        large.set_len(1 << 30).unwrap();
        fs::create_dir(home.path("fifo")).unwrap();
        assert!(Command::new("mkfifo").arg(home.path("fifo/package.json")).status().unwrap().success());
        home.write("fifo/.git/x", "");
        assert!(Command::new("mkfifo").arg(home.path("fifo/.git/HEAD")).status().unwrap().success());
        home.write("red\u{1b}[31m/package.json", "{}");
        for directory in ["escapes", "binary", "large", "fifo", "red\u{1b}[31m"] {
            let role = working_in(&home.path(directory));
            let mut command = Command::new("timeout");
            command.args(["10", env!("CARGO_BIN_EXE_portcheck"), "3000/tcp", "--color", "always"]);
            let report = Run::from(command.env("HOME", home.0.path()).output().unwrap());
            assert_eq!(report.code, 1, "{directory:?}: {report:?}");
            let is_ours = |text: &str| {
                !text.contains("\u{1b}[31mred") && !text.contains("owned") && !text.contains("\u{1b}[31m/")
            };
            assert!(is_ours(&report.stdout.replace("\u{1b}[1m\u{1b}[31m", "")), "{directory:?}: {report:?}");
            let answer = json(&["3000/tcp"]);
            assert_eq!(port(&answer, 3000, "tcp")["status"], "held");
            let (pid, process) = holder(&answer, 3000);
            assert_eq!(pid, role.pid());
            let project = &process["project"];
            assert!(project.is_null() || project["git_branch"].is_null(), "{directory:?}: {project}");
            let name = project["name"].as_str().unwrap_or("none");
            assert!([directory, "none"].contains(&name), "{directory:?}: {project}");
        }
    });
}

#[test]
fn a_project_that_may_not_be_read_is_unknown() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let home = Home::new();
        fs::set_permissions(home.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Were only the inner one left out, another project would be named in its place.
        home.write("package.json", r#"{"name": "outer"}"#);
        home.write("secret/package.json", r#"{"name": "secret"}"#);
        chown(home.path("secret"), Some(MALLORY), Some(MALLORY)).unwrap();
        fs::set_permissions(home.path("secret"), fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new(readable_copy(&std::env::current_exe().unwrap()));
        command.current_dir(home.path("secret")).uid(MALLORY).gid(MALLORY);
        let mut role = Role::spawn(command, "listen 127.0.0.1:3000");
        role.go();
        let answer = json_as_nobody(&["3000/tcp"]);
        assert!(!answer.to_string().contains("secret") && !answer.to_string().contains("outer"), "{answer:#}");
        let (pid, process) = holder(&json(&["3000/tcp"]), 3000);
        assert_eq!((pid, &process["project"]["name"]), (role.pid(), &value!("secret")));

        // The same user may look at the process, but no longer at the file.
        chown(home.path("secret/package.json"), Some(0), Some(0)).unwrap();
        fs::set_permissions(home.path("secret/package.json"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(NOBODY, 65534);
        let mut command = Command::new("setpriv");
        let user = MALLORY.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        command.arg(readable_copy(Path::new(env!("CARGO_BIN_EXE_portcheck")))).args(["3000/tcp", "--json"]);
        let (_, process) = holder(&crate::common::json_of(command), 3000);
        assert_eq!((&process["project"], &process["cwd"]), (&value!(null), &value!(home.path("secret"))));
    });
}

/// In a container, the path of the working directory is that of another directory.
#[test]
fn a_directory_in_another_mount_namespace_is_not_ours() {
    in_namespace(|| {
        let home = Home::new();
        home.write("shop/package.json", r#"{"name": "outside"}"#);
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none \"$1\" && cd \"$1\" && echo '{\"name\": \"inside\"}' > package.json && shift && \
                      exec \"$@\"";
        command.args(["-m", "sh", "-c", script, "sh"]).arg(home.path("shop")).arg(std::env::current_exe().unwrap());
        let mut role = Role::spawn(command, "listen 127.0.0.1:3000");
        role.go();
        let (pid, process) = holder(&json(&["3000/tcp"]), 3000);
        assert_eq!((pid, &process["cwd"]), (role.pid(), &value!(home.path("shop"))));
        assert_eq!(process["project"], value!(null));
    });
}

/// Other ports of the same process, and its clients, end together with it.
#[test]
fn what_else_ends_is_said_before_it_ends() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let script = "import socket, sys\nopen = [socket.create_server(('127.0.0.1', port)) for port in (3000, 9229)]\n\
                      udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(('127.0.0.1', 9230))\nsys.stdin.read()";
        let mut server = Command::new("python3");
        let mut server = server.args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        until_it_listens(9229);
        let quiet = json(&["3000"]);
        let (_, process) = holder(&quiet, 3000);
        let others = value!([{"port": 9229, "protocol": "tcp"}, {"port": 9230, "protocol": "udp"}]);
        assert_eq!((&process["also_holds"], &process["clients"]), (&others, &value!(0)));
        let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect("127.0.0.1:3000").unwrap()).collect();
        let (_, process) = holder(&json(&["3000"]), 3000);
        assert_eq!((&process["also_holds"], &process["clients"]), (&others, &value!(3)));
        let also = "    also          the same process listens on 9229/tcp and 9230/udp; 3 clients are connected\n";
        assert!(run(&["3000"]).stdout.contains(also), "{:?}", run(&["3000"]));
        let plan = run(&["kill", "3000", "--dry-run"]);
        assert!(plan.stdout.contains(also), "{plan:?}");
        // A port that was asked about is no other one.
        let both = json(&["3000", "9229/tcp"]);
        assert_eq!(holder(&both, 3000).1["also_holds"], value!([{"port": 9230, "protocol": "udp"}]));
        drop(clients);
        drop(server.stdin.take());
        server.wait().unwrap();
    });
}
