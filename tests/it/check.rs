//! `portcheck TARGET` on real sockets: who holds a port, and what is free.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use crate::common::role::{Role, bound};
use crate::common::{Background, all_codes, codes, has, in_namespace, json, numbers, owners, port, run, skip};
use serde_json::json as value;

#[test]
fn a_python_server_is_named_and_after_its_end_the_port_is_free() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let mut server = Background(
            Command::new("python3")
                .args(["-u", "-m", "http.server", "62893", "--bind", "127.0.0.1"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("Serving HTTP"), "{line}");

        let pid = server.pid();
        let report = run(&["62893"]);
        let first = report.first_line();
        assert!(first.starts_with("62893/tcp is in use: http.server"), "{report:?}");
        assert!(first.ends_with(&format!("(python3, pid {pid})")), "{report:?}");
        assert_eq!(report.code, 1);
        for expected in ["http.server 62893", "listens on    127.0.0.1", "; this machine only", " kill 62893/tcp"] {
            assert!(report.stdout.contains(expected), "{expected} is not in {}", report.stdout);
        }
        let answer = json(&["62893"]);
        let tcp = port(&answer, 62893, "tcp");
        assert_eq!((&tcp["status"], codes(tcp), owners(tcp)), (&value!("held"), vec!["listener"], vec![pid]));
        let process = &answer["processes"][0];
        assert_eq!(process["command"].as_array().unwrap().last().unwrap(), "127.0.0.1");
        assert_eq!(process["ancestors"][0]["pid"], std::process::id());
        assert_eq!(port(&answer, 62893, "udp")["status"], "free");

        drop(server);
        let report = run(&["62893"]);
        assert_eq!((report.first_line(), report.code), ("62893 is free (tcp and udp)", 0));
        assert_eq!(codes(port(&json(&["62893/tcp"]), 62893, "tcp")), ["free"]);
    });
}

#[test]
fn a_bound_socket_that_never_listened_is_found() {
    in_namespace(|| {
        let _socket = bound("127.0.0.1:8080".parse().unwrap());
        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((&tcp["status"], owners(tcp)), (&value!("held"), vec![std::process::id()]));
        assert_eq!(codes(tcp), ["bound-not-listening"]);
        assert_eq!(tcp["sockets"][0]["state"], "bound");
        assert!(run(&["8080"]).first_line().contains("without listening"));
    });
}

#[test]
fn descriptors_are_told_by_their_numbers() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let copy = listener.try_clone().unwrap();
        let own = std::process::id();
        let opened = [listener.as_raw_fd(), copy.as_raw_fd()];
        let expected = opened.map(|number| value!({"pid": own, "number": number}));
        for options in [&["8080/tcp"][..], &["8080/tcp", "--quick"]] {
            let answer = json(options);
            let owners = &port(&answer, 8080, "tcp")["sockets"][0]["owners"];
            assert_eq!(owners["descriptors"], value!(expected), "{options:?}");
        }
        let report = run(&["8080/tcp", "-v"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let [first, second] = opened;
        assert!(report.contains(&format!("descriptors {first} of pid {own}, {second} of pid {own},")), "{report}");
    });
}

#[test]
fn tcp_and_udp_are_told_apart() {
    in_namespace(|| {
        let _socket = UdpSocket::bind("0.0.0.0:5353").unwrap();
        let answer = json(&["5353"]);
        assert_eq!(port(&answer, 5353, "udp")["status"], "held");
        assert_eq!(port(&answer, 5353, "tcp")["status"], "free");
        assert_eq!(port(&answer, 5353, "udp")["sockets"][0]["exposure"], "all");
        assert_eq!(run(&["5353/tcp"]).code, 0);
        assert_eq!(run(&["5353/udp"]).code, 1);
        assert_eq!(run(&["5353", "--tcp"]).code, 0);
        // The worst comes first.
        assert!(run(&["5353"]).first_line().starts_with("5353/udp is in use: "));
    });
}

#[test]
fn only_what_overlaps_the_address_counts() {
    in_namespace(|| {
        let _specific = TcpListener::bind("127.0.0.2:8080").unwrap();
        let _mapped = TcpListener::bind("[::1]:8081").unwrap();
        let code = |target: &str| run(&[target]).code;
        assert_eq!(["127.0.0.1:8080/tcp", "[::1]:8080/tcp", "localhost:8080/tcp"].map(code), [0, 0, 0]);
        assert_eq!(["8080/tcp", "127.0.0.2:8080", "0.0.0.0:8080", "[::]:8080"].map(code), [1, 1, 1, 1]);
        assert_eq!(["127.0.0.1:8081/tcp", "0.0.0.0:8081/tcp"].map(code), [0, 0]);
        assert_eq!(["localhost:8081", "[::1]:8081", "http://localhost:8081/"].map(code), [1, 1, 1]);
        assert_eq!((run(&["-4", "8081"]).code, run(&["-6", "8081"]).code), (0, 1));
        assert!(run(&["127.0.0.1:8080/tcp"]).first_line().starts_with("8080/tcp on 127.0.0.1 is free"));
    });
}

