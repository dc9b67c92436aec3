//! What bind(2) adds to what can be seen: remnants that SO_REUSEADDR gets past, ports that nobody holds and that still
//! may not be bound.

mod common;

use std::net::{SocketAddr, TcpListener, TcpStream};

use common::role::bound;
use common::seccomp::portcheck_without;
use common::{codes, in_namespace, is_root, json, json_as_nobody, json_of, port, run, skip};
use serde_json::{Value, json as value};
use socket2::{Domain, Socket, Type};

/// A listener on `address`, with or without SO_REUSEADDR; the standard library always sets it.
fn listen(address: &str, reuse_address: bool) -> Socket {
    let address: SocketAddr = address.parse().unwrap();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(reuse_address).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(8).unwrap();
    socket
}

/// Leaves a TIME_WAIT on `address`: who closes first keeps it.
fn leave_time_wait(address: &str, reuse_address: bool) {
    let listener = listen(address, reuse_address);
    let client = TcpStream::connect(address).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    drop((listener, accepted));
    drop(client);
}

#[test]
fn an_ipv6_connection_keeps_the_ipv4_wildcard() {
    in_namespace("an_ipv6_connection_keeps_the_ipv4_wildcard", || {
        let _listener = TcpListener::bind("[::1]:8080").unwrap();
        let client = TcpStream::connect("[::1]:8080").unwrap();
        let own = client.local_addr().unwrap().port();
        let wildcard = format!("0.0.0.0:{own}/tcp");
        let answer = json(&[&wildcard]);
        let tcp = port(&answer, own, "tcp");
        assert_eq!((bind_on(tcp, "0.0.0.0", &Value::Null), &tcp["status"]), ("in-use", &value!("held")));
        assert_eq!(codes(tcp)[0], "outgoing-connection");
        assert_eq!(tcp["findings"][0]["pids"], value!([std::process::id()]));
        assert_eq!(json(&[&format!("127.0.0.1:{own}/tcp")])["exit_code"], 0);
        assert_eq!(codes(port(&json(&["-4", &own.to_string()]), own, "tcp"))[0], "outgoing-connection");
    });
}

/// What bind said on an address without SO_REUSEADDR.
#[track_caller]
fn bind_on<'a>(port: &'a Value, address: &str, v6only: &Value) -> &'a str {
    let attempts = port["bind"].as_array().unwrap();
    let is_it = |attempt: &&Value| {
        attempt["address"] == address && attempt["v6only"] == *v6only && attempt["reuse_address"] == false
    };
    attempts.iter().find(is_it).unwrap()["result"].as_str().unwrap()
}

#[test]
fn every_way_to_bind_is_told() {
    in_namespace("every_way_to_bind_is_told", || {
        let _listener = TcpListener::bind("[::1]:8080").unwrap();
        let answer = json(&["8080"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!(tcp["bind"].as_array().unwrap().len(), 10);
        assert_eq!(port(&answer, 8080, "udp")["bind"].as_array().unwrap().len(), 5);
        assert_eq!((bind_on(tcp, "127.0.0.1", &Value::Null), bind_on(tcp, "0.0.0.0", &Value::Null)), ("ok", "ok"));
        assert_eq!(bind_on(tcp, "::1", &value!(true)), "in-use");
        assert_eq!((bind_on(tcp, "::", &value!(false)), bind_on(tcp, "::", &value!(true))), ("in-use", "in-use"));
        let errno = tcp["bind"].as_array().unwrap().iter().find(|attempt| attempt["result"] == "in-use").unwrap();
        assert_eq!(errno["errno"], "EADDRINUSE");
        let text = run(&["8080/tcp"]).stdout;
        assert!(text.contains("bind: 127.0.0.1 free · 0.0.0.0 free · [::1] in use · [::] in use"), "{text}");
        assert_eq!(json(&["8080", "--no-probe"])["ports"][0]["bind"], value!([]));
    });
}

#[test]
fn a_plain_time_wait_is_no_conflict_for_a_server_that_sets_reuse_address() {
    in_namespace("a_plain_time_wait_is_no_conflict_for_a_server_that_sets_reuse_address", || {
        leave_time_wait("127.0.0.1:8080", true);
        let answer = json(&["8080/tcp"]);
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["time-wait"]);
        assert!(run(&["8080/tcp"]).stdout.contains("SO_REUSEADDR in the server, which helps here"));
        let answer = json(&["8080/tcp", "--reuse-addr"]);
        assert_eq!((codes(port(&answer, 8080, "tcp")), &answer["exit_code"]), (vec!["free"], &value!(0)));
        // It is as said.
        assert!(bind_fails(8080, false));
        drop(listen("127.0.0.1:8080", true));
    });
}

#[test]
fn a_stubborn_time_wait_is_one_for_everybody() {
    in_namespace("a_stubborn_time_wait_is_one_for_everybody", || {
        leave_time_wait("127.0.0.1:8080", false);
        for arguments in [&["8080/tcp"][..], &["8080/tcp", "--reuse-addr"]] {
            let answer = json(arguments);
            assert_eq!(
                (codes(port(&answer, 8080, "tcp")), &answer["exit_code"]),
                (vec!["time-wait-stubborn"], &value!(1))
            );
        }
        assert!(bind_fails(8080, false) && bind_fails(8080, true));
    });
}

fn bind_fails(port: u16, reuse_address: bool) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(reuse_address).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into()).is_err()
}

