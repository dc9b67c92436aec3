//! `portcheck connections`: each connection once, with the processes at both ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};

use serde_json::{Value, json as value};

use crate::common::netns::Netns;
use crate::common::role::Role;
use crate::common::{in_namespace, is_root, json, json_as_nobody, run, skip};

/// A connection to `listener`, with both its ends.
fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn connections(arguments: &[&str]) -> Vec<Value> {
    let answer = json(&[&["connections"], arguments].concat());
    assert_eq!((&answer["command"], &answer["exit_code"]), (&value!("connections"), &value!(0)), "{answer:#}");
    answer["connections"].as_array().unwrap().clone()
}

/// What the kernel calls a process.
fn name_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim_end().to_owned()
}

/// Regression for what other tools do: two rows for one connection, with one process each.
#[test]
fn both_ends_are_named_and_what_was_sent_is_counted() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (mut client, mut server) = connect(&listener);
        client.write_all(&[b'x'; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        server.write_all(&vec![b'y'; 70_000]).unwrap();
        client.read_exact(&mut vec![0; 70_000]).unwrap();
        let port = client.local_addr().unwrap().port();
        let own = std::process::id();
        for target in ["8080", &port.to_string(), "127.0.0.1:8080/tcp"] {
            let [found] = &connections(&[target])[..] else { panic!("one connection") };
            assert_eq!(found["local"], value!({"address": "127.0.0.1", "port": 8080}));
            assert_eq!(found["remote"], value!({"address": "127.0.0.1", "port": port}));
            assert_eq!((&found["direction"], &found["state"]), (&value!("incoming"), &value!("established")));
            assert_eq!((&found["owners"]["pids"], &found["peer_owners"]["pids"]), (&value!([own]), &value!([own])));
            let tcp = &found["tcp"];
            assert_eq!((&tcp["bytes_sent"], &tcp["bytes_received"]), (&value!(70_000), &value!(1000)), "{found:#}");
            assert_eq!((&tcp["retransmits"], &tcp["send_queue"]), (&value!(0), &value!(0)));
        }
        let table = run(&["connections"]).stdout;
        let row = table.lines().find(|line| line.contains(":8080")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(&words[..3], ["tcp", "established", &*format!("127.0.0.1:{port}")], "{table}");
        assert!(row.ends_with("1.0 kB   70.0 kB"), "{table}");
        assert_eq!(connections(&["9"]), Vec::<Value>::new());
        assert_eq!(run(&["connections", "9"]).stdout, "nothing to show: no connection matches\n");
    });
}

#[test]
fn filters_all_have_to_fit() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let other = TcpListener::bind("[::1]:8081").unwrap();
        let held = (connect(&listener), connect(&listener), connect(&other));
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect("127.0.0.1:53").unwrap();
        let own = std::process::id().to_string();
        for (arguments, count) in [
            (&[][..], 4),
            (&["--tcp"], 3),
            (&["--udp"], 1),
            (&["-6"], 1),
            (&["--pid", &own], 4),
            (&["--pid", "1"], 0),
            (&["--process", "portcheck-no-such"], 0),
            (&["--local", ":8080"], 2),
            (&["--local", ":8080", "--peer", ":8080"], 0),
            (&["--peer", ":8080"], 2),
            (&["--peer", "127.0.0.0/8"], 3),
            (&["--peer", "::1,127.0.0.1:53"], 2),
            (&["--state", "established"], 4),
            (&["--state", "time-wait,syn-sent"], 0),
            (&["8080", "--pid", &own, "--peer", "127.0.0.0/8"], 2),
        ] {
            assert_eq!(connections(arguments).len(), count, "{arguments:?}");
        }
        let counted = run(&["connections", "--by", "port"]).stdout;
        assert_eq!(counted, "2  8080/tcp\n1  53/udp\n1  8081/tcp\n");
        let groups = json(&["connections", "--by", "state"])["connection_groups"].clone();
        assert_eq!(groups, value!([{"name": "established", "count": 4}]));
        let lines = run(&["connections", "--format", "ndjson", "8080"]).stdout;
        let pids: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["processes"][0]["pid"].clone())
            .collect();
        assert_eq!(pids, vec![value!(std::process::id()); 2]);
        for (arguments, said) in [
            (&["--peer", "x"][..], "'x' is no place"),
            (&["--sort", "x"], "'x' is no column: write one of port,"),
            (&["--state", "open"], "--state"),
            (&["--pid", "4194303"], "no process has the id"),
        ] {
            let wrong = run(&[&["connections"], arguments].concat());
            assert_eq!((wrong.code, wrong.stderr.lines().count()), (2, 1), "{wrong:?}");
            assert!(wrong.stderr.contains(said), "{wrong:?}");
        }
        drop(held);
    });
}

