//! The command line itself: mistakes, exit codes, colours, pipes and full disks.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::common::{in_namespace, is_root, json, json_of, owners, port, portcheck, run, skip};

#[test]
fn a_mistake_is_one_line_and_exit_2() {
    let cases: [(&[&str], &str); 14] = [
        (&["99999"], "ports run from 1 to 65535"),
        (&["0"], "ports run from 1 to 65535"),
        (&["3010-3000"], "write 3000-3010"),
        (&["80/sctp"], "/tcp and /udp"),
        (&["example.org:80"], "this machine only"),
        (&["::1"], "[::1]:8080"),
        (&["postgresqk"], "did you mean postgresql?"),
        (&[""], "give a port"),
        (&["--nonsense"], "--nonsense"),
        (&["--format", "xml"], "xml"),
        (&["80", "--pid", "1"], "--pid"),
        (&["--explain", "--format", "csv"], "--format does not go with portcheck explain"),
        (&["53/udp", "--tcp"], "--tcp leaves it out"),
        (&["-5"], "-5"),
    ];
    for (arguments, hint) in cases {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{arguments:?}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.starts_with("portcheck: ") && run.stderr.contains(hint), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn a_mistake_with_json_gets_the_envelope() {
    for arguments in [&["99999"][..], &["--nonsense"], &["example.org:80", "22"], &["--explain"]] {
        let answer = json(arguments);
        assert_eq!((&answer["exit_code"], &answer["error"]["kind"]), (&2.into(), &"usage".into()));
        assert_eq!(answer["ports"].as_array().unwrap().len(), 0);
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(json_of(portcheck(&["--format=json", "99999"]))["exit_code"], 2);
}

#[test]
fn hostile_arguments_are_shown_escaped() {
    let run = run(&["\x1b]0;title\x07"]);
    assert!(run.code == 2 && !run.stderr.contains('\x1b') && run.stderr.contains("\\u{1b}"), "{run:?}");
}

#[test]
fn help_and_version_are_answers() {
    for arguments in [["--help"], ["-h"], ["--version"]] {
        let run = run(&arguments);
        assert_eq!((run.code, &*run.stderr), (0, ""));
        assert!(run.stdout.starts_with("portcheck") || run.stdout.starts_with("Tells"), "{}", run.stdout);
    }
    let first = run(&["--help"]).stdout;
    for expected in ["Commands:", "Common options:", "Examples:", "Exit codes:"] {
        assert!(first.contains(expected), "{expected}");
    }
    let check = run(&["8080", "--help"]).stdout;
    for expected in ["Selecting:", "Output:", "How to look:"] {
        assert!(check.contains(expected), "{expected}");
    }
}

#[test]
fn quiet_says_it_by_the_exit_code_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let held = run(&["-q", &port]);
    assert_eq!((held.code, &*held.stdout, &*held.stderr), (1, "", ""));
}

#[test]
fn colour_is_for_terminals_or_on_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    assert!(!run(&[&port]).stdout.contains('\x1b'));
    assert!(run(&[&port, "--color", "always"]).stdout.contains('\x1b'));
    assert!(!run(&[&port, "--color", "always", "--json"]).stdout.contains('\x1b'));
    // On a terminal, which `script` provides.
    if !crate::common::has("script") {
        return crate::common::skip("no script(1) to make a terminal");
    }
    let on_terminal = |setting: &str| {
        let line = format!("{setting} {} {port}", env!("CARGO_BIN_EXE_portcheck"));
        let output =
            std::process::Command::new("script").args(["-qec", &line, "/dev/null"]).env_remove("NO_COLOR").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(on_terminal("TERM=xterm").contains('\x1b'));
    assert!(!on_terminal("TERM=xterm NO_COLOR=1").contains('\x1b'));
}

#[test]
fn help_has_colour_as_the_command_line_says() {
    // Regression: help was printed before the option was read, on either side of it.
    for arguments in
        [["--color", "always", "--help"], ["--help", "--color", "always"], ["--format=csv", "--color=always", "-h"]]
    {
        assert!(run(&arguments).stdout.contains('\x1b'), "{arguments:?}");
    }
    assert!(!run(&["--help"]).stdout.contains('\x1b'));
    if !crate::common::has("script") {
        return crate::common::skip("no script(1) to make a terminal");
    }
    let on_terminal = |arguments: &str| {
        let line = format!("TERM=xterm {} {arguments}", env!("CARGO_BIN_EXE_portcheck"));
        let output =
            std::process::Command::new("script").args(["-qec", &line, "/dev/null"]).env_remove("NO_COLOR").output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(on_terminal("--help").contains('\x1b'));
    for arguments in ["--help --color never", "--color never --help", "-h --color=never"] {
        assert!(!on_terminal(arguments).contains('\x1b'), "{arguments}");
    }
}

#[test]
fn a_reader_that_hangs_up_changes_nothing() {
    let mut child = portcheck(&["1-65535", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut some = [0; 100];
    stdout.read_exact(&mut some).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().unwrap();
    assert!(code == 0 || code == 1, "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_full_disk_is_a_failure_that_is_said() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return crate::common::skip("no /dev/full");
    };
    for arguments in [&["22"][..], &["--json"], &["--help"]] {
        let output = portcheck(arguments).stdout(full.try_clone().unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{arguments:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("cannot write the answer") && stderr.lines().count() == 1, "{stderr}");
    }
}

/// Each command by its word, and by its older option: the same answer, except for ages and pids.
#[test]
fn both_forms_of_a_command_are_the_same() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let forms: [(&[&str], &[&str]); 10] = [
            (&["8080"], &["check", "8080"]),
            (&[], &["list"]),
            (&["8080", "--kill", "--dry-run"], &["kill", "8080", "--dry-run"]),
            (&["8081", "--kill", "--yes"], &["kill", "8081", "--yes"]),
            (&["8080", "--wait", "listening"], &["wait", "8080", "--for", "listening"]),
            (&["8080", "--wait=free", "--timeout", "10ms"], &["wait", "--for=free", "8080", "--timeout", "10ms"]),
            (&["--free", "--prefer", "3000", "--ttl", "0"], &["free", "--prefer", "3000", "--ttl", "0"]),
            (&["--leases"], &["leases"]),
            (&["--release", "8080"], &["release", "8080"]),
            (&["--explain", "free"], &["explain", "free"]),
        ];
        for (old, new) in forms {
            let (old, new) = (run(old), run(new));
            assert_eq!(old.code, new.code, "{old:?} {new:?}");
            // Times differ, and so does the command that a hint repeats for root.
            let essence = |text: &str| {
                let text = text.replace("portcheck check ", "portcheck ").replace("portcheck list", "portcheck");
                text.replace(|letter: char| letter.is_ascii_digit(), "")
            };
            assert_eq!(essence(&old.stdout), essence(&new.stdout));
            assert_eq!(essence(&old.stderr), essence(&new.stderr));
        }
        let answer = json(&["kill", "8080", "--dry-run"]);
        assert_eq!((&answer["command"], &answer["exit_code"]), (&"kill".into(), &1.into()));
    });
}

#[test]
fn habits_of_other_tools_get_the_right_command() {
    for (arguments, right) in [
        (&["-p", "8080"][..], "portcheck 8080"),
        (&["--port", "8080"], "portcheck 8080"),
        (&["tcp/8080"], "portcheck 8080/tcp"),
        (&["-i", ":8080"], "portcheck 8080"),
        (&["-tulpn"], "portcheck list"),
        (&["-k", "8080"], "portcheck kill 8080"),
        (&["8080", "kill"], "portcheck kill 8080"),
        (&["3000:3005"], "portcheck 3000-3005"),
        (&["8k"], "portcheck 8000"),
        (&["tcp:8123", "--wait", "listening"], "portcheck 8123/tcp --wait listening"),
        (&["--free", "9000"], "portcheck free --prefer 9000"),
        (&["lst"], "portcheck list"),
    ] {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout, run.stderr.lines().count()), (2, "", 1), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(right), "{arguments:?}: {}", run.stderr);
    }
}

/// Regression: only localhost and the name of the machine were known.
#[test]
fn a_name_of_the_hosts_file_is_this_machine() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to have a hosts file of its own");
        }
        let directory = tempfile::tempdir().unwrap();
        let hosts = directory.path().join("hosts");
        std::fs::write(&hosts, "127.0.0.1 myapp.test\n192.0.2.1 elsewhere.test\n").unwrap();
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let with_hosts = |target: &str| {
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"", "sh"]);
            command.arg(&hosts).args([env!("CARGO_BIN_EXE_portcheck"), target, "--json"]);
            json_of(command)
        };
        for target in ["myapp.test:8080/tcp", "http://myapp.test:8080/path"] {
            let answer = with_hosts(target);
            assert_eq!(owners(port(&answer, 8080, "tcp")), [std::process::id()], "{target}");
        }
        assert_eq!(with_hosts("elsewhere.test:8080")["error"]["kind"], "usage");
    });
}
