//! Owners are told completely: their names, since when, and who else may have the socket.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json as value};

use crate::common::pids::in_pid_namespace;
use crate::common::programs::nginx_config;
use crate::common::role::Role;
use crate::common::server::{Server, children, program, until};
use crate::common::{
    NOBODY, Run, has, in_namespace, is_root, json, json_as_nobody, owners, port, portcheck_as_nobody, run, skip,
    until_it_listens,
};

/// Regression: "held by  (pid 22741)" was said of a process that had blanked its name.
#[test]
fn a_process_without_a_name_is_called_by_its_program() {
    in_namespace(|| {
        let (role, _) = Role::playing("nameless 127.0.0.1:8080");
        let exe = std::env::current_exe().unwrap();
        let program = exe.file_name().unwrap().to_str().unwrap();
        let answer = json(&["8080/tcp"]);
        assert_eq!(answer["processes"][0]["name"], program);
        let report = run(&["8080/tcp"]);
        let holder = format!("8080/tcp is in use: {program} (pid {})", role.pid());
        assert!(report.first_line().starts_with(&holder), "{}", report.stdout);
        let named = |arguments: &[&str]| {
            let Run { stdout, stderr, .. } = run(arguments);
            assert!(stdout.contains(program) || stderr.contains(program), "{arguments:?}: {stdout}{stderr}");
        };
        let found_by_name = ["--process", program];
        for arguments in [&[][..], &["--format", "csv"], &["--format", "markdown"], &["8080", "8081"], &found_by_name] {
            named(arguments);
        }
        named(&["8080/tcp", "--kill", "--dry-run"]);
    });
}

/// Regression: it was up to a second early, as the boot time was taken in whole seconds.
#[test]
fn a_process_never_started_before_it_did() {
    in_namespace(|| {
        // Times are printed in whole milliseconds.
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let before = now - Duration::from_nanos(u64::from(since.subsec_nanos() % 1_000_000));
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        for backend in ["native", "portable"] {
            let answer = json(&["8080/tcp", "--backend", backend]);
            let started = answer["processes"][0]["started_at"].as_str().unwrap();
            let started: SystemTime = started.parse::<jiff::Timestamp>().unwrap().into();
            assert!(before <= started && started <= SystemTime::now(), "{backend}: {before:?} {started:?}");
        }
    });
}