#[test]
fn each_address_is_told_apart() {
    // Regression: the port on one address was taken for the port on another, and nothing was
    // printed.
    in_namespace(|| {
        let both = ["127.0.0.1:8080", "[::1]:8080"];
        assert_eq!(
            run(&both).stdout.lines().filter(|line| line.contains("8080")).collect::<Vec<_>>(),
            [
                "8080 on 127.0.0.1 is free (tcp and udp) · http-alt; often Tomcat, Spring, Jenkins",
                "8080 on ::1 is free (tcp and udp) · http-alt; often Tomcat, Spring, Jenkins"
            ]
        );

        let tcp = TcpListener::bind("127.0.0.1:8080").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:8080").unwrap();
        let report = run(&both);
        assert_eq!(report.code, 1);
        assert!(report.first_line().starts_with("8080/tcp and 8080/udp on 127.0.0.1 are in use: "), "{report:?}");
        assert!(report.stdout.contains("\n8080 on ::1 is free (tcp and udp)"), "{report:?}");
        let answer = json(&both);
        let found: Vec<&str> = answer["ports"].as_array().unwrap().iter().flat_map(all_codes).collect();
        assert!(!found.contains(&"tcp-only") && !found.contains(&"udp-only"), "{answer:#}");

        let rows = |arguments: &[&str]| -> Vec<String> {
            let cells = |line: &str| {
                let cells: Vec<&str> =
                    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).take(2).collect();
                cells.join(" ")
            };
            run(arguments).stdout.lines().skip(1).map(cells).collect()
        };
        assert_eq!(
            rows(&["127.0.0.1:8080", "[::1]:8080", "127.0.0.1:8081", "127.0.0.2:8082", "localhost:8083"]),
            [
                "held 8080/tcp on 127.0.0.1",
                "held 8080/udp on 127.0.0.1",
                "free 8080 on ::1",
                "free 8081 on 127.0.0.1",
                "free 8082 on 127.0.0.2",
                "free 8083 on 127.0.0.1 and ::1"
            ]
        );
        let csv = run(&["--format", "csv", both[0], both[1]]).stdout;
        let mut csv = csv::Reader::from_reader(csv.as_bytes());
        let rows = csv.records().map(|row| row.map(|row| [0, 1, 2, 6].map(|column| row[column].to_owned()).join(" ")));
        assert_eq!(
            rows.map(Result::unwrap).collect::<Vec<_>>(),
            ["8080 tcp held 127.0.0.1", "8080 udp held 127.0.0.1", "8080 tcp free ::1", "8080 udp free ::1"]
        );
        let markdown = run(&["--format", "markdown", both[1]]).stdout;
        assert!(markdown.lines().skip(2).all(|line| line.contains("| ::1 ")), "{markdown}");

        drop(tcp);
        let report = run(&both);
        assert!(report.first_line().starts_with("8080/udp on 127.0.0.1 is in use: "), "{report:?}");
        let verbose = run(&[both[0], both[1], "-v"]);
        assert_eq!(verbose.stdout.matches("8080/tcp on 127.0.0.1 is free: only udp is held").count(), 1, "{verbose:?}");
        assert!(report.stdout.contains("\n8080 on ::1 is free (tcp and udp)"), "{report:?}");
        drop(udp);
        let freed = run(&["127.0.0.1:8080/tcp", "[::1]:8080/tcp", "--kill", "--yes"]);
        assert_eq!(freed.first_line(), "8080/tcp on 127.0.0.1 and 8080/tcp on ::1 are already free");
    });
}

#[test]
fn v6only_decides_whether_ipv4_is_free() {
    in_namespace(|| {
        let listen = |port: u16, v6only: bool| {
            let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
            socket.set_only_v6(v6only).unwrap();
            socket.bind(&std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)).into()).unwrap();
            socket.listen(1).unwrap();
            socket
        };
        let (_dual, _only) = (listen(3000, false), listen(3001, true));
        assert_eq!((run(&["127.0.0.1:3000/tcp"]).code, run(&["127.0.0.1:3001/tcp"]).code), (1, 0));
        assert_eq!((run(&["[::1]:3000/tcp"]).code, run(&["[::1]:3001/tcp"]).code), (1, 1));
        assert_eq!(port(&json(&["3001"]), 3001, "tcp")["sockets"][0]["v6only"], true);
    });
}

#[test]
fn an_mptcp_listener_has_its_process() {
    in_namespace(|| {
        let mptcp = Some(socket2::Protocol::MPTCP);
        let Ok(socket) = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, mptcp) else {
            return skip("no MPTCP in this kernel");
        };
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 8080)).into()).unwrap();
        let answer = json(&["8080/tcp"]);
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["bound-not-listening"]);
        socket.listen(1).unwrap();
        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["listener"], vec![std::process::id()]));
        assert_eq!(tcp["sockets"][0]["mptcp"], true);
    });
}

