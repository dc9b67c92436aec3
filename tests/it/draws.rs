//! Nothing is false: whatever sockets are drawn, portcheck says what a bind by an independent program finds.
//!
//! That program is Python, which shares no code with this one. `PORTCHECK_DRAWS=5000 cargo test --test draws` draws more.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::common::{has, in_namespace, json, port, skip};
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
    /// One that the server has closed, and the client has not.
    Orphan,
    /// What is left of one that both have closed.
    TimeWait,
    /// A connection to elsewhere that has its port by itself.
    Outgoing,
    /// A connection with itself.
    Itself,
    Datagram,
}

#[derive(Debug, Clone)]
struct Drawn {
    kind: Kind,
    address: IpAddr,
    v6only: bool,
    reuse_address: bool,
    reuse_port: bool,
}

const ADDRESSES: [&str; 6] = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"];

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop::sample::select(ADDRESSES.to_vec()).prop_map(|address| address.parse().unwrap())
}

fn any_drawn() -> impl Strategy<Value = Drawn> {
    let kinds = vec![
        Kind::Bound,
        Kind::Listening,
        Kind::Accepted,
        Kind::Orphan,
        Kind::TimeWait,
        Kind::Outgoing,
        Kind::Itself,
        Kind::Datagram,
    ];
    (prop::sample::select(kinds), any_address(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(kind, address, v6only, reuse_address, reuse_port)| Drawn { kind, address, v6only, reuse_address, reuse_port },
    )
}

/// A bound socket, or why there is none.
fn bind(drawn: &Drawn, port: u16, kind: Type) -> std::io::Result<Socket> {
    let address = SocketAddr::new(drawn.address, port);
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if let IpAddr::V6(address) = address.ip() {
        socket.set_only_v6(drawn.v6only && address.to_ipv4_mapped().is_none())?;
    }
    socket.set_reuse_address(drawn.reuse_address)?;
    socket.set_reuse_port(drawn.reuse_port)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Where one connects to reach a server on `address`: a wildcard by the loopback address.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => [127, 0, 0, 1].into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other.to_canonical(),
    }
}

/// Makes what was drawn on `port`, with servers for connections to elsewhere on `elsewhere`. One that does not fit beside
/// the others is left out.
fn make(drawn: &Drawn, port: u16, elsewhere: u16) -> std::io::Result<Vec<Socket>> {
    let to = reachable(drawn.address);
    match drawn.kind {
        Kind::Bound => return Ok(vec![bind(drawn, port, Type::STREAM)?]),
        Kind::Datagram => return Ok(vec![bind(drawn, port, Type::DGRAM)?]),
        Kind::Itself => {
            let socket = bind(drawn, port, Type::STREAM)?;
            socket.connect(&SocketAddr::new(to, port).into())?;
            return Ok(vec![socket]);
        }
        Kind::Outgoing => {
            let server = std::net::TcpListener::bind((to, elsewhere))?;
            let socket = bind(drawn, port, Type::STREAM)?;
            socket.connect(&SocketAddr::new(to, elsewhere).into())?;
            return Ok(vec![socket, server.into()]);
        }
        Kind::Listening | Kind::Accepted | Kind::Orphan | Kind::TimeWait => {}
    }
    let socket = bind(drawn, port, Type::STREAM)?;
    socket.listen(4)?;
    if drawn.kind == Kind::Listening {
        return Ok(vec![socket]);
    }
    let client = TcpStream::connect((to, port))?;
    // With SO_REUSEPORT, another one of the group may have got the connection.
    socket.set_nonblocking(true)?;
    let (accepted, _) = socket.accept()?;
    drop(socket);
    match drawn.kind {
        Kind::Accepted => Ok(vec![accepted, client.into()]),
        Kind::Orphan => Ok(vec![client.into()]),
        // Who closes first keeps the remnant.
        _ => {
            drop(accepted);
            drop(client);
            Ok(Vec::new())
        }
    }
}

