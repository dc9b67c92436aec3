//! `portcheck kill`: which processes are ended, which never are, and that the port is free
//! afterwards.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::role::{Role, open};
use crate::common::server::until;
use crate::common::terminal::Terminal;
use crate::common::{
    Background, Run, codes, in_namespace, is_root, json, json_of, numbers, port, portcheck, portcheck_as_nobody, run,
    skip,
};
use serde_json::{Value, json as value};

/// The steps of a kill, as `(pid, signal, result)`.
pub fn steps(answer: &Value) -> Vec<(u64, &str, &str)> {
    let steps = answer["kill"]["steps"].as_array().unwrap();
    steps
        .iter()
        .filter(|step| step["action"] == "signal")
        .map(|step| {
            let pid = step["pid"].as_u64().unwrap();
            assert!(step["elapsed_ms"].is_u64() && step["name"].is_string(), "{step}");
            (pid, step["signal"].as_str().unwrap(), step["result"].as_str().unwrap())
        })
        .collect()
}

pub fn outcome(answer: &Value) -> (&Value, &Value) {
    (&answer["kill"]["outcome"], &answer["exit_code"])
}

pub fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A role that a shell starts after `setting`.
fn playing_after(setting: &str, part: &str) -> Role {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{setting}; exec \"$@\""), "sh"]).arg(std::env::current_exe().unwrap());
    let mut role = Role::spawn(command, part);
    role.go();
    role
}

#[test]
fn a_listener_is_ended_and_the_port_verified() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let answer = json(&["8080", "--kill", "--yes"]);
        assert_eq!(outcome(&answer), (&value!("freed"), &value!(0)));
        assert_eq!(steps(&answer), [(role.pid().into(), "TERM", "done")]);
        assert_eq!(answer["command"], "kill");
        let holder = &answer["kill"]["holders"][0];
        assert_eq!(
            (&holder["pid"], &holder["ports"]),
            (&value!(role.pid()), &value!([{"port": 8080, "protocol": "tcp"}]))
        );
        assert!(answer["ports"].as_array().unwrap().iter().all(|port| port["status"] == "free"));
        assert!(!is_running(role.pid()));

        let answer = json(&["8080", "--kill"]);
        assert_eq!((outcome(&answer), steps(&answer)), ((&value!("already-free"), &value!(0)), vec![]));
        assert_eq!(run(&["8080", "--kill"]).stdout, "8080 is already free\n");

        // As other such tools do it.
        let answer = json(&["kill", "8080", "--expect-held"]);
        assert_eq!((outcome(&answer), steps(&answer)), ((&value!("already-free"), &value!(1)), vec![]));
        let told = run(&["8080", "--kill", "--expect-held"]);
        assert_eq!((told.code, &*told.stdout), (1, "8080 is already free: nobody held it\n"));
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        assert_eq!(run(&["kill", "8080", "--yes", "--expect-held"]).code, 0);
    });
}

#[test]
fn a_bound_socket_and_a_udp_server_are_holders_too() {
    in_namespace(|| {
        let (bound, _) = Role::playing("bind 127.0.0.1:8080");
        let (udp, _) = Role::playing("udp 127.0.0.1:8081");
        let answer = json(&["8080,8081", "--kill", "--yes", "--signal", "INT"]);
        assert_eq!(outcome(&answer), (&value!("freed"), &value!(0)));
        let mut expected = [(bound.pid().into(), "INT", "done"), (udp.pid().into(), "INT", "done")];
        expected.sort_unstable();
        assert_eq!(steps(&answer), expected);
    });
}

#[test]
fn nothing_is_done_unless_asked_to() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let refused = run(&["8080", "--kill"]);
        assert_eq!((refused.code, &*refused.stdout, refused.stderr.lines().count()), (2, "", 1), "{refused:?}");
        assert!(refused.stderr.contains("--yes"), "{refused:?}");
        let answer = json(&["8080", "--kill"]);
        assert_eq!((&answer["exit_code"], &answer["error"]["kind"]), (&value!(2), &value!("usage")));

        let answer = json(&["8080", "--kill", "--dry-run"]);
        assert_eq!((outcome(&answer), steps(&answer)), ((&value!("would-free"), &value!(0)), vec![]));
        assert_eq!(answer["kill"]["holders"][0]["pid"], role.pid());
        let shown = run(&["8080", "--kill", "--dry-run", "--yes"]);
        assert!(shown.stdout.contains(&format!("(pid {})", role.pid())), "{shown:?}");
        assert!(shown.stdout.contains("SIGTERM") && shown.code == 0, "{shown:?}");
        assert!(is_running(role.pid()));
        assert_eq!(port(&json(&["8080/tcp"]), 8080, "tcp")["status"], "held");
    });
}

