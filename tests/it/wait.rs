//! `portcheck wait`: until somebody listens on a port, or until it is free, and no longer.

use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::lease::Somebody;
use crate::common::role::{Role, open};
use crate::common::server::until;
use crate::common::terminal::Terminal;
use crate::common::{
    NOBODY, Run, codes, in_namespace, is_root, json, json_as_nobody, json_of, port, portcheck, run, skip,
};
use serde_json::{Value, json as value};

/// A running wait.
pub fn waiting(arguments: &[&str]) -> Child {
    portcheck(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `child` sleeps in poll(2), between its looks.
pub fn until_it_waits(child: &Child) {
    let state = || std::fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap_or_default();
    until("it waits", || state().contains("poll"));
}

pub fn end(child: Child) -> (Value, i32) {
    let run = Run::from(child.wait_with_output().unwrap());
    (serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}")), run.code)
}

pub fn outcome(answer: &Value) -> (&str, i64) {
    (answer["wait"]["outcome"].as_str().unwrap(), answer["exit_code"].as_i64().unwrap())
}

#[test]
fn a_server_that_comes_up_late_is_waited_for() {
    in_namespace(|| {
        let wait = waiting(&["8080", "--wait", "listening", "--json"]);
        until_it_waits(&wait);
        let _server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (answer, code) = end(wait);
        assert_eq!((outcome(&answer), code), (("met", 0), 0));
        assert_eq!(answer["command"], "wait");
        let goal = value!({ "target": "8080/tcp", "remote": false, "met": true, "note": null });
        assert_eq!(answer["wait"]["goals"], value!([goal]));
        assert_eq!(port(&answer, 8080, "tcp")["status"], "held");
        let words = run(&["8080", "--wait", "listening"]);
        assert!(words.first_line().starts_with("a process listens on 8080/tcp, after "), "{words:?}");
        let (me, pid) = (std::fs::read_to_string("/proc/self/comm").unwrap(), std::process::id());
        assert!(words.stdout.contains(&format!("{} (pid {pid}) listens on 127.0.0.1:8080", me.trim())), "{words:?}");
    });
}

#[test]
fn a_server_that_never_comes_up_ends_in_124_with_the_diagnosis() {
    in_namespace(|| {
        // A bound socket does not count as listening.
        let _bound = open("127.0.0.1:8080".parse().unwrap(), socket2::Type::STREAM, &[]);
        let start = Instant::now();
        let answer = json(&["8080", "--wait", "listening", "--timeout", "200ms"]);
        assert!(start.elapsed() >= Duration::from_millis(200));
        assert_eq!(outcome(&answer), ("timeout", 124));
        assert_eq!((&answer["wait"]["timeout_ms"], &answer["wait"]["for"]), (&value!(200), &value!("listening")));
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["bound-not-listening"]);
        let words = run(&["8080", "--wait", "listening", "--timeout", "0.1"]);
        assert_eq!(words.code, 124);
        assert!(words.first_line().starts_with("nobody listens on 8080/tcp, after "), "{words:?}");
        assert!(words.stdout.contains("has bound 127.0.0.1:8080 without listening"), "{words:?}");
        assert_eq!(
            (run(&["8080", "--wait", "listening", "--timeout", "1ms", "-q"]).stdout, words.stderr),
            (String::new(), String::new())
        );
    });
}

#[test]
fn the_end_of_the_awaited_process_ends_the_wait() {
    in_namespace(|| {
        let mut server = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = server.id().to_string();
        let wait = waiting(&["8080", "--wait", "listening", "--timeout", "20s", "--pid", &pid, "--json"]);
        until_it_waits(&wait);
        let start = Instant::now();
        server.kill().unwrap();
        let (answer, _) = end(wait);
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(outcome(&answer), ("process-ended", 1));
        assert_eq!(answer["wait"]["ended_pid"], server.id());
        server.wait().unwrap();
        // The same if the process had ended earlier, unless somebody listens by then.
        assert_eq!(outcome(&json(&["8080", "--wait", "listening", "--pid", &pid])), ("process-ended", 1));
        let _server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let answer = json(&["8080", "--wait", "listening", "--pid", &pid, "--timeout", "0"]);
        assert_eq!((outcome(&answer), &answer["wait"]["timeout_ms"]), (("met", 0), &value!(null)));
    });
}

#[test]
fn a_port_taken_by_the_wrong_process_is_a_failure_at_once() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        let alias = directory.path().join("thief");
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &alias).unwrap();
        let mut thief = Role::start_as(&alias, "listen 127.0.0.1:8080");
        let wait = waiting(&["8080", "--wait", "listening", "--timeout", "20s", "--by", "sleep", "--json"]);
        until_it_waits(&wait);
        thief.go();
        let (answer, _) = end(wait);
        assert_eq!(outcome(&answer), ("taken-by-another", 1));
        assert_eq!(answer["wait"]["by"], "sleep");
        let own = std::process::id().to_string();
        for (by, expected) in
            [("thief", 0), ("thie", 1), (&*thief.pid().to_string(), 0), (&*own, 0), ("1", 0), ("999999", 1)]
        {
            let run = run(&["8080", "--wait", "listening", "--timeout", "1s", "--by", by]);
            assert_eq!(run.code, expected, "{by}: {run:?}");
        }
    });
}