/// Binds as it is told to, a line each: `tcp|udp ADDRESS PORT V6ONLY REUSE`. Says `ok`, `in-use`, or the error.
const BINDER: &str = r#"
import errno, socket, sys
for line in sys.stdin:
    protocol, address, port, v6only, reuse = line.split()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as s:
        if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only == "true")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse == "true")
        try:
            s.bind((address, int(port)))
            print("ok", flush=True)
        except OSError as error:
            print("in-use" if error.errno == errno.EADDRINUSE else error, flush=True)
"#;

/// The independent program.
struct Binder {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Binder {
    fn start() -> Self {
        let mut child =
            Command::new("python3").args(["-c", BINDER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers }
    }

    /// What it finds where `attempt` says, in the words of the JSON.
    fn result(&mut self, attempt: &Value, port: u16, protocol: &str) -> String {
        let address = attempt["address"].as_str().unwrap();
        // A v4-mapped address needs a socket that takes IPv4 as well.
        let v6only = attempt["v6only"].as_bool().unwrap_or_default() && !address.starts_with("::ffff:");
        writeln!(self.questions, "{protocol} {address} {port} {v6only} {}", attempt["reuse_address"]).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Binder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn whatever_is_there_portcheck_says_what_bind_finds() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3 to bind independently");
        }
        let draws = std::env::var("PORTCHECK_DRAWS").ok().and_then(|draws| draws.parse().ok()).unwrap_or(500);
        let ports = std::cell::Cell::new(10_000);
        let binder = std::cell::RefCell::new(Binder::start());
        let config = Config { cases: draws, failure_persistence: None, ..Config::default() };
        let drawn = (prop::collection::vec(any_drawn(), 0..4), any_address());
        TestRunner::new(config)
            .run(&drawn, |(drawn, asked)| {
                // A port for each draw, since remnants outlive it; below those that clients get, and with another one
                // for servers to connect to.
                ports.set(if ports.get() == 19_998 { 10_000 } else { ports.get() + 1 });
                let next: u16 = ports.get();
                let made = drawn.iter().filter_map(|drawn| make(drawn, next, next + 10_000).ok());
                let sockets: Vec<Socket> = made.flatten().collect();
                for protocol in ["tcp", "udp"] {
                    agrees(&mut binder.borrow_mut(), next, protocol, None)?;
                    agrees(&mut binder.borrow_mut(), next, protocol, Some(asked))?;
                }
                drop(sockets);
                Ok(())
            })
            .unwrap();
    });
}

/// Asks about a port, on an address or on all, and compares every line and the status with what the binder finds.
fn agrees(binder: &mut Binder, number: u16, protocol: &str, address: Option<IpAddr>) -> Result<(), TestCaseError> {
    let target = match address {
        None => format!("{number}/{protocol}"),
        Some(address) => format!("{}/{protocol}", SocketAddr::new(address, number)),
    };
    let answer = json(&[&target]);
    let found = port(&answer, number, protocol);
    let attempts = found["bind"].as_array().unwrap();
    let spots = if address.is_some() { 1 } else { 5 };
    prop_assert_eq!(attempts.len(), if protocol == "tcp" { 2 * spots } else { spots });
    for attempt in attempts.iter().chain(found["bind_elsewhere"].as_array().unwrap()) {
        prop_assert_eq!(&attempt["result"], &binder.result(attempt, number, protocol), "{}: {}", target, attempt);
    }
    let all_work = |reuse_address: bool| {
        attempts.iter().all(|attempt| attempt["reuse_address"] != reuse_address || attempt["result"] == "ok")
    };
    let expected = if all_work(false) { "free" } else { "held" };
    prop_assert_eq!(&found["status"], expected, "{:#}", answer);
    let unseen = found["sockets"].as_array().unwrap().is_empty();
    prop_assert!(expected == "free" || !unseen, "held by nothing: {:#}", answer);
    if protocol == "tcp" {
        let expected = if all_work(true) { "free" } else { "held" };
        let answer = json(&[&target, "--reuse-addr"]);
        prop_assert_eq!(&port(&answer, number, protocol)["status"], expected, "{:#}", answer);
    }
    Ok(())
}
