//! Which ports `portcheck free` takes for free, and which it prefers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use crate::common::lease::{Leases, Somebody, bind, pick, pick_one, ports_of};
use crate::common::seccomp::portcheck_without;
use crate::common::{in_namespace, is_root, json, json_of, skip};
use crate::free::count;
use serde_json::json as value;
use socket2::{Domain, Socket, Type};

/// Whether the one port of a range is picked.
fn is_picked(port: u16, options: &[&str]) -> bool {
    let range = format!("{port}-{port}");
    let answer = json(&[&["--free", "--ttl", "0", "--range", &range], options].concat());
    let picked = !ports_of(&answer).is_empty();
    assert_eq!((count(&answer, "in-use"), answer["exit_code"] == 1), (u64::from(!picked), !picked), "{answer:#}");
    picked
}

/// A port that a socket has is not picked, whatever the state of the socket, and whether or not a
/// listing shows it.
#[test]
fn free_means_that_nothing_has_it() {
    in_namespace(|| {
        const PORT: u16 = 20_015;
        let any = |address: &str| -> SocketAddr { format!("{address}:{PORT}").parse().unwrap() };
        let is_held = |what: &str| assert!(!is_picked(PORT, &[]), "{what}");
        assert!(is_picked(PORT, &[]), "nothing has it yet");

        for address in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]", "127.9.9.9", "[::ffff:127.0.0.1]"] {
            let listener = TcpListener::bind(any(address)).unwrap();
            is_held(&format!("a listener on {address}"));
            drop(listener);
            let udp = UdpSocket::bind(any(address)).unwrap();
            is_held(&format!("UDP on {address}"));
            assert!(is_picked(PORT, &["--tcp"]), "UDP does not matter for TCP");
            drop(udp);
        }
        let bound = bind(Ipv4Addr::LOCALHOST, PORT, Type::STREAM, true).unwrap();
        is_held("bound with SO_REUSEADDR, not listening");
        assert!(is_picked(PORT, &["--udp"]), "TCP does not matter for UDP");
        drop(bound);
        let v6only = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        v6only.set_only_v6(true).unwrap();
        v6only.bind(&any("[::]").into()).unwrap();
        is_held("bound on IPv6 only");
        assert!(is_picked(PORT, &["-4"]) && !is_picked(PORT, &["-6"]));
        assert!(is_picked(PORT, &["--addr", "127.0.0.1"]) && !is_picked(PORT, &["--addr", "::1"]));
        assert!(!is_picked(PORT, &["--addr", "localhost"]), "which is both");
        drop(v6only);
        let connected = UdpSocket::bind(any("127.0.0.1")).unwrap();
        connected.connect("127.0.0.1:9").unwrap();
        is_held("a connected UDP socket, which ss -ul does not list");
        drop(connected);

        // An outgoing connection, and what is left of it.
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = bind(Ipv4Addr::LOCALHOST, PORT, Type::STREAM, true).unwrap();
        client.connect(&server.local_addr().unwrap().into()).unwrap();
        let (accepted, _) = server.accept().unwrap();
        is_held("an outgoing connection");
        drop(client);
        is_held("half closed, without a process");
        drop(accepted);
        is_held("TIME_WAIT");
        assert!(is_picked(PORT, &["--addr", "127.0.0.2"]), "which lies on another address");
        assert!(is_picked(PORT + 1, &[]));
    });
}

#[test]
fn what_a_person_names_comes_first() {
    in_namespace(|| {
        let _leases = Leases;
        // Assigned by IANA, and in no range: whoever names it knows that.
        let somebody = Somebody::new();
        assert_eq!(somebody.pick_one(&["--prefer", "8080"]), 8080);
        assert_eq!(pick_one(&["--prefer", "8080", "--prefer", "40001"]), 40001, "8080 is leased");
        let next = pick_one(&["--prefer", "8080"]);
        assert!((20_000..30_000).contains(&next), "the next best: {next}");
        assert_eq!(pick(&["3", "--prefer", "3000-3002"]), [3000, 3001, 3002]);
        let near = pick_one(&["--near", "8080"]);
        assert!(near.abs_diff(8080) < 30 && near != 8080, "{near}");
        let dynamic = pick_one(&["--class", "dynamic"]);
        assert!(dynamic >= 49_152, "{dynamic}");
        let registered = pick_one(&["--class", "registered", "--range", "49000-50000", "--prefer", "49100"]);
        assert_eq!(registered, 49_100);
        assert_eq!(pick_one(&["--range", "20010-20011,20015", "--near", "20016"]), 20_015);
    });
}

#[test]
fn no_ipv6_is_no_obstacle() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to switch IPv6 off");
        }
        let _leases = Leases;
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        pick_one(&[]);
        pick_one(&["-4"]);
        // A kernel that was built without IPv6: EAFNOSUPPORT for AF_INET6.
        if let Some(command) = portcheck_without("socket=10!97", &["--free"]) {
            let answer = json_of(command);
            assert_eq!((&answer["exit_code"], ports_of(&answer).len()), (&value!(0), 1), "{answer:#}");
        }
        // A sandbox that forbids IPv6 is different: the server may be allowed to use it.
        if let Some(command) = portcheck_without("socket=10", &["--free", "--range", "20010-20011"]) {
            let answer = json_of(command);
            assert_eq!((&answer["exit_code"], count(&answer, "not-permitted")), (&value!(1), 2), "{answer:#}");
        }
    });
}
