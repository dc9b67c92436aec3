//! Sockets and processes that come and go while they are looked at: no panic, no error, no wrong name.

use std::process::Command;

use crate::common::role::Role;
use crate::common::{Background, in_namespace, json, owners, portcheck};

#[test]
fn a_thousand_looks_at_fifty_processes_that_never_rest() {
    in_namespace(|| {
        const FIRST: u16 = 10_000;
        // Each has a hundred ports for itself, so that its port tells which process must be named.
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
            // Checking the JSON against the schema takes longer than the look itself: that is done in tests of one look.
            let output = portcheck(&[arguments, &["--format", "ndjson"]].concat()).output().unwrap();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}: {output:?}");
            assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
            for line in output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let port: serde_json::Value = serde_json::from_slice(line).unwrap();
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
        // A shell that inherits the listener, and whose children do too and end at once.
        let shell = Background::spawn(Command::new("sh").args(["-c", "while :; do /bin/true; done"]));
        for _ in 0..100 {
            let answer = json(&["8080/tcp"]);
            let pids = owners(&answer["ports"][0]);
            assert!(pids.contains(&std::process::id()) && pids.contains(&shell.pid()), "{answer:#}");
        }
    });
}
