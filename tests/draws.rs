//! Nothing is false: whatever sockets are drawn, portcheck says what a bind of our own finds.
//!
//! `PORTCHECK_DRAWS=500 cargo test --test draws` draws more.

mod common;

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};

use common::{in_namespace, json, port};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bound,
    Listening,
    /// A connection that was accepted, lives on, and lost its listener.
    Accepted,
    /// What is left of one.
    TimeWait,
    Datagram,
}

#[derive(Debug, Clone)]
struct Drawn {
    kind: Kind,
    address: IpAddr,
    v6only: bool,
    reuse_address: bool,
}

fn any_drawn() -> impl Strategy<Value = Drawn> {
    let kinds = [Kind::Bound, Kind::Listening, Kind::Accepted, Kind::TimeWait, Kind::Datagram];
    let addresses = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"];
    let address = prop::sample::select(addresses.to_vec()).prop_map(|address| address.parse().unwrap());
    (prop::sample::select(kinds.to_vec()), address, any::<bool>(), any::<bool>())
        .prop_map(|(kind, address, v6only, reuse_address)| Drawn { kind, address, v6only, reuse_address })
}

/// A bound socket, or why there is none.
fn bind(address: SocketAddr, kind: Type, v6only: bool, reuse_address: bool) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if let IpAddr::V6(address) = address.ip() {
        socket.set_only_v6(v6only && address.to_ipv4_mapped().is_none())?;
    }
    socket.set_reuse_address(reuse_address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Makes what was drawn on `port`. One that does not fit beside the others is left out.
fn make(drawn: &Drawn, port: u16) -> std::io::Result<Vec<Socket>> {
    let kind = if drawn.kind == Kind::Datagram { Type::DGRAM } else { Type::STREAM };
    let socket = bind(SocketAddr::new(drawn.address, port), kind, drawn.v6only, drawn.reuse_address)?;
    if matches!(drawn.kind, Kind::Bound | Kind::Datagram) {
        return Ok(vec![socket]);
    }
    socket.listen(4)?;
    if drawn.kind == Kind::Listening {
        return Ok(vec![socket]);
    }
    // To a wildcard one connects by the loopback address.
    let to: IpAddr = match drawn.address {
        IpAddr::V4(address) if address.is_unspecified() => [127, 0, 0, 1].into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other.to_canonical(),
    };
    let client = TcpStream::connect((to, port))?;
    let (accepted, _) = socket.accept()?;
    drop(socket);
    if drawn.kind == Kind::Accepted {
        return Ok(vec![accepted, client.into()]);
    }
    // Who closes first keeps the remnant.
    drop(accepted);
    drop(client);
    Ok(Vec::new())
}

/// What our own bind finds, in the words of the JSON.
fn result(attempt: &Value, port: u16, kind: Type) -> &'static str {
    let address: IpAddr = attempt["address"].as_str().unwrap().parse().unwrap();
    let v6only = attempt["v6only"].as_bool().unwrap_or_default();
    match bind(SocketAddr::new(address, port), kind, v6only, attempt["reuse_address"].as_bool().unwrap()) {
        Ok(_) => "ok",
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => "in-use",
        Err(error) => panic!("{attempt}: {error}"),
    }
}

#[test]
fn whatever_is_there_portcheck_says_what_bind_finds() {
    in_namespace("whatever_is_there_portcheck_says_what_bind_finds", || {
        let draws = std::env::var("PORTCHECK_DRAWS").ok().and_then(|draws| draws.parse().ok()).unwrap_or(150);
        let ports = std::cell::Cell::new(10_000);
        let config = Config { cases: draws, failure_persistence: None, ..Config::default() };
        let drawn = prop::collection::vec(any_drawn(), 0..4);
        TestRunner::new(config)
            .run(&drawn, |drawn| {
                // A port for each draw, since remnants outlive it; below those that clients get.
                ports.set(if ports.get() == 30_000 { 10_000 } else { ports.get() + 1 });
                let next: u16 = ports.get();
                let sockets: Vec<Socket> = drawn.iter().filter_map(|drawn| make(drawn, next).ok()).flatten().collect();
                for (protocol, kind) in [("tcp", Type::STREAM), ("udp", Type::DGRAM)] {
                    let target = format!("{next}/{protocol}");
                    let answer = json(&[&target]);
                    let found = port(&answer, next, protocol);
                    let attempts = found["bind"].as_array().unwrap();
                    prop_assert_eq!(attempts.len(), if protocol == "tcp" { 10 } else { 5 });
                    let all_work = |reuse_address: bool| {
                        let plain = attempts.iter().filter(|attempt| attempt["reuse_address"] == reuse_address);
                        plain.clone().count() > 0 && plain.clone().all(|attempt| attempt["result"] == "ok")
                    };
                    for attempt in attempts {
                        prop_assert_eq!(&attempt["result"], result(attempt, next, kind), "{}: {}", target, attempt);
                    }
                    let expected = if all_work(false) { "free" } else { "held" };
                    prop_assert_eq!(&found["status"], expected, "{:#}", answer);
                    let unseen = found["sockets"].as_array().unwrap().is_empty();
                    prop_assert!(expected == "free" || !unseen, "held by nothing: {:#}", answer);
                    if protocol == "tcp" {
                        let expected = if all_work(true) { "free" } else { "held" };
                        let answer = json(&[&target, "--reuse-addr"]);
                        prop_assert_eq!(&port(&answer, next, protocol)["status"], expected, "{:#}", answer);
                    }
                }
                drop(sockets);
                Ok(())
            })
            .unwrap();
    });
}
