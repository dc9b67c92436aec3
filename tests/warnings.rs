//! Verdicts that do not change whether a port can be had, but explain why a server does not answer, or not the right one.

mod common;

use std::net::TcpListener;

use common::role::Role;
use common::{codes, in_namespace, json, numbers, port, run};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn role() {
    common::role::play();
}

/// The finding with this code.
#[track_caller]
fn finding<'a>(port: &'a serde_json::Value, code: &str) -> &'a serde_json::Value {
    let findings = port["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("no {code} in {port:#}"))
}

#[test]
fn a_stopped_holder_is_told_until_the_remedy_is_run() {
    in_namespace("a_stopped_holder_is_told_until_the_remedy_is_run", || {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let pid = Pid::from_raw(role.pid().try_into().unwrap()).unwrap();
        assert_eq!(codes(port(&json(&["8080/tcp"]), 8080, "tcp")), ["listener"]);

        kill_process(pid, Signal::STOP).unwrap();
        // A signal to another process takes effect when that is next scheduled.
        while !std::fs::read_to_string(format!("/proc/{}/stat", role.pid())).unwrap().contains(") T ") {
            std::thread::yield_now();
        }
        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!(codes(tcp), ["listener", "stopped-holder"]);
        let stopped = finding(tcp, "stopped-holder");
        assert_eq!(numbers(&stopped["pids"]), [role.pid()]);

        let remedy = stopped["remedies"][0]["command"].as_str().unwrap();
        assert!(std::process::Command::new("sh").args(["-c", remedy]).status().unwrap().success());
        while std::fs::read_to_string(format!("/proc/{}/stat", role.pid())).unwrap().contains(") T ") {
            std::thread::yield_now();
        }
        assert_eq!(codes(port(&json(&["8080/tcp"]), 8080, "tcp")), ["listener"]);
    });
}

#[test]
fn a_program_that_was_replaced_is_told() {
    in_namespace("a_program_that_was_replaced_is_told", || {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("server");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut role = Role::start_as(&program, "listen 127.0.0.1:8080");
        role.go();
        assert_eq!(codes(port(&json(&["8080/tcp"]), 8080, "tcp")), ["listener"]);
        std::fs::remove_file(&program).unwrap();
        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!(codes(tcp), ["listener", "deleted-executable"]);
        assert_eq!(finding(tcp, "deleted-executable")["details"]["path"], program.to_str().unwrap());
    });
}

#[test]
fn localhost_may_be_two_servers() {
    in_namespace("localhost_may_be_two_servers", || {
        let _ipv4 = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (ipv6, _) = Role::playing("listen [::1]:8080");
        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!(codes(tcp), ["listener", "listener", "split-localhost"]);
        assert_eq!(numbers(&finding(tcp, "split-localhost")["pids"]), [std::process::id(), ipv6.pid()]);

        // One server on both is none of that, and neither is one on a single address.
        let _both = [TcpListener::bind("127.0.0.1:8081").unwrap(), TcpListener::bind("[::1]:8081").unwrap()];
        let _one = TcpListener::bind("127.0.0.1:8082").unwrap();
        let _dual = TcpListener::bind("[::]:8083").unwrap();
        for number in [8081, 8082, 8083] {
            let answer = json(&[&format!("{number}/tcp")]);
            assert_eq!(codes(port(&answer, number, "tcp")), ["listener"]);
        }
    });
}

#[test]
fn a_specific_address_goes_before_a_wildcard() {
    in_namespace("a_specific_address_goes_before_a_wildcard", || {
        // v6only, or the kernel would not have both.
        let wildcard = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
        wildcard.set_only_v6(true).unwrap();
        wildcard.bind(&"[::]:8080".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        wildcard.listen(1).unwrap();
        let (ipv4, _) = Role::playing("listen 127.0.0.1:8080");
        let answer = json(&["8080/tcp"]);
        let split = finding(port(&answer, 8080, "tcp"), "split-localhost");
        assert_eq!(numbers(&split["pids"]), [ipv4.pid(), std::process::id()]);
    });
}

#[test]
fn connections_that_nobody_accepts_are_told() {
    in_namespace("connections_that_nobody_accepts_are_told", || {
        let address: std::net::SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(2).unwrap();
        let found = |waiting: u64| {
            let answer = json(&["8080/tcp"]);
            let tcp = port(&answer, 8080, "tcp");
            let code = codes(tcp).pop().unwrap().to_owned();
            assert_eq!(finding(tcp, &code)["details"]["waiting"], waiting);
            code
        };
        let mut clients: Vec<_> = (0..2).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        assert_eq!(found(2), "accept-queue");
        clients.push(std::net::TcpStream::connect(address).unwrap());
        assert_eq!(found(3), "backlog-full");
        assert_eq!(run(&["8080/tcp"]).code, 1);
    });
}

#[test]
fn every_verdict_can_be_explained() {
    let list = run(&["--explain"]);
    assert_eq!((list.code, &*list.stderr), (0, ""));
    let explained: Vec<&str> = list.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(explained.len() > 10 && explained.contains(&"listener"), "{explained:?}");
    for code in explained {
        let one = run(&["--explain", code]);
        assert_eq!(one.code, 0);
        assert!(one.first_line().starts_with(code), "{}", one.stdout);
        for part in ["Why it happens:", "How it is detected:", "What to do:"] {
            assert!(one.stdout.contains(part), "{}", one.stdout);
        }
    }
    let unknown = run(&["--explain", "nonsense"]);
    assert_eq!((unknown.code, unknown.stderr.lines().count()), (2, 1));
}