/// An nginx whose workers run as nobody, and the directory of its files. If that is not possible,
/// says why and returns `None`.
fn nginx_of_root() -> Option<(Server, tempfile::TempDir)> {
    let (Some(nginx), true) = (program("nginx"), is_root()) else {
        skip("needs nginx, and root to be two users");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nginx.conf");
    // Only a user in the group of the workers can inspect them, too.
    std::fs::write(&file, nginx_config(8080).replace("nobody daemon", "nobody nogroup")).unwrap();
    let mut command = Command::new(nginx);
    command.arg("-p").arg(directory.path()).arg("-c").arg(file);
    let server = Server::start(command, "start worker process ", 3);
    let is_ready = |&pid: &u32| std::fs::metadata(format!("/proc/{pid}/fd")).is_ok_and(|fd| fd.uid() == NOBODY);
    until("every worker is nobody's", || children(server.pid()).iter().all(is_ready));
    Some((server, directory))
}

fn owners_of_tcp(answer: &Value) -> &Value {
    &port(answer, 8080, "tcp")["sockets"][0]["owners"]
}

/// Regression: the workers were called all the owners, and `portcheck kill` ended one after the
/// other while the master forked new ones.
#[test]
fn owners_of_whom_one_could_not_be_inspected_are_partial_and_not_ended() {
    in_namespace(|| {
        let Some((server, _directory)) = nginx_of_root() else { return };
        let workers = children(server.pid());
        let answer = json_as_nobody(&["8080/tcp"]);
        assert_eq!(owners(port(&answer, 8080, "tcp")), workers);
        let told = owners_of_tcp(&answer);
        let reason = format!("nginx (pid {}), their parent, may have it too and could not be inspected", server.pid());
        assert_eq!(
            (&told["kind"], &told["reason"], &told["via"]),
            (&value!("partial"), &value!(reason), &value!("descriptor"))
        );
        let remedies: Vec<&Value> =
            port(&answer, 8080, "tcp")["findings"][0]["remedies"].as_array().unwrap().iter().collect();
        assert!(remedies.len() == 1 && remedies[0]["command"].as_str().unwrap().starts_with("sudo "), "{remedies:?}");

        let report = Run::from(portcheck_as_nobody(&["8080/tcp"]).output().unwrap());
        assert!(report.stdout.contains("and perhaps others") && report.stdout.contains(&reason), "{}", report.stdout);
        let list = Run::from(portcheck_as_nobody(&[]).output().unwrap());
        assert!(list.stdout.contains(&format!("{} +2 +?", workers[0])), "{}", list.stdout);

        let kill = Run::from(portcheck_as_nobody(&["8080", "--kill", "--yes"]).output().unwrap());
        assert!(kill.code == 1 && kill.stdout.contains("cannot be ended alone"), "{kill:?}");
        assert_eq!(children(server.pid()), workers, "nobody was ended");
        // Root sees all of them, and ends all of them.
        assert_eq!(owners_of_tcp(&json(&["8080/tcp"]))["kind"], "known");
        assert_eq!(run(&["8080", "--kill", "--yes"]).code, 0);
    });
}

/// A user who may inspect all of them, and signal only some.
#[test]
fn workers_whose_parent_may_not_be_signalled_are_not_ended() {
    in_namespace(|| {
        let Some((server, _directory)) = nginx_of_root() else { return };
        let workers = children(server.pid());
        let program = portcheck_as_nobody(&[]);
        let inspect = "+sys_ptrace,+dac_read_search";
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", inspect]);
        command.args(["--ambient-caps", inspect]).arg(program.get_program()).args(["8080", "--kill", "--yes"]);
        let kill = Run::from(command.output().unwrap());
        let reason = format!("nginx (pid {}) is a process of user root that you may not signal", server.pid());
        assert!(kill.code == 1 && kill.stdout.contains(&reason), "{kill:?}");
        assert_eq!(kill.stdout.matches(&format!("pid {}", server.pid())).count(), 1, "it has one reason: {kill:?}");
        assert_eq!(children(server.pid()), workers, "nobody was ended");
    });
}

/// Listens, forks a child that has the socket, too, and lets nobody inspect the parent.
const PRIVATE_PARENT: &str = "
import ctypes, os, signal, socket
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
prctl = ctypes.CDLL(None).prctl
listener = socket.socket(); listener.bind(('127.0.0.1', 8080)); listener.listen()
child = os.fork()
if child == 0:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pause()
prctl(PR_SET_DUMPABLE, 0)
print('ready', flush=True)
os.waitpid(child, 0)
";

#[test]
fn only_who_may_have_the_socket_makes_owners_partial() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        // Its parent is root's and cannot be inspected, but the user nobody created the socket.
        let (role, _) = Role::playing_as_user(NOBODY, "listen 127.0.0.1:8080");
        let answer = json_as_nobody(&["8080/tcp"]);
        assert_eq!(
            (&owners_of_tcp(&answer)["kind"], owners(port(&answer, 8080, "tcp"))),
            (&value!("known"), vec![role.pid()])
        );
        assert!(answer["gaps"].as_array().unwrap().iter().any(|gap| gap["code"] == "unreadable-processes"));
        drop(role);

        let python = "/usr/bin/python3";
        if !Path::new(python).exists() {
            return skip("no python3 that everybody can run");
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(python);
        command.args(["-c", PRIVATE_PARENT]).current_dir("/");
        let server = Server::start(command, "ready", 1);
        let answer = json_as_nobody(&["8080/tcp"]);
        let told = owners_of_tcp(&answer);
        assert_eq!((&told["kind"], owners(port(&answer, 8080, "tcp"))), (&value!("partial"), children(server.pid())));
        assert!(told["reason"].as_str().unwrap().contains(&format!("(pid {}), its parent", server.pid())), "{told:#}");
    });
}

/// Regression: in a container whose first process has more rights than the caller, a server that
/// outlived the script that started it was called partial, and was not ended.
#[test]
fn who_adopts_orphans_did_not_fork_them() {
    in_pid_namespace(4000, || {
        if !is_root() || !has("python3") {
            return skip("needs root, which has capabilities to lose, and python3");
        }
        let server = "import socket, time; s = socket.create_server(('127.0.0.1', 8080)); time.sleep(60)";
        let starter = Command::new("setpriv")
            .args(["--bounding-set", "-sys_ptrace", "sh", "-c", "python3 -c \"$1\" &", "sh", server])
            .status();
        assert!(starter.unwrap().success());
        until_it_listens(8080);
        let limited = |arguments: &[&str]| {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", "-sys_ptrace"]).arg(env!("CARGO_BIN_EXE_portcheck"));
            let answer = Run::from(command.args(arguments).arg("--json").output().unwrap());
            serde_json::from_str::<Value>(&answer.stdout).unwrap()
        };
        let answer = limited(&["8080/tcp"]);
        assert_eq!(answer["gaps"][0]["code"], "unreadable-processes", "the first process cannot be inspected");
        assert_eq!(owners_of_tcp(&answer)["kind"], "known");
        let answer = limited(&["kill", "8080", "--yes"]);
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("freed"), &value!(0)), "{answer:#}");
    });
}
