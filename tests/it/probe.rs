//! How bind(2) is tried and reported. The scenarios prove what its answers mean.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::common::role::bound;
use crate::common::{codes, in_namespace, json, port, run};
use serde_json::{Value, json as value};
use socket2::{Domain, Socket, Type};

#[test]
fn an_ipv6_connection_keeps_the_ipv4_wildcard() {
    in_namespace(|| {
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
    in_namespace(|| {
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
        let text = run(&["8080/tcp", "-v"]).stdout;
        assert!(text.contains("bind tcp: 127.0.0.1 free · 0.0.0.0 free · [::1] in use · [::] in use"), "{text}");
        assert_eq!(json(&["8080", "--no-probe"])["ports"][0]["bind"], value!([]));
    });
}

#[test]
fn a_bound_socket_with_reuse_address_is_in_the_way_of_others_only() {
    in_namespace(|| {
        let shared = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        shared.set_reuse_address(true).unwrap();
        shared.bind(&"127.0.0.1:8080".parse::<SocketAddr>().unwrap().into()).unwrap();
        let _selfish = bound("127.0.0.1:8081".parse().unwrap());
        assert_eq!((run(&["8080/tcp"]).code, run(&["8080/tcp", "--reuse-addr"]).code), (1, 0));
        assert_eq!((run(&["8081/tcp"]).code, run(&["8081/tcp", "--reuse-addr"]).code), (1, 1));
        // A listener always blocks it.
        shared.listen(1).unwrap();
        assert_eq!(run(&["8080/tcp", "--reuse-addr"]).code, 1);
    });
}