#[test]
fn a_terminal_is_asked() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        for (answer, code) in [("n", 1), ("", 1), ("yess", 1), ("Y", 0)] {
            let Some(mut terminal) = Terminal::start("8080 --kill") else { return };
            terminal.expect("[y/N] ");
            assert!(terminal.said.contains(&format!("(pid {})", role.pid())), "{}", terminal.said);
            assert!(is_running(role.pid()));
            terminal.type_line(answer);
            assert_eq!(terminal.end(), code, "{answer}: {}", terminal.said);
            assert_eq!(is_running(role.pid()), code == 1, "{answer}: {}", terminal.said);
        }
    });
}

/// Six servers on six ports, all in one range.
#[test]
fn many_processes_of_a_range_are_counted_before_they_are_ended() {
    in_namespace(|| {
        let roles: Vec<Role> = (8080..8086).map(|port| Role::playing(&format!("listen 127.0.0.1:{port}")).0).collect();
        let range = "kill 8000-8100/tcp";
        let kill = |options: &str| json(&format!("{range} {options}").split_whitespace().collect::<Vec<_>>());
        let are_running = || roles.iter().all(|role| is_running(role.pid()));
        for (options, says) in [("--yes", "--yes 6"), ("--yes 5", "6 processes would be ended"), ("-y=7", "--yes 7")] {
            let answer = kill(options);
            assert_eq!((outcome(&answer), steps(&answer)), ((&value!("refused"), &value!(1)), vec![]), "{answer:#}");
            assert!(answer["kill"]["objection"].as_str().unwrap().contains(says), "{answer:#}");
        }
        let shown = run(&["kill", "8000-8100/tcp", "--dry-run"]);
        assert!(shown.first_line().starts_with("6 processes of 1 user are to be ended: "), "{shown:?}");
        // Fewer processes need no number. A single port needs none either, however many processes
        // hold it.
        assert_eq!(outcome(&kill("8085/tcp --dry-run")).1, &value!(0));
        let Some(mut terminal) = Terminal::start(range) else { return };
        terminal.expect("Type 6 to end these 6 processes: ");
        terminal.type_line("y");
        assert_eq!(terminal.end(), 1, "{}", terminal.said);
        assert!(are_running());
        let answer = kill("--yes 6");
        assert_eq!((outcome(&answer), steps(&answer).len()), ((&value!("freed"), &value!(0)), 6), "{answer:#}");
        assert!(!roles.iter().any(|role| is_running(role.pid())));

        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        assert_eq!(outcome(&json(&["kill", "--yes", "8080", "8081"])).0, "freed");
    });
}

#[test]
fn a_stubborn_process_is_forced_only_on_request() {
    in_namespace(|| {
        let role = playing_after("trap '' TERM", "listen 127.0.0.1:8080");
        let pid = role.pid();
        let answer = json(&["8080", "--kill", "--yes", "--grace", "100ms"]);
        assert_eq!(outcome(&answer), (&value!("still-held"), &value!(1)));
        assert_eq!(steps(&answer), [(pid.into(), "TERM", "still-running")]);
        assert!(answer["kill"]["steps"][0]["elapsed_ms"].as_u64().unwrap() >= 100);
        assert!(is_running(pid));
        let told = run(&["8080", "--kill", "--yes", "--grace", "0"]);
        assert!(told.code == 1 && told.stdout.contains("--force"), "{told:?}");

        let answer = json(&["8080", "--kill", "--yes", "--grace", "100ms", "--force"]);
        assert_eq!(outcome(&answer), (&value!("freed"), &value!(0)));
        assert_eq!(steps(&answer), [(pid.into(), "TERM", "still-running"), (pid.into(), "KILL", "done")]);
    });
}

/// All commands that are offered.
fn offers(answer: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![answer];
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("command").and_then(Value::as_str).map(str::to_owned));
                pending.extend(fields.values());
            }
            Value::Array(values) => pending.extend(values),
            _ => {}
        }
    }
    found.retain(|command| command.contains("portcheck kill "));
    found
}