#[test]
fn who_listens_may_be_out_of_sight() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        assert_eq!(outcome(&json_as_nobody(&["8080", "--wait", "listening"])), ("met", 0));
        let pid = role.pid().to_string();
        assert_eq!(outcome(&json_as_nobody(&["8080", "--wait", "listening", "--by", &pid])), ("unknown", 3));
    });
}

#[test]
fn both_families_count() {
    in_namespace(|| {
        let Ok(_six) = TcpListener::bind((Ipv6Addr::LOCALHOST, 8080)) else { return skip("no IPv6") };
        let met =
            |arguments: &[&str]| outcome(&json(&[arguments, &["--wait", "listening", "--timeout", "10ms"]].concat())).1;
        assert_eq!(met(&["localhost:8080"]), 0);
        assert_eq!(met(&["8080"]), 0);
        assert_eq!(met(&["8080", "-6"]), 0);
        assert_eq!(met(&["8080", "-4"]), 124);
        assert_eq!(met(&["127.0.0.1:8080"]), 124);
        assert_eq!(met(&["8080/udp"]), 124);
        let free = |target: &str| json(&[target, "--wait", "free", "--timeout", "10ms"])["exit_code"].as_i64().unwrap();
        assert_eq!(
            (free("127.0.0.1:8080"), free("[::1]:8080"), free("localhost:8080"), free("8080")),
            (0, 124, 124, 124)
        );
        let _udp = std::net::UdpSocket::bind("127.0.0.1:8081").unwrap();
        assert_eq!((met(&["8081/udp"]), met(&["8081"]), met(&["8081", "--udp"])), (0, 124, 0));
        assert_eq!((free("8081/tcp"), free("8081/udp"), free("8081")), (0, 124, 124));
    });
}

#[test]
fn all_targets_are_waited_for_or_any() {
    in_namespace(|| {
        let _one = TcpListener::bind("127.0.0.1:8080").unwrap();
        let answer = json(&["8080", "8090-8092", "--wait", "listening", "--timeout", "50ms"]);
        assert_eq!(outcome(&answer), ("timeout", 124));
        let goals = answer["wait"]["goals"].as_array().unwrap();
        let met: Vec<(&str, bool)> =
            goals.iter().map(|goal| (goal["target"].as_str().unwrap(), goal["met"].as_bool().unwrap())).collect();
        assert_eq!(met, [("8080/tcp", true), ("8090/tcp", false), ("8091/tcp", false), ("8092/tcp", false)]);
        assert_eq!(outcome(&json(&["8080", "8090", "--wait", "listening", "--any"])), ("met", 0));
        assert_eq!(outcome(&json(&["8080", "8090", "--wait", "free", "--any"])), ("met", 0));
        let wait = waiting(&["8080,8090-8092", "--wait", "listening", "--json"]);
        until_it_waits(&wait);
        let _others: Vec<TcpListener> =
            (8090..=8092).map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap()).collect();
        assert_eq!(outcome(&end(wait).0), ("met", 0));
    });
}

