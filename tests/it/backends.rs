//! The portable backend and the native one, on the same sockets.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};

use crate::common::role::{Role, bound};
use crate::common::{codes, in_namespace, json, numbers, port, run};
use serde_json::Value;

/// Protocol, address, port, state and owners of every socket.
fn sockets(answer: &Value) -> BTreeSet<(String, String, u64, String, Vec<u32>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ports = answer["ports"].as_array().unwrap().iter();
    ports
        .flat_map(|port| port["sockets"].as_array().unwrap())
        .map(|socket| {
            let mut pids = numbers(&socket["owners"]["pids"]);
            pids.sort_unstable();
            let local = &socket["local"];
            (
                text(&socket["protocol"]),
                text(&local["address"]),
                local["port"].as_u64().unwrap(),
                text(&socket["state"]),
                pids,
            )
        })
        .collect()
}

#[test]
fn both_backends_see_the_same() {
    in_namespace(|| {
        let _tcp = [TcpListener::bind("127.0.0.1:8080").unwrap(), TcpListener::bind("[::]:8081").unwrap()];
        let _udp = [UdpSocket::bind("0.0.0.0:5353").unwrap(), UdpSocket::bind("[::1]:5354").unwrap()];
        let (_role, _) = Role::playing("listen 127.0.0.2:8080");
        let (native, portable) = (json(&[]), json(&["--backend", "portable"]));
        assert_eq!((&native["host"]["backend"], &portable["host"]["backend"]), (&"native".into(), &"portable".into()));
        assert_eq!(sockets(&native).len(), 5);
        assert_eq!(sockets(&native), sockets(&portable));

        let (native, portable) = (json(&["8080/tcp"]), json(&["8080/tcp", "--backend", "portable"]));
        let names = |answer: &Value| -> Vec<Value> {
            let processes = answer["processes"].as_array().unwrap();
            processes
                .iter()
                .map(|process| {
                    serde_json::json!([
                        process["pid"],
                        process["name"],
                        process["command"],
                        process["cwd"],
                        process["started_at"],
                        process["ancestors"]
                    ])
                })
                .collect()
        };
        assert_eq!(names(&native), names(&portable));
        assert_eq!(codes(port(&portable, 8080, "tcp")), ["listener", "listener"]);
    });
}

#[test]
fn the_portable_backend_never_calls_free_what_it_cannot_see() {
    in_namespace(|| {
        let _bound = bound("127.0.0.1:8080".parse().unwrap());
        let portable = |arguments: &[&str]| json(&[arguments, &["--backend", "portable"]].concat());
        let answer = portable(&["8080/tcp", "--no-probe"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((&tcp["status"], codes(tcp), &answer["exit_code"]), (&"unknown".into(), vec!["unseen"], &3.into()));
        assert_eq!(answer["gaps"][0]["code"], "bound-sockets-unlisted");
        let text = run(&["8080/tcp", "--backend", "portable", "--no-probe"]);
        assert!(text.first_line().starts_with("8080/tcp: cannot tell whether it is free: "), "{text:?}");
        // bind notices what cannot be seen.
        let answer = portable(&["8080-8081/tcp"]);
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["hidden-owner"]);
        assert_eq!(codes(port(&answer, 8081, "tcp")), ["free"]);
    });
}
