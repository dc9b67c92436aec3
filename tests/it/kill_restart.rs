//! `portcheck kill` if something starts the holder again that is no known supervisor. Exit code 0
//! is given only if it has not done so within five seconds.

use std::process::Command;

use crate::common::terminal::Terminal;
use crate::common::{Background, has, in_namespace, json, skip, until_it_listens};
use serde_json::{Value, json as value};

/// A server that starts quickly, as a program for a shell.
const SERVE: &str =
    "python3 -c 'import signal, socket; s = socket.create_server((\"127.0.0.1\", 8080)); signal.pause()'";

/// Runs a script from a file. Its command line does not show what the script does.
fn script(interpreter: &str, text: &str) -> (tempfile::TempDir, Background) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    std::fs::write(&path, text).unwrap();
    let running = Background::spawn(Command::new(interpreter).arg(&path));
    (directory, running)
}

fn killed() -> Value {
    until_it_listens(8080);
    json(&["kill", "8080/tcp", "--yes"])
}

#[track_caller]
fn is_caught(answer: &Value, starter: u32) {
    assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("taken-again"), &value!(1)), "{answer:#}");
    let by = answer["kill"]["taken_by"][0]["started_by"].as_str().unwrap();
    assert!(by.contains(&format!("(pid {starter})")), "{answer:#}");
}

/// The port is free, and nothing waited for the five seconds.
#[track_caller]
fn is_quick(answer: &Value) {
    assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("freed"), &value!(0)), "{answer:#}");
    let watched = answer["kill"]["watched_ms"].as_u64().unwrap();
    assert!((300..5000).contains(&watched), "{answer:#}");
}

/// Regression: such a port was called free, as it was so 300 ms later.
#[test]
fn a_script_that_starts_it_again_after_two_seconds_is_caught() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let (_directory, shell) = script("sh", &format!("while :; do {SERVE}; sleep 2; done"));
        is_caught(&killed(), shell.pid());
        drop(shell);
        json(&["kill", "8080/tcp", "--yes"]);

        let program = format!(
            "import subprocess, time\nwhile True:\n  subprocess.call(r'''{SERVE} ''', shell=True)\n  time.sleep(2)"
        );
        let (_directory, kubelet) = script("python3", &program);
        is_caught(&killed(), kubelet.pid());
        drop(kubelet);
        json(&["kill", "8080/tcp", "--yes"]);
    });
}

#[test]
fn who_ends_with_the_server_does_not_start_it_again() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let (_directory, _shell) = script("sh", &format!("{SERVE}\n:"));
        is_quick(&killed());
    });
}

/// It still runs, and may start the holder again at any time.
#[test]
fn who_started_it_and_lives_on_is_named() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let (_directory, shell) = script("sh", &format!("{SERVE}\nsleep 60\n:"));
        let answer = killed();
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("freed"), &value!(0)), "{answer:#}");
        assert!(answer["kill"]["watched_ms"].as_u64().unwrap() >= 5000, "{answer:#}");
        let starter = &answer["kill"]["may_start_again"][0];
        assert_eq!((&starter["pid"], &starter["name"]), (&value!(shell.pid()), &value!("sh")));
    });
}

/// An interactive shell is no supervisor, unless somebody types a loop into it.
#[test]
fn a_shell_on_a_terminal_counts_only_if_it_goes_on() {
    in_namespace(|| {
        if !has("python3") || !has("bash") {
            return skip("no python3, or no bash");
        }
        let Some(mut shell) = Terminal::running("bash --norc -i") else { return };
        shell.type_line(SERVE);
        is_quick(&killed());

        shell.type_line(&format!("{SERVE} & sleep 60"));
        is_quick(&killed());
        shell.type_bytes(&[3]);

        shell.type_line(&format!("while :; do {SERVE}; sleep 1; done; echo the loop is o''ver"));
        let answer = killed();
        assert_eq!(answer["kill"]["outcome"], "taken-again", "{answer:#}");
    });
}