/// Regression: the command that had failed was offered again.
#[test]
fn what_failed_is_not_offered_but_the_next_step_is() {
    in_namespace(|| {
        let role = playing_after("trap '' TERM", "listen 127.0.0.1:8080");
        let kill = ["kill", "8080/tcp", "--yes", "--grace", "0"];
        let next = format!("{} kill 8080/tcp --force", env!("CARGO_BIN_EXE_portcheck"));
        assert_eq!(offers(&json(&kill)), [next.as_str()]);
        let told = run(&kill);
        assert!(told.stdout.contains(&next) && told.stdout.matches("portcheck kill ").count() == 1, "{told:?}");
        drop(role);

        // What takes it again is ended at its source.
        let directory = tempfile::tempdir().unwrap();
        let shell = respawning(&format!("exec 3<>\"$0\"; while true; do {SERVE}; done"), directory.path());
        crate::common::until_it_listens(8080);
        let answer = json(&["kill", "8080/tcp", "--yes", "--settle", "5s"]);
        assert_eq!((outcome(&answer), offers(&answer)), ((&value!("taken-again"), &value!(1)), vec![]), "{answer:#}");
        assert_eq!(answer["kill"]["next_steps"][0]["command"], format!("kill {}", shell.pid()));
    });
}

#[test]
fn a_fork_group_is_ended_in_one_go_its_parent_first() {
    in_namespace(|| {
        let (role, said) = Role::playing("family 127.0.0.1:8080");
        let children: Vec<u32> = said.split(' ').map(|pid| pid.parse().unwrap()).collect();
        until("all have the socket", || {
            numbers(&json(&["8080/tcp"])["ports"][0]["sockets"][0]["owners"]["pids"]).len() == 8
        });
        let answer = json(&["8080", "--kill", "--yes"]);
        assert_eq!(outcome(&answer), (&value!("freed"), &value!(0)));
        let mut expected = vec![(role.pid().into(), "TERM", "done")];
        expected.extend(children.iter().map(|&pid| (pid.into(), "TERM", "done")));
        assert_eq!(steps(&answer), expected);
        assert!(!children.iter().any(|&pid| is_running(pid)));
    });
}

#[test]
fn a_stopped_process_is_continued_so_that_it_can_end() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let pid = role.pid();
        let raw = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(raw, rustix::process::Signal::STOP).unwrap();
        until("it is stopped", || codes(&json(&["8080/tcp"])["ports"][0]).contains(&"stopped-holder"));
        let answer = json(&["8080", "--kill", "--yes"]);
        assert_eq!(outcome(&answer), (&value!("freed"), &value!(0)));
        assert_eq!(steps(&answer), [(pid.into(), "TERM", "done"), (pid.into(), "CONT", "done")]);
    });
}

/// A shell that runs `script`, which starts a server again and again. It ends with the test.
fn respawning(script: &str, directory: &Path) -> Background {
    let fifo = directory.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(&fifo).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "role", "--nocapture"]).env("PORTCHECK_TEST_ROLE", "listen 127.0.0.1:8080");
    Background::spawn(&mut command)
}

/// A role needs a line of input to begin, and must not see the end of its input before it is ended.
/// So its reader also has the pipe open for writing, and it ends with the shell.
const SERVE: &str = "echo go >&3; setpriv --pdeathsig KILL \"$@\" <&3 >/dev/null 2>&1";

#[test]
fn a_loop_that_starts_it_again_is_named() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        let shell = respawning(&format!("exec 3<>\"$0\"; while true; do {SERVE}; done"), directory.path());
        crate::common::until_it_listens(8080);
        let plan = json(&["8080", "--kill", "--dry-run"]);
        let holder = &plan["kill"]["holders"][0];
        let old = holder["pid"].as_u64().unwrap();
        assert_eq!(holder["supervisor"]["kind"], "shell-loop");
        let refused = run(&["8080", "--kill", "--yes", "--settle", "1s"]);
        assert!(refused.code == 1 && refused.stdout.contains("which starts it again\n"), "{refused:?}");
        assert!(refused.stdout.contains(&format!("kill {}\n", shell.pid())), "{refused:?}");
        let answer = json(&["8080", "--kill", "--yes", "--settle", "5s"]);
        assert_eq!(outcome(&answer), (&value!("taken-again"), &value!(1)), "{answer:#}");
        let taker = &answer["kill"]["taken_by"][0];
        assert_ne!(taker["pid"].as_u64().unwrap(), old);
        assert!(taker["started_by"].as_str().unwrap().contains(&format!("(pid {})", shell.pid())), "{taker}");
        assert_eq!(taker["remedies"][0]["command"], format!("kill {}", shell.pid()));
        let told = run(&["8080", "--kill", "--yes", "--settle", "5s"]);
        assert!(told.code == 1 && told.stdout.contains("was taken again by"), "{told:?}");
    });
}