/// Whose end a filter is about must not be mixed up: the server has no peer on its own port.
#[test]
fn a_filter_is_about_one_end() {
    in_namespace(|| {
        let (server, _) = Role::playing("listen 127.0.0.1:8080");
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let [own, other] = [std::process::id(), server.pid()].map(|pid| pid.to_string());
        for (arguments, count) in [
            (&["--pid", &own, "--peer", ":8080"][..], 1),
            (&["--pid", &own, "--local", ":8080"], 0),
            (&["--pid", &other, "--peer", ":8080"], 0),
            (&["--pid", &other, "--local", ":8080"], 1),
            (&["--pid", &other, "--class", "dynamic"], 0),
        ] {
            assert_eq!(connections(arguments).len(), count, "{arguments:?}");
        }
        // Nobody has accepted it. It waits for who listens.
        let table = run(&["connections"]).stdout;
        assert!(table.contains(&format!("(not accepted by {} ({other}))", name_of(server.pid()))), "{table}");
        drop(client);
    });
}

/// Regression: only the state of the server was looked at, so that a leak of the client was not found.
#[test]
fn the_state_of_either_end_is_found_and_both_are_shown() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (mut client, server) = connect(&listener);
        server.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        for state in ["close-wait", "fin-wait-2"] {
            let [found] = &connections(&["--state", state])[..] else { panic!("one in {state}") };
            assert_eq!((&found["state"], &found["peer_state"]), (&value!("fin-wait-2"), &value!("close-wait")));
            // Regression: the end of the stream was counted as a byte.
            assert_eq!(found["peer_tcp"]["bytes_received"], 0, "{found:#}");
        }
        let table = run(&["connections"]).stdout;
        assert!(table.contains("close-wait/fin-wait-2  127.0.0.1:"), "{table}");
        assert_eq!(run(&["connections", "--by", "state"]).stdout, "1  close-wait/fin-wait-2\n");
    });
}

#[test]
fn what_waits_in_the_queues_of_either_end_is_shown() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (client, mut server) = connect(&listener);
        server.write_all(&[b'x'; 3000]).unwrap();
        let waiting = || connections(&[])[0]["peer_tcp"]["receive_queue"] == 3000;
        crate::common::server::until("the client has all in its queue", waiting);
        let table = run(&["connections", "--columns", "queued"]).stdout;
        assert_eq!(table.lines().nth(1).map(str::trim), Some("3.0 kB"), "{table}");
        drop(client);
    });
}

#[test]
fn the_descriptors_of_both_ends_are_told() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (client, server) = connect(&listener);
        let [found] = &connections(&[])[..] else { panic!("one connection") };
        let pid = std::process::id();
        for (key, end) in [("owners", &server), ("peer_owners", &client)] {
            let number = std::os::fd::AsRawFd::as_raw_fd(end);
            assert_eq!(found[key]["descriptors"], value!([{"pid": pid, "number": number}]), "{found:#}");
        }
        let table = run(&["connections", "-v"]).stdout;
        let number = std::os::fd::AsRawFd::as_raw_fd(&server);
        assert!(table.contains(&format!("({pid}, fd {number})")), "{table}");
    });
}

