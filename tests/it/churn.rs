//! Sockets and processes that come and go during a look: no panic, no error, no wrong name.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::role::Role;
use crate::common::server::Server;
use crate::common::{Background, in_namespace, is_root, json, owners, portcheck, portcheck_as_nobody, skip};

#[test]
fn a_thousand_looks_at_fifty_processes_that_never_rest() {
    in_namespace(|| {
        const FIRST: u16 = 10_000;
        // Each process has a hundred ports of its own, so the port tells which process must be
        // named.
        let churners: Vec<Role> = (0..50).map(|n| Role::playing(&format!("churn {}", FIRST + n * 100)).0).collect();
        let churner_of = |port: u64| churners[usize::try_from((port - u64::from(FIRST)) / 100).unwrap()].pid();

        let (mut seen, mut unowned) = (0, 0);
        for look in 0..1000 {
            let target = format!("{}", FIRST + (look * 7) % 5000);
            let arguments: &[&str] = match look % 4 {
                0 => &[],
                1 => &[&target],
                2 => &["--all"],
                _ => &["10000-10199/tcp"],
            };
            // Checking the JSON against the schema takes longer than the look itself. Other tests
            // do that.
            let output = portcheck(&[arguments, &["--format", "ndjson"]].concat()).output().unwrap();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}: {output:?}");
            assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
            for line in output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let port: Value = serde_json::from_slice(line).unwrap();
                for pid in owners(&port) {
                    assert_eq!(pid, churner_of(port["port"].as_u64().unwrap()), "{port:#}");
                    seen += 1;
                }
                let sockets = port["sockets"].as_array().unwrap();
                unowned += sockets.iter().filter(|socket| socket["owners"]["kind"] == "kernel").count();
            }
        }
        assert!(seen > 1000, "only {seen} sockets were caught in the act");
        assert_eq!(unowned, 0, "a socket that was closed meanwhile is nobody's, and certainly not the kernel's");
    });
}

#[test]
fn processes_that_end_while_they_are_looked_at() {
    in_namespace(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        // A shell that inherits the listener. Its children inherit it, too, and end at once.
        let shell = Background::spawn(Command::new("sh").args(["-c", "while :; do /bin/true; done"]));
        for _ in 0..100 {
            let answer = json(&["8080/tcp"]);
            let pids = owners(&answer["ports"][0]);
            assert!(pids.contains(&std::process::id()) && pids.contains(&shell.pid()), "{answer:#}");
        }
    });
}

/// Forks a child that listens on a port and ends, again and again.
const MAYFLIES: &str = "
import os, signal, socket, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.nice(5)
first, count = int(sys.argv[1]), 0
print('ready', flush=True)
while True:
    count += 1
    if os.fork() == 0:
        address = ('127.0.0.1', first + count % 100)
        try:
            listener = socket.socket(); listener.bind(address); listener.listen()
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(address)
        except OSError:
            pass
        os._exit(0)
";

/// Regression: one look in ten said `hidden-owner` for a process of the same user that had just
/// ended.
#[test]
fn who_has_just_ended_is_not_called_hidden() {
    in_namespace(|| {
        let python = "/usr/bin/python3";
        if !is_root() || !Path::new(python).exists() {
            return skip("needs root to be an ordinary user beside others, and a python3 for everybody");
        }
        let mayflies = |first: u16| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", python, "-c", MAYFLIES]);
            command.arg(first.to_string()).current_dir("/");
            Server::start(command, "ready", 1)
        };
        let _churn = [mayflies(10_000), mayflies(10_100), mayflies(10_200), mayflies(10_300)];
        for look in 0..100 {
            let target = (10_000 + look * 7 % 400).to_string();
            let arguments: &[&str] = match look % 4 {
                0 => &[],
                1 => &[&target],
                2 => &["--all"],
                _ => &["10000-10199"],
            };
            let output = portcheck_as_nobody(&[arguments, &["--format", "ndjson"]].concat()).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            for line in text.lines().filter(|line| line.contains("hidden-owner")) {
                let port: Value = serde_json::from_str(line).unwrap();
                assert!(!(10_000..10_400).contains(&port["port"].as_u64().unwrap()), "{arguments:?}: {port:#}");
            }
        }
    });
}
