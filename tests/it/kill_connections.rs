//! `portcheck kill` where the port has connections, or what is left of them.

use std::net::{TcpListener, TcpStream};

use crate::common::role::Role;
use crate::common::server::until;
use crate::common::{codes, in_namespace, is_root, json, json_as_nobody, numbers, port, run, skip};
use crate::kill::{is_running, outcome, steps};
use serde_json::json as value;

#[test]
fn a_client_on_the_port_survives() {
    in_namespace(|| {
        let (server, _) = Role::playing("serve 127.0.0.1:8080 reuse-address");
        let (client, _) = Role::playing("connect 127.0.0.1:8080");
        let answer = json(&["8080", "--kill", "--yes", "--clients", "--force", "--reuse-addr"]);
        assert_eq!(steps(&answer), [(server.pid().into(), "TERM", "done")]);
        assert!(is_running(client.pid()), "{answer:#}");
    });
}

/// A server on 127.0.0.1:8080 with an accepted connection, and the other end of it.
fn connected() -> (Role, TcpStream) {
    let (server, _) = Role::playing("serve 127.0.0.1:8080 reuse-address");
    let client = TcpStream::connect("127.0.0.1:8080").unwrap();
    until("it is accepted", || {
        let answer = json(&["8080/tcp", "--all"]);
        let sockets = port(&answer, 8080, "tcp")["sockets"].as_array().unwrap().clone();
        sockets.iter().any(|socket| socket["state"] == "established" && socket["owners"]["kind"] == "known")
    });
    (server, client)
}

#[test]
fn live_connections_leave_remnants_that_are_named_or_dropped() {
    in_namespace(|| {
        let (server, client) = connected();
        let answer = json(&["8080", "--kill", "--yes"]);
        assert_eq!(steps(&answer), [(server.pid().into(), "TERM", "done")]);
        assert_eq!(outcome(&answer), (&value!("remnants"), &value!(1)), "{answer:#}");
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["orphaned-connection"]);
        // The peer closes, too: then the remnant ends after a known time.
        drop(client);
        until("it is in TIME_WAIT", || codes(&json(&["8080/tcp"])["ports"][0]) == ["time-wait"]);
        let refused = run(&["8080/tcp", "--kill"]);
        assert!(refused.code == 1 && refused.stdout.contains("1 closed connection holds it for "), "{refused:?}");
        assert!(refused.stdout.contains("--remnants"), "{refused:?}");
        // It is free for a server that sets SO_REUSEADDR.
        assert_eq!(outcome(&json(&["8080/tcp", "--kill", "--reuse-addr"])), (&value!("already-free"), &value!(0)));

        // The root of a user namespace has that privilege inside it.
        let answer = json(&["8080/tcp", "--kill", "--remnants", "--yes"]);
        let step = &answer["kill"]["steps"][0];
        assert_eq!(
            (&step["action"], &step["result"], &step["local"]["port"]),
            (&value!("drop"), &value!("done"), &value!(8080))
        );
        assert_eq!(outcome(&answer), (&value!("freed"), &value!(0)), "{answer:#}");
        TcpListener::bind("127.0.0.1:8080").unwrap();

        let (_server, _client) = connected();
        let answer = json(&["8080", "--kill", "--remnants", "--yes"]);
        assert_eq!(outcome(&answer), (&value!("freed"), &value!(0)), "{answer:#}");
    });
}

#[test]
fn remnants_of_a_port_that_stays_held_are_left_alone() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        // This test starts portcheck.
        drop((accepted, client));
        let answer = json(&["8080/tcp", "--kill", "--remnants", "--clients", "--yes"]);
        assert_eq!((outcome(&answer), &answer["kill"]["steps"]), ((&value!("refused"), &value!(1)), &value!([])));
    });
}

#[test]
fn remnants_need_privilege_and_that_is_said() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be somebody without privilege");
        }
        let (server, _client) = connected();
        drop(server);
        until("it is orphaned", || codes(&json(&["8080/tcp"])["ports"][0]) == ["orphaned-connection"]);
        let answer = json_as_nobody(&["8080/tcp", "--kill", "--remnants", "--yes"]);
        let step = &answer["kill"]["steps"][0];
        assert_eq!((&step["result"], outcome(&answer)), (&value!("not-permitted"), (&value!("remnants"), &value!(1))));
        assert!(step["reason"].as_str().unwrap().contains("root"));
    });
}

#[test]
fn an_outgoing_connection_is_ended_only_with_clients() {
    in_namespace(|| {
        let _server = TcpListener::bind("127.0.0.1:9000").unwrap();
        let (client, own) = Role::playing("connect 127.0.0.1:9000");
        let own = own.rsplit(':').next().unwrap();
        let answer = json(&[&format!("{own}/tcp"), "--kill", "--yes"]);
        assert_eq!((outcome(&answer), steps(&answer)), ((&value!("refused"), &value!(1)), vec![]));
        let refusal = &answer["kill"]["refused"][0];
        assert_eq!(numbers(&refusal["pids"]), [client.pid()]);
        assert!(refusal["remedies"][0]["command"].as_str().unwrap().ends_with(" --clients"), "{refusal}");
        assert!(is_running(client.pid()));
        let answer = json(&[&format!("{own}/tcp"), "--kill", "--yes", "--clients"]);
        assert_eq!(steps(&answer), [(client.pid().into(), "TERM", "done")]);
        assert!(!is_running(client.pid()));
    });
}