/// A server of UDP has one socket for all of its clients.
#[test]
fn the_server_of_connected_udp_is_named() {
    in_namespace(|| {
        let _server = UdpSocket::bind("127.0.0.1:5353").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect("127.0.0.1:5353").unwrap();
        let [found] = &connections(&["5353/udp"])[..] else { panic!("one connection") };
        assert_eq!((&found["direction"], &found["peer_state"]), (&value!("outgoing"), &value!("unconnected")));
        assert_eq!(found["peer_owners"]["pids"], value!([std::process::id()]), "{found:#}");
        assert_eq!(found["remote"]["port"], 5353);
    });
}

#[test]
fn each_process_has_its_connections_counted() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (client, _) = Role::playing("connect 127.0.0.1:8080");
        let _server = listener.accept().unwrap();
        let counted = run(&["connections", "--by", "process"]).stdout;
        let mut expected = [client.pid(), std::process::id()].map(|pid| format!("1  {} ({pid})", name_of(pid)));
        expected.sort();
        let mut lines: Vec<&str> = counted.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, expected);
        assert_eq!(run(&["connections", "9", "--by", "process"]).stdout, "nothing to show: no connection matches\n");
    });
}

#[test]
fn what_comes_first_can_be_chosen() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mut pairs = [connect(&listener), connect(&listener), connect(&listener)];
        for ((client, server), length) in pairs.iter_mut().zip([20, 30, 10]) {
            client.write_all(&vec![b'x'; length]).unwrap();
            server.read_exact(&mut vec![0; length]).unwrap();
        }
        // The rows are of the server's end; sent and received are those of the client.
        let received = |sort: &str| -> Vec<u64> {
            let rows = connections(&["--sort", sort]);
            rows.iter().map(|row| row["tcp"]["bytes_received"].as_u64().unwrap()).collect()
        };
        assert_eq!((received("sent"), received("-sent")), (vec![10, 20, 30], vec![30, 20, 10]));
        assert_eq!(received("-bytes"), [30, 20, 10]);
        let table = run(&["connections", "--columns", "to,bytes,queued", "--sort", "-bytes"]).stdout;
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["TO", "BYTES", "QUEUED"]);
        assert_eq!(rows[1], ["127.0.0.1:8080", "30", "B", "0", "B"]);
    });
}

#[test]
fn a_remnant_is_shown_only_if_asked_for() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (client, server) = connect(&listener);
        drop(client);
        drop(server);
        let shown = run(&["connections"]).stdout;
        assert_eq!(shown, "nothing to show: no connection matches\n1 more is in TIME_WAIT: add --all\n");
        assert_eq!(connections(&["--all"])[0]["owners"]["kind"], "none");
        assert_eq!(connections(&["--state", "time-wait"]).len(), 1);
    });
}