#[test]
fn a_bound_socket_with_reuse_address_is_in_the_way_of_others_only() {
    in_namespace("a_bound_socket_with_reuse_address_is_in_the_way_of_others_only", || {
        let shared = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        shared.set_reuse_address(true).unwrap();
        shared.bind(&"127.0.0.1:8080".parse::<SocketAddr>().unwrap().into()).unwrap();
        let _selfish = bound("127.0.0.1:8081".parse().unwrap());
        assert_eq!((run(&["8080/tcp"]).code, run(&["8080/tcp", "--reuse-addr"]).code), (1, 0));
        assert_eq!((run(&["8081/tcp"]).code, run(&["8081/tcp", "--reuse-addr"]).code), (1, 1));
        // Who listens is always in the way.
        shared.listen(1).unwrap();
        assert_eq!(run(&["8080/tcp", "--reuse-addr"]).code, 1);
    });
}

#[test]
fn a_privileged_port_is_blocked_until_the_remedy_is_run() {
    in_namespace("a_privileged_port_is_blocked_until_the_remedy_is_run", || {
        if !is_root() {
            return skip("needs root to be two users");
        }
        // Namespaces made by an old systemd may start with another limit.
        std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024").unwrap();
        let answer = json_as_nobody(&["80/tcp"]);
        let tcp = port(&answer, 80, "tcp");
        assert_eq!(
            (&tcp["status"], codes(tcp), &answer["exit_code"]),
            (&value!("blocked"), vec!["privileged-port"], &value!(1))
        );
        assert_eq!(bind_on(tcp, "127.0.0.1", &Value::Null), "access-denied");
        assert_eq!(json(&["80/tcp"])["exit_code"], 0, "root may bind it");
        assert_eq!(json_as_nobody(&["80/tcp", "--no-probe"])["exit_code"], 0, "nobody holds it");

        let remedy = tcp["findings"][0]["remedies"][1]["command"].as_str().unwrap();
        let setting = remedy.strip_prefix("sudo sysctl net.ipv4.ip_unprivileged_port_start=").unwrap();
        std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", setting).unwrap();
        assert_eq!(json_as_nobody(&["80/tcp"])["exit_code"], 0);
    });
}

#[test]
fn a_sandbox_that_forbids_bind_is_named() {
    in_namespace("a_sandbox_that_forbids_bind_is_named", || {
        // As a seccomp filter or a BPF program of the cgroup may have it.
        let Some(command) = portcheck_without("bind", &["8080/tcp"]) else { return };
        let answer = json_of(command);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!(
            (&tcp["status"], codes(tcp), &answer["exit_code"]),
            (&value!("blocked"), vec!["sandbox-denied"], &value!(1))
        );
        assert_eq!(bind_on(tcp, "127.0.0.1", &Value::Null), "not-permitted");
    });
}

#[test]
fn a_port_of_the_ephemeral_range_is_free_with_a_warning() {
    in_namespace("a_port_of_the_ephemeral_range_is_free_with_a_warning", || {
        if !is_root() {
            return skip("needs root to set the range");
        }
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40007").unwrap();
        let answer = json(&["40000/tcp"]);
        assert_eq!(
            (codes(port(&answer, 40000, "tcp")), &answer["exit_code"]),
            (vec!["ephemeral-port", "free"], &value!(0))
        );
        assert!(run(&["40000"]).stdout.contains("but 40000/tcp lies in 40000-40007"));
        assert_eq!(codes(port(&json(&["40008/tcp"]), 40008, "tcp")), ["free"]);
        // A reserved port is safe even inside the range.
        std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "39999,40001-40002").unwrap();
        assert_eq!(codes(port(&json(&["40001/tcp"]), 40001, "tcp")), ["reserved-port", "free"]);
        assert_eq!(codes(port(&json(&["40003/tcp"]), 40003, "tcp")), ["ephemeral-port", "free"]);
    });
}