#[test]
fn a_client_is_never_among_the_holders() {
    in_namespace(|| {
        let (server, _) = Role::playing("listen 127.0.0.1:8080");
        let (client, _) = Role::playing("connect 127.0.0.1:8080");
        for arguments in [&["8080"][..], &["8080", "--all"]] {
            let answer = json(arguments);
            let tcp = port(&answer, 8080, "tcp");
            assert_eq!(owners(tcp), [server.pid()], "the client is {}", client.pid());
            assert_eq!(numbers(&tcp["findings"][0]["pids"]), [server.pid()]);
        }
    });
}

#[test]
fn everyone_who_inherited_the_socket_is_named() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        let children: Vec<_> = (0..3).map(|_| Background::spawn(Command::new("sleep").arg("1000"))).collect();
        let mut expected: Vec<u32> = children.iter().map(Background::pid).collect();
        expected.push(std::process::id());
        expected.sort_unstable();

        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!(owners(tcp), expected);
        // The ancestor of the others comes first.
        assert_eq!(numbers(&tcp["findings"][0]["pids"])[0], std::process::id());
        assert!(run(&["8080/tcp"]).first_line().contains("and 3 children"));

        // The parent has ended, and the children still hold the port.
        drop(listener);
        expected.retain(|&pid| pid != std::process::id());
        assert_eq!(owners(port(&json(&["8080/tcp"]), 8080, "tcp")), expected);
        drop(children);
        assert_eq!(run(&["8080/tcp"]).code, 0);
    });
}

#[test]
fn hostile_names_are_parsed_right_and_shown_escaped() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        for (number, name, shown) in [(8080, "a)\n(b", "a)\\n(b"), (8081, "\x1b[31mred) 1 (", "\\u{1b}[31mred) 1 (")] {
            let alias = directory.path().join(name);
            std::fs::copy(std::env::current_exe().unwrap(), &alias).unwrap();
            let mut role = Role::start_as(&alias, &format!("listen 127.0.0.1:{number}"));
            role.go();
            let answer = json(&[&format!("{number}/tcp")]);
            assert_eq!(answer["processes"][0]["name"], name);
            assert_eq!(answer["processes"][0]["ppid"], std::process::id());
            for arguments in [&["8080-8081"][..], &[&number.to_string()], &[&number.to_string(), "-v"], &[]] {
                let shown_as = run(arguments).stdout;
                assert!(shown_as.contains(shown), "{shown_as}");
                assert!(!shown_as.contains('\x1b') && !shown_as.contains(name), "{shown_as:?}");
            }
        }
    });
}

#[test]
fn connections_without_a_listener_hold_their_port() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let own = client.local_addr().unwrap().port();
        let (accepted, _) = listener.accept().unwrap();

        let answer = json(&[&own.to_string(), "8080"]);
        let outgoing = port(&answer, own, "tcp");
        assert_eq!(
            (codes(outgoing), owners(outgoing)),
            (vec!["outgoing-connection", "ephemeral-port"], vec![std::process::id()])
        );
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["listener"]);

        drop(listener);
        assert_eq!(codes(port(&json(&["8080/tcp"]), 8080, "tcp")), ["leftover-connections"]);

        // The side that closes first keeps the remnant.
        drop(accepted);
        drop(client);
        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), &tcp["status"], owners(tcp)), (vec!["time-wait"], &value!("held"), vec![]));
        let left = tcp["findings"][0]["details"]["remaining_ms"].as_u64().unwrap();
        assert!((1..=60_000).contains(&left), "{left}");
        assert_eq!(tcp["sockets"][0]["uid"], value!(null), "the 0 of a remnant is not root");
    });
}

#[test]
fn an_orphan_has_no_process() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop(listener);
        // Closed on this side only: FIN_WAIT2 without a descriptor.
        drop(accepted);
        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["orphaned-connection"], vec![]));
        assert_eq!(tcp["sockets"][0]["owners"]["kind"], "none");
        drop(client);
    });
}

#[test]
fn several_targets_make_a_table_and_free_neighbours_one_line() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:3002").unwrap();
        let table = run(&["3000-3005/tcp"]);
        let lines: Vec<Vec<&str>> =
            table.stdout.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
        assert_eq!(
            lines,
            [
                vec!["STATUS", "PORT"],
                vec!["free", "3000-3001/tcp"],
                vec!["held", "3002/tcp"],
                vec!["free", "3003-3005/tcp"]
            ]
        );
        assert_eq!(table.code, 1);
        assert_eq!(json(&["3000-3005"])["ports"].as_array().unwrap().len(), 12);
    });
}

#[test]
fn every_port_at_once() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:3002").unwrap();
        let table = run(&["1-65535"]);
        assert_eq!((table.code, table.stdout.lines().count()), (1, 5), "{}", table.stdout);
        assert_eq!(json(&["1-65535/tcp"])["ports"].as_array().unwrap().len(), 65535);
    });
}