/// The ends are in two namespaces, joined by a pair of interfaces.
#[test]
fn the_ends_of_a_connection_between_namespaces_are_joined() {
    in_namespace(|| {
        let Some(netns) = Netns::add() else { return };
        let name = &netns.name;
        let joined = format!(
            "ip link add pcta type veth peer name pctb netns {name} && ip addr add 10.9.8.1/24 dev pcta && \
             ip link set pcta up && ip -n {name} addr add 10.9.8.2/24 dev pctb && ip -n {name} link set pctb up"
        );
        if !Command::new("sh").args(["-c", &joined]).status().unwrap().success() {
            return skip("no veth");
        }
        let listener = TcpListener::bind("10.9.8.1:8080").unwrap();
        let client = "import socket, sys\nc = socket.create_connection(('10.9.8.1', 8080))\nsys.stdin.read()";
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", netns.path().display())).args(["python3", "-c", client]);
        let Ok(mut client) = command.stdin(Stdio::piped()).spawn() else { return skip("no nsenter") };
        let _server = listener.accept().unwrap();
        let [found] = &connections(&["-A", "10.9.8.1:8080"])[..] else { panic!("one connection") };
        assert_eq!((&found["direction"], &found["namespace"]), (&value!("incoming"), &Value::Null), "{found:#}");
        assert_eq!(found["remote"]["address"], "10.9.8.2");
        assert_eq!(found["peer_owners"]["pids"], value!([client.id()]), "{found:#}");
        assert_eq!(found["peer_namespace"]["name"], value!(name));
        let table = run(&["connections", "-A", "10.9.8.1:8080", "--columns", "to,namespace"]).stdout;
        assert_eq!(table, format!("TO             NAMESPACE\n10.9.8.1:8080  {name}/here\n"));
        // From here alone, nobody is at the other end.
        let alone = &connections(&["8080"])[0];
        assert_eq!((&alone["peer_owners"], &alone["remote_name"]), (&Value::Null, &Value::Null));
        // The hosts file names it. A name is as hostile as who gives it.
        let directory = tempfile::tempdir().unwrap();
        let hosts = directory.path().join("hosts");
        std::fs::write(&hosts, "10.9.8.2 client.\x1b[31mtest\n").unwrap();
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"", "sh"]).arg(&hosts);
        command.args([env!("CARGO_BIN_EXE_portcheck"), "connections", "8080", "--resolve"]);
        let table = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(table.contains("client.\\u{1b}[31mtest:") && !table.contains('\x1b'), "{table}");
        drop(client.stdin.take());
        client.wait().unwrap();
    });
}

#[test]
fn an_ordinary_user_sees_the_connection_and_that_somebody_is_hidden() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root for another user");
        }
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _pair = connect(&listener);
        let answer = json_as_nobody(&["connections", "8080"]);
        let [found] = &answer["connections"].as_array().unwrap()[..] else { panic!("{answer:#}") };
        assert_eq!((&found["direction"], &found["owners"]["kind"]), (&value!("incoming"), &value!("hidden")));
        assert!(answer["gaps"].as_array().unwrap().iter().any(|gap| gap["code"] == "unreadable-processes"));
    });
}

#[test]
fn a_summary_counts_sockets_and_the_ports_that_are_left() {
    in_namespace(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40099").unwrap();
        std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "40010-40019").unwrap();
        let (busy, other) =
            (TcpListener::bind("127.0.0.1:8080").unwrap(), TcpListener::bind("127.0.0.1:40050").unwrap());
        let _held = [connect(&busy), connect(&busy), connect(&busy), connect(&other)];
        let udp = UdpSocket::bind("127.0.0.1:5353").unwrap();
        let summary = json(&["--summary"])["summary"].clone();
        let count = |protocol: &str, state: &str| {
            let states = summary["states"].as_array().unwrap();
            states.iter().find(|it| it["protocol"] == protocol && it["state"] == state).map(|it| it["count"].clone())
        };
        assert_eq!(count("tcp", "established"), Some(value!(8)), "{summary:#}");
        assert_eq!((count("tcp", "listen"), count("udp", "unconnected")), (Some(value!(2)), Some(value!(1))));
        assert_eq!(summary["processes"], value!([{"pid": std::process::id(), "count": 11}]));
        // A hundred, without the reserved ones and that of the other server.
        let outgoing = value!({
            "available": 89, "used": 3, "left": 86, "from": "127.0.0.1",
            "to": {"address": "127.0.0.1", "port": 8080},
        });
        assert_eq!((&summary["outgoing"], &summary["unowned"]), (&outgoing, &value!(0)));
        let text = run(&["connections", "8080", "--summary"]).stdout;
        assert!(text.starts_with("7 sockets\n  6  tcp established\n  1  tcp listen\n\nby process\n  7  "), "{text}");
        assert!(text.contains("use 3 of 89 ports (40000-40099): 86 more are possible"), "{text}");
        let elsewhere = json(&["connections", "127.0.0.2:8080", "--summary"]);
        assert_eq!(elsewhere["summary"]["states"], value!([]), "regression: any address counted");
        assert_eq!(json(&["--summary", "--user", "daemon"])["summary"]["states"], value!([]));
        drop(udp);
    });
}