/// A shell that has a listener on 127.0.0.1:8080 as its standard input, and a pipe `fifo` in the
/// directory as `$0`, by which it is told to go on.
pub fn shell_on_8080(script: &str) -> (tempfile::TempDir, Background) {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = open("127.0.0.1:8080".parse().unwrap(), socket2::Type::STREAM, &[]);
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(&fifo).stdin(std::os::fd::OwnedFd::from(socket)).stdout(Stdio::null());
    // The socket is closed here with the command.
    (directory, Background(command.spawn().unwrap()))
}

/// A server may fork between the look and the signal. Then the child has the socket, too, and would
/// be left with it.
#[test]
fn who_was_forked_after_the_look_is_ended_too() {
    in_namespace(|| {
        let (directory, shell) = shell_on_8080("exec 3<&0; read line <\"$0\"; sleep 60 <&3 & wait");
        let fifo = directory.path().join("fifo");
        let Some(mut terminal) = Terminal::start("8080/tcp --kill") else { return };
        terminal.expect("[y/N] ");
        std::fs::write(&fifo, "go\n").unwrap();
        until("it has a child with the socket", || {
            numbers(&json(&["8080/tcp"])["ports"][0]["sockets"][0]["owners"]["pids"]).len() == 2
        });
        let child = crate::common::server::children(shell.pid())[0];
        terminal.type_line("y");
        assert_eq!(terminal.end(), 0, "{}", terminal.said);
        for pid in [shell.pid(), child] {
            assert!(terminal.said.contains(&format!("(pid {pid}) ended ")), "{pid}: {}", terminal.said);
        }
    });
}

#[test]
fn quiet_tells_by_the_exit_code_alone() {
    in_namespace(|| {
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        let quiet = run(&["8080", "--kill", "--yes", "-q"]);
        assert_eq!((quiet.code, &*quiet.stdout, &*quiet.stderr), (0, "", ""));
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        let words = run(&["8080", "--kill", "--yes"]);
        assert_eq!((words.code, words.stdout.lines().count()), (0, 2), "{words:?}");
        assert!(words.stdout.contains("SIGTERM\n8080 is free, and still is 300 ms later"), "{words:?}");
    });
}

#[test]
fn mistakes_are_one_line_and_exit_2() {
    let cases: [(&[&str], &str); 10] = [
        (&["--kill"], "kill needs TARGET: portcheck kill 8080"),
        (&["8080", "--yes"], "portcheck kill"),
        (&["8080", "--kill", "--signal", "STOP"], "TERM"),
        (&["8080", "--kill", "--grace", "soon"], "30s"),
        (&["8080", "--kill", "--settle", "-1s"], "--settle"),
        (&["8080", "--kill", "--format", "csv"], "not one of: table, json"),
        (&["8080", "--kill", "--no-probe"], "--no-probe"),
        (&["8080", "--kill", "--quick"], "--quick"),
        (&["8080", "--kill", "--backend", "portable"], "native"),
        (&["8080", "--kill", "--wait", "free"], "--wait"),
    ];
    for (arguments, hint) in cases {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout, run.stderr.lines().count()), (2, "", 1), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(hint), "{arguments:?}: {}", run.stderr);
        assert_eq!(json_of(portcheck(&[arguments, &["--json"]].concat()))["error"]["kind"], "usage", "{arguments:?}");
    }
}

/// Regression: "Not every holder could be ended" was said of a port that nobody held.
#[test]
fn a_port_that_cannot_be_bound_has_nobody_to_end() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let kill = Run::from(portcheck_as_nobody(&["kill", "80/tcp", "--dry-run"]).output().unwrap());
        assert_eq!(kill.code, 1, "{kill:?}");
        assert!(kill.stdout.contains("this was a dry run, and no process was seen"), "{kill:?}");
    });
}
