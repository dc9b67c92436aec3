//! `portcheck completions`: real shells on a terminal complete words with what is there.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::terminal::Terminal;
use crate::common::{Background, Run, has, in_namespace, is_root, run, skip, until_it_listens};

/// A name that each of the shells would act upon.
const HOSTILE: &str = "
import signal, socket
listeners = [socket.create_server(('127.0.0.1', port)) for port in (23910, 23911)]
open('/proc/self/comm', 'w').write('$(>pwn)%F{1}:`')
signal.pause()
";

/// A shell in `home` that has read its script and prints `ready` before each line.
fn start(shell: &str, home: &Path) -> Option<Terminal> {
    if !has(shell) {
        skip(&format!("no {shell}"));
        return None;
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_portcheck")).parent().unwrap().display();
    let line = match shell {
        "bash" => "bash --noprofile --rcfile rc -i",
        "zsh" => "env ZDOTDIR=. zsh -d -i",
        _ => "fish --private --init-command 'source rc'",
    };
    let rc = match shell {
        "bash" => "PS1='ready '; bind 'set enable-bracketed-paste off'; eval \"$(portcheck completions bash)\"",
        "zsh" => {
            "PS1='ready '; unset zle_bracketed_paste; autoload -Uz compinit; compinit -D -u\n\
             source <(portcheck completions zsh)"
        }
        _ => "function fish_prompt; echo 'ready '; end; portcheck completions fish | source",
    };
    std::fs::write(home.join(if shell == "zsh" { ".zshrc" } else { "rc" }), rc).unwrap();
    let home = home.display();
    Terminal::running(&format!(
        "cd {home}; stty rows 50 cols 150; HOME={home} XDG_CONFIG_HOME={home} XDG_DATA_HOME={home} TERM=xterm \
         PATH={bin}:$PATH timeout --foreground --signal=KILL 20 {line}"
    ))
}

fn completes(shell: &str) {
    let _server = Background::spawn(Command::new("python3").args(["-c", HOSTILE]));
    until_it_listens(23911);
    let home = tempfile::tempdir().unwrap();
    let Some(mut terminal) = start(shell, home.path()) else { return };
    terminal.expect("ready");
    terminal.type_bytes(b"portcheck kill 2391\t\t");
    terminal.expect("$(>pwn)%F{1}:`, pid ");
    // Ctrl-U empties the line.
    terminal.type_bytes(b"\x15portcheck explain time-w\t\n");
    terminal.expect("Why it happens");
    assert!(!home.path().join("pwn").exists(), "{}", terminal.said);
}

#[test]
fn bash_completes() {
    in_namespace(|| completes("bash"));
}

#[test]
fn zsh_completes() {
    in_namespace(|| completes("zsh"));
}

#[test]
fn fish_completes() {
    in_namespace(|| completes("fish"));
}

/// What the script of fish asks, and the answer: candidates with their descriptions.
fn offered(words: &[&str]) -> Vec<(String, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcheck"));
    command.arg("--").arg("portcheck").args(words).env("PORTCHECK_COMPLETE", "fish");
    let answer = Run::from(command.output().unwrap());
    assert_eq!((answer.code, &*answer.stderr), (0, ""));
    let pair = |line: &str| line.split_once('\t').map_or_else(|| (line.to_owned(), String::new()), own);
    answer.stdout.lines().map(pair).collect()
}

fn own((value, about): (&str, &str)) -> (String, String) {
    (value.to_owned(), about.to_owned())
}

#[test]
fn words_are_completed_with_what_is_there() {
    in_namespace(|| {
        let server = Background::spawn(Command::new("python3").args(["-m", "http.server", "23912"]));
        let _hostile = Background::spawn(Command::new("python3").args(["-c", HOSTILE]));
        until_it_listens(23912);
        until_it_listens(23911);
        let pid = server.pid().to_string();
        let has = |words: &[&str], value: &str, about: &str| {
            let found = offered(words);
            let fits = |(offered, described): &(String, String)| offered == value && described.contains(about);
            assert!(found.iter().any(fits), "{words:?}: {found:?}");
            found
        };
        let about = format!("python3, pid {pid}");
        let first = has(&[""], "23912", &about);
        assert!(first.iter().any(|(value, _)| value == "kill"), "{first:?}");
        has(&["kill", ""], "23912", &about);
        has(&["239"], "23912", &about);
        has(&["--pid", ""], &pid, "http.server");
        let names = has(&["list", "--process", ""], "python3", "http.server");
        assert!(names.iter().all(|(name, _)| !name.contains("pwn")), "{names:?}");
        has(&["--user", ""], if is_root() { "root" } else { "" }, "");
        has(&["explain", "time"], "time-wait", "");
        let start = Instant::now();
        offered(&["kill", ""]);
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    });
}

#[test]
fn a_namespace_is_offered_by_its_name() {
    in_namespace(|| {
        if !is_root() || !has("ip") {
            return skip("needs root and ip(8) to make a namespace");
        }
        let name = format!("portcheck-{}", std::process::id());
        let ip = |action: &str| Command::new("ip").args(["netns", action, &name]).status().unwrap().success();
        assert!(ip("add"));
        let expected = [(name.clone(), "network namespace".to_owned())];
        // On a busy machine nobody is kept waiting for names, and none is offered.
        let is_offered = (0..100).any(|_| offered(&["--in", &name]) == expected);
        assert!(ip("del"));
        assert!(is_offered);
    });
}

#[test]
fn a_script_is_printed_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]);
        assert!(script.code == 0 && script.stdout.contains("PORTCHECK_COMPLETE"), "{script:?}");
    }
    for wrong in [&["completions"][..], &["completions", "tcsh"]] {
        let run = run(wrong);
        assert_eq!((run.code, run.stderr.lines().count()), (2, 1), "{run:?}");
    }
}
