//! `portcheck wait` for servers on other machines.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::common::{NOBODY, Run, has, in_namespace, is_root, json, portcheck_as_nobody, run, skip};
use crate::wait::{end, outcome, until_it_waits, waiting};
use serde_json::json as value;

#[test]
fn other_machines_are_tried_by_connecting() {
    in_namespace(|| {
        if !has("ip") {
            return skip("no ip(8) to make addresses");
        }
        let ip = |arguments: &str| {
            assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
        };
        // An address of another machine, by one of our names: 127.0.0.1 is local by its text.
        let name = ["ip6-loopback-alias:8080", "--wait", "listening", "--wait-for-dns"];
        let answer = json(&[&name[..], &["--timeout", "300ms"]].concat());
        assert_eq!(outcome(&answer), ("timeout", 124));
        let goal = &answer["wait"]["goals"][0];
        assert_eq!((&goal["target"], &goal["remote"]), (&value!("ip6-loopback-alias:8080"), &value!(true)));
        // Some libraries (musl) take seconds to notice that there is no name server.
        let note = goal["note"].as_str().unwrap();
        let is_said = ["cannot be resolved", "does not exist", "is still being looked up"];
        assert!(is_said.iter().any(|said| note.contains(said)), "{goal}");
        assert_eq!(answer["ports"], value!([]));

        // An address that is routed to us, but is not ours, counts as another machine's.
        ip("route add local 192.0.2.0/24 dev lo");
        let refused = run(&["192.0.2.7:8080", "--wait", "listening", "--timeout", "100ms"]);
        assert!(refused.code == 124 && refused.stdout.contains("192.0.2.7:8080: Connection refused"), "{refused:?}");
        let wait = waiting(&["http://192.0.2.7:8080/health", "8081", "--wait", "listening", "--json"]);
        until_it_waits(&wait);
        let server = TcpListener::bind("0.0.0.0:8080").unwrap();
        let _second = TcpListener::bind("0.0.0.0:8081").unwrap();
        let (answer, _) = end(wait);
        assert_eq!(outcome(&answer), ("met", 0));
        assert_eq!(
            answer["wait"]["goals"][1],
            value!({ "target": "192.0.2.7:8080", "remote": true, "met": true, "note": "192.0.2.7:8080" })
        );
        // Somebody connected to it, and hung up.
        assert_eq!(std::io::Read::read(&mut server.accept().unwrap().0, &mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_connection_to_itself_is_no_server() {
    in_namespace(|| {
        if !has("ip") {
            return skip("no ip(8) to make addresses");
        }
        let routed = Command::new("ip").args(["route", "add", "local", "192.0.2.0/24", "dev", "lo"]).status();
        assert!(routed.unwrap().success());
        // The kernel has only one port to give, the one that is tried: every attempt connects to
        // itself.
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000").unwrap();
        let answer = json(&["192.0.2.7:40000", "--wait", "listening", "--timeout", "400ms"]);
        assert_eq!(outcome(&answer), ("timeout", 124), "{answer:#}");
        let goal = &answer["wait"]["goals"][0];
        assert!(goal["note"].as_str().unwrap().contains("reached itself"), "{goal}");
        // It left no TIME_WAIT that would block the server.
        TcpListener::bind("192.0.2.7:40000").unwrap();
        assert_eq!(json(&["40000", "--all"])["ports"][0]["sockets"], value!([]));
    });
}

/// Regression: `-4` and `-6` were ignored for other machines.
#[test]
fn other_machines_are_tried_in_the_family_that_is_asked_for() {
    in_namespace(|| {
        if !has("ip") {
            return skip("no ip(8) to make addresses");
        }
        let routed = Command::new("ip").args(["route", "add", "local", "192.0.2.0/24", "dev", "lo"]).status();
        assert!(routed.unwrap().success());
        let _server = TcpListener::bind("0.0.0.0:8080").unwrap();
        let met = |option| json(&["192.0.2.7:8080", "--wait", "listening", "--timeout", "300ms", option]);
        assert_eq!(outcome(&met("-4")), ("met", 0));
        let answer = met("-6");
        assert_eq!(outcome(&answer), ("timeout", 124));
        assert_eq!(answer["wait"]["goals"][0]["note"], "192.0.2.7 has no IPv6 address");
    });
}

/// Regression: each port got a thread of its own, and a thread that could not be started was a
/// panic.
#[test]
fn a_range_on_another_machine_takes_few_threads_and_none_is_a_failure() {
    in_namespace(|| {
        if !has("ip") || !has("prlimit") {
            return skip("no ip(8) or prlimit(1)");
        }
        let routed = Command::new("ip").args(["route", "add", "local", "192.0.2.0/24", "dev", "lo"]).status();
        assert!(routed.unwrap().success());
        let wait = waiting(&["192.0.2.7:8001-8100", "--wait", "listening", "--timeout", "2s", "--json"]);
        until_it_waits(&wait);
        let threads = std::fs::read_dir(format!("/proc/{}/task", wait.id())).unwrap().count();
        assert!((2..=17).contains(&threads), "{threads}");
        let _server = TcpListener::bind("192.0.2.7:8100").unwrap();
        let (answer, _) = end(wait);
        assert_eq!(outcome(&answer), ("timeout", 124));
        for goal in answer["wait"]["goals"].as_array().unwrap() {
            let is_served = goal["target"] == "192.0.2.7:8100";
            let note = goal["note"].as_str().unwrap();
            assert!(goal["met"] == is_served && note.contains("refused") != is_served, "{goal}");
        }
        if !is_root() {
            return skip("needs root to be somebody whom a limit of processes stops");
        }
        let limited = portcheck_as_nobody(&["192.0.2.7:8080", "--wait", "listening", "--timeout", "300ms"]);
        let mut prlimit = Command::new("prlimit");
        prlimit
            .arg("--nproc=1")
            .arg(limited.get_program())
            .args(limited.get_args())
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY);
        let run = Run::from(prlimit.output().unwrap());
        assert_eq!((run.code, &*run.stdout, run.stderr.lines().count()), (4, "", 1), "{run:?}");
        assert!(run.stderr.contains("thread"), "{run:?}");
    });
}