#[test]
fn free_means_bindable_and_time_wait_is_waited_out_or_named() {
    in_namespace(|| {
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let wait = waiting(&["8080", "--wait", "free", "--json"]);
        until_it_waits(&wait);
        drop(server);
        assert_eq!(outcome(&end(wait).0), ("met", 0));

        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        drop(server.accept().unwrap());
        drop((server, client));
        until("it is in TIME_WAIT", || codes(&json(&["8080/tcp"])["ports"][0]) == ["time-wait"]);
        let answer = json(&["8080", "--wait", "free", "--timeout", "100ms"]);
        assert_eq!((outcome(&answer), codes(port(&answer, 8080, "tcp"))), (("timeout", 124), vec!["time-wait"]));
        // A server with SO_REUSEADDR need not wait.
        assert_eq!(outcome(&json(&["8080", "--wait", "free", "--reuse-addr"])), ("met", 0));
        let told = run(&["8080", "--wait", "free", "--timeout", "100ms", "-v"]);
        assert!(told.stderr.contains("waiting until 8080 is free, at most 100 ms"), "{told:?}");
        assert!(told.stderr.contains("closed connection holds 8080/tcp for"), "{told:?}");
        if let Some(mut terminal) = Terminal::start("8080 --wait free --timeout 100ms") {
            assert_eq!(terminal.end(), 124);
            assert!(terminal.said.contains("now: 1 closed connection holds"), "{}", terminal.said);
        }
        // Root may drop it, which ends the wait.
        let wait = waiting(&["8080", "--wait", "free", "--json"]);
        until_it_waits(&wait);
        assert_eq!(json(&["8080", "--kill", "--remnants", "--yes"])["exit_code"], 0);
        assert_eq!(outcome(&end(wait).0), ("met", 0));
    });
}

/// Regression: bind works on a leased port, while the diagnosis says that it is held. So the wait
/// looped without a pause, and beyond its time.
#[test]
fn a_lease_is_waited_out_and_not_longer_than_allowed() {
    in_namespace(|| {
        let somebody = Somebody::new();
        let picked = somebody.pick_one(&["--ttl", "20s"]).to_string();
        let leased = picked.as_str();
        let late = json(&[leased, "--wait", "free", "--timeout", "300ms"]);
        assert_eq!(outcome(&late), ("timeout", 124));
        assert_eq!((&late["wait"]["goals"][0]["met"], &late["ports"][0]["status"]), (&false.into(), &"held".into()));
        let wait = waiting(&[leased, "--wait", "free", "--timeout", "15s", "--json"]);
        until_it_waits(&wait);
        assert_eq!(run(&["--release", leased]).code, 0);
        let (answer, _) = end(wait);
        assert_eq!(outcome(&answer), ("met", 0));
    });
}

#[test]
fn a_terminal_is_told_who_holds_it_now() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let Some(mut terminal) = Terminal::start("8080/tcp --wait free") else { return };
        terminal.expect(&format!("(pid {}) listens on 127.0.0.1:8080", role.pid()));
        drop(role);
        assert_eq!(terminal.end(), 0, "{}", terminal.said);
        assert!(terminal.said.contains("8080/tcp is free, after"), "{}", terminal.said);
    });
}

#[test]
fn a_port_that_may_not_be_bound_is_not_waited_for() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be somebody without privilege");
        }
        let answer = json_as_nobody(&["80/tcp", "--wait", "free", "--timeout", "0"]);
        assert_eq!((outcome(&answer), codes(port(&answer, 80, "tcp"))), (("blocked", 1), vec!["privileged-port"]));
    });
}

#[test]
fn the_command_takes_over_on_success_only() {
    in_namespace(|| {
        let script = "echo \"$1 $PPID\"; exit 7";
        let done = run(&["8080", "--wait", "free", "--", "sh", "-c", script, "sh", "a b"]);
        // By exec: its parent is ours, and its exit code is the command's own.
        assert_eq!((done.code, done.stdout), (7, format!("a b {}\n", std::process::id())));
        let not = run(&["8080", "--wait", "listening", "--timeout", "10ms", "--", "echo", "never"]);
        assert_eq!((not.code, not.stdout.contains("never")), (124, false));
        // As in a shell, and in `portcheck free`.
        for (command, code) in [("/no/such/program", 127), ("no-such-program", 127), ("/etc/passwd", 126), ("/", 126)] {
            let run = run(&["8080", "--wait", "free", "--", command, "--json"]);
            assert_eq!((run.code, &*run.stdout, run.stderr.lines().count()), (code, "", 1), "{run:?}");
            assert!(run.stderr.starts_with(&format!("portcheck: cannot run '{command}': ")), "{run:?}");
        }
        // Its exit code could not be in our JSON.
        let both = run(&["8080", "--wait", "free", "--json", "--", "echo", "after"]);
        let answer: Value = serde_json::from_str(&both.stdout).unwrap();
        assert_eq!((both.code, &answer["exit_code"], &answer["error"]["kind"]), (2, &value!(2), &value!("usage")));
    });
}

