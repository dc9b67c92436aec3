//! Owners told completely: by a name, since when, and without leaving out who else may have the socket.

use std::time::SystemTime;

use crate::common::role::Role;
use crate::common::{Run, in_namespace, json, run};

/// "held by  (pid 22741)" was said of a process that had blanked its name.
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

/// It was up to a second early, as the boot time was taken in whole seconds.
#[test]
fn a_process_never_started_before_it_did() {
    in_namespace(|| {
        let before = SystemTime::now();
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        for backend in ["native", "portable"] {
            let answer = json(&["8080/tcp", "--backend", backend]);
            let started = answer["processes"][0]["started_at"].as_str().unwrap();
            let started: SystemTime = started.parse::<jiff::Timestamp>().unwrap().into();
            assert!(before <= started && started <= SystemTime::now(), "{backend}: {before:?} {started:?}");
        }
    });
}
