//! `portcheck free --hold`: ports that are bound and do not listen. Only servers that set
//! SO_REUSEADDR can bind them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::lease::{Leases, Somebody, bind, can_bind, pick_one, release_all};
use crate::common::role::Role;
use crate::common::{NOBODY, Run, codes, in_namespace, is_root, json, port, portcheck, run, skip};
use serde_json::json as value;
use socket2::Type;

#[test]
fn a_held_port_is_reported_as_the_hold_it_is() {
    in_namespace(|| {
        let _leases = Leases;
        let somebody = Somebody::new();
        let held = somebody.pick_one(&["--hold"]);
        let answer = json(&[&held.to_string()]);
        let tcp = port(&answer, held, "tcp");
        assert_eq!((&tcp["status"], codes(tcp)), (&value!("held"), vec!["leased"]), "{tcp:#}");
        assert_eq!(tcp["findings"][0]["details"]["kind"], "held");
        assert!(tcp["sockets"].as_array().unwrap().iter().all(|socket| socket["state"] == "bound"));
        assert_eq!(tcp["findings"][0]["pids"], json(&["--leases"])["free"]["leases"][0]["pids"]);
        let report = run(&[&format!("{held}/tcp")]);
        let first = report.first_line();
        assert!(first.starts_with(&format!("{held}/tcp is held by portcheck free for ")), "{report:?}");
        assert!(first.ends_with(" s or until that ends"), "{report:?}");
    });
}

#[test]
fn a_held_port_goes_to_servers_that_set_reuse_address_and_to_nobody_else() {
    in_namespace(|| {
        let _leases = Leases;
        let held = pick_one(&["--hold"]);
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, held)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "nobody is to think that a server is up");
        for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            assert!(!can_bind(address, held, false) && can_bind(address, held, true), "{address}");
        }
        for address in [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED] {
            assert!(!can_bind(address, held, false) && can_bind(address, held, true), "{address}");
        }
        // The standard library sets it. The server serves, talks, and restarts in spite of
        // remnants.
        for address in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"] {
            for _ in 0..2 {
                let server = TcpListener::bind(format!("{address}:{held}")).unwrap();
                let to = if address.starts_with('[') { "[::1]" } else { "127.0.0.1" };
                let client = TcpStream::connect(format!("{to}:{held}")).unwrap();
                drop((server.accept().unwrap(), client));
            }
        }
        // UDP ports are never held: the hold would get the datagrams.
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, held)).unwrap();
        udp.send_to(b"x", udp.local_addr().unwrap()).unwrap();
        udp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(udp.recv(&mut [0; 8]).unwrap(), 1);
        assert!(!can_bind(Ipv4Addr::UNSPECIFIED, held, false), "still held");
    });
}

#[test]
fn another_user_cannot_take_a_held_port_without_reuse_address() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        if !crate::common::has("python3") {
            return skip("no python3");
        }
        let _leases = Leases;
        let held = pick_one(&["--hold"]);
        let try_bind = |reuse: u8| {
            use std::os::unix::process::CommandExt;
            let script = format!(
                "import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, {reuse}); \
                 s.bind(('', {held})); s.listen()"
            );
            let mut python = Command::new("/usr/bin/python3");
            python.args(["-c", &script]).current_dir("/").uid(NOBODY).gid(NOBODY).stderr(Stdio::null());
            python.status().unwrap().success()
        };
        assert!(!try_bind(0) && try_bind(1));
    });
}

/// Whether the kernel itself picks the port, in a range so small that it would have to.
#[test]
fn the_kernel_never_gives_a_held_port_away() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to set the range");
        }
        let _leases = Leases;
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40007").unwrap();
        let server = TcpListener::bind("127.0.0.1:9000").unwrap();
        // bind(0) prefers odd ports, connect() even ones.
        for held in [40_003, 40_004] {
            assert_eq!(pick_one(&["--prefer", &held.to_string(), "--hold"]), held);
            let all_but_it: Vec<u16> = (40_000..=40_007).filter(|&port| port != held).collect();
            let mut bound = Vec::new();
            while let Ok(socket) = bind(Ipv4Addr::LOCALHOST, 0, Type::STREAM, false) {
                bound.push(socket);
            }
            let ports = |sockets: &[socket2::Socket]| {
                let mut ports: Vec<u16> =
                    sockets.iter().map(|socket| socket.local_addr().unwrap().as_socket().unwrap().port()).collect();
                ports.sort_unstable();
                ports
            };
            assert_eq!(ports(&bound), all_but_it, "bind(0) until there is none");
            drop(bound);

            let mut connected = Vec::new();
            let error = loop {
                match TcpStream::connect("127.0.0.1:9000") {
                    Ok(client) => connected.push((client, server.accept().unwrap())),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
            let mut ports: Vec<u16> = connected.iter().map(|(client, _)| client.local_addr().unwrap().port()).collect();
            ports.sort_unstable();
            assert_eq!(ports, all_but_it, "connect() until there is none");
            // Without remnants, as the next round needs all ports.
            for (client, (accepted, _)) in connected {
                let no_linger = |stream: TcpStream| {
                    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                };
                no_linger(client);
                no_linger(accepted);
            }
            release_all();
        }
    });
}

#[test]
fn of_two_holders_only_one_wins() {
    in_namespace(|| {
        let _leases = Leases;
        let arguments = ["--free", "--hold", "--range", "20010-20010"];
        for _ in 0..20 {
            let start = || portcheck(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let callers: Vec<_> = (0..3).map(|_| start()).collect();
            let runs: Vec<Run> =
                callers.into_iter().map(|caller| Run::from(caller.wait_with_output().unwrap())).collect();
            let winners = runs.iter().filter(|run| run.code == 0).count();
            assert_eq!(winners, 1, "{runs:?}");
            release_all();
        }
        // Even a program that ignores leases cannot bind it: the hold itself is exclusive.
        let _hold = bind(Ipv4Addr::UNSPECIFIED, 20_010, Type::STREAM, false).unwrap();
        assert_eq!(run(&arguments).code, 1);
    });
}

/// Regression: the hold had a row of its own in a listing, before the server for which it keeps the
/// port.
#[test]
fn a_server_on_its_held_port_is_one_row_of_a_listing() {
    in_namespace(|| {
        let _leases = Leases;
        let held = pick_one(&["--hold"]);
        let rows = |arguments: &[&str]| {
            let listing = run(arguments);
            listing
                .stdout
                .lines()
                .filter(|line| line.contains(&held.to_string()))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for form in [&["list"][..], &["list", "--format", "csv"], &["list", "--format", "markdown"]] {
            assert_eq!(rows(form).len(), 1, "a hold by itself is shown: {:?}", rows(form));
        }
        let (server, _) = Role::playing(&format!("listen 127.0.0.1:{held} reuse-address"));
        for form in [&["list"][..], &["list", "--format", "csv"], &["list", "--format", "markdown"]] {
            let rows = rows(form);
            assert!(rows.len() == 1 && rows[0].contains(&server.pid().to_string()), "{form:?}: {rows:?}");
        }
    });
}