#[test]
fn ctrl_c_leaves_nothing_behind_and_is_130_to_a_shell() {
    in_namespace(|| {
        let mut wait = waiting(&["8080", "--wait", "listening", "--timeout", "0"]);
        until_it_waits(&wait);
        let pid = rustix::process::Pid::from_child(&wait);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(wait.wait().unwrap().signal(), Some(2));
        // A terminal's Ctrl-C goes to everything on it. What the shell says about it is the last
        // line.
        let Some(mut terminal) =
            Terminal::start_after("trap : INT;", "8080 --wait listening --timeout 0; echo code=$?")
        else {
            return;
        };
        terminal.expect("now: free");
        terminal.type_bytes(b"\x03");
        terminal.end();
        assert!(terminal.said.contains("code=130"), "{}", terminal.said);
    });
}

#[test]
fn a_hundred_waits_in_parallel_all_end() {
    in_namespace(|| {
        let waits: Vec<Child> =
            (0..100).map(|_| waiting(&["8080", "--wait", "listening", "--timeout", "1m", "-q"])).collect();
        until_it_waits(waits.last().unwrap());
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        for wait in waits {
            assert_eq!(Run::from(wait.wait_with_output().unwrap()).code, 0);
        }
        let waits: Vec<Child> =
            (0..100).map(|_| waiting(&["8080", "--wait", "free", "--timeout", "1m", "-q"])).collect();
        until_it_waits(waits.last().unwrap());
        drop(server);
        for wait in waits {
            assert_eq!(Run::from(wait.wait_with_output().unwrap()).code, 0);
        }
    });
}

#[test]
fn a_holder_of_another_user_is_waited_for_too() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let (_role, _) = Role::playing_as_user(NOBODY, "listen 127.0.0.1:8080");
        assert_eq!(run(&["8080", "--wait", "listening", "--by", &NOBODY.to_string(), "--timeout", "1s"]).code, 1);
        assert_eq!(run(&["8080", "--wait", "free", "--timeout", "10ms"]).code, 124);
    });
}

/// Regression: the path was dropped silently, so the wait seemed to be one for an answer.
#[test]
fn a_path_that_is_not_requested_is_told() {
    in_namespace(|| {
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        for target in ["http://127.0.0.1:8080/health", "localhost:8080/health"] {
            let wait = run(&[target, "--wait", "listening"]);
            assert_eq!((wait.code, wait.stderr.lines().count()), (0, 1), "{wait:?}");
            assert!(wait.stderr.contains("/health is not requested"), "{wait:?}");
            let quiet = run(&["wait", target, "--for", "listening", "-q"]);
            assert_eq!((quiet.code, &*quiet.stderr), (0, ""));
        }
        assert_eq!(run(&["http://127.0.0.1:8080/", "--wait", "listening"]).stderr, "");
    });
}

#[test]
fn mistakes_are_one_line_and_exit_2() {
    let cases: [(&[&str], &str); 11] = [
        (&["--wait", "listening"], "wait needs TARGET: portcheck wait 8080"),
        (&["8080", "--wait"], "listening, free"),
        (&["8080", "--wait", "open"], "listening, free"),
        (&["8080", "--timeout", "5s"], "portcheck wait"),
        (&["8080", "--wait", "free", "--timeout", "soon"], "30s"),
        (&["8080", "--wait", "free", "--by", ""], "--by"),
        (&["8080", "--wait", "free", "--no-probe"], "--no-probe"),
        (&["8080", "--wait", "free", "--format", "ndjson"], "not one of: table, json"),
        (&["db.internal:80", "--wait", "free"], "this machine only"),
        (&["db.internal:53/udp", "--wait", "listening"], "UDP"),
        (&["8080", "--", "ls"], "portcheck wait"),
    ];
    for (arguments, hint) in cases {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout, run.stderr.lines().count()), (2, "", 1), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(hint), "{arguments:?}: {}", run.stderr);
    }
    assert_eq!(json_of(portcheck(&["--json", "8080", "--wait", "open"]))["error"]["kind"], "usage");
}
