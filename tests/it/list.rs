//! `portcheck` without a target: the listing, compared with independent readings of the same
//! sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use crate::common::netns::Netns;
use crate::common::role::{Role, bound};
use crate::common::{has, in_namespace, is_root, json, numbers, run, skip, until_it_listens};
use serde_json::Value;

/// A socket as every reading shows it: protocol, address and port.
type Key = (String, String);

fn key(protocol: &str, local: &str) -> Key {
    (protocol.to_owned(), local.to_owned())
}

/// Sockets and the pids that have them, from the JSON.
fn listed(answer: &Value) -> BTreeMap<Key, BTreeSet<u32>> {
    let mut sockets = BTreeMap::new();
    for socket in answer["ports"].as_array().unwrap().iter().flat_map(|port| port["sockets"].as_array().unwrap()) {
        let ip = socket["local"]["address"].as_str().unwrap().parse().unwrap();
        let port = socket["local"]["port"].as_u64().unwrap().try_into().unwrap();
        let key = key(socket["protocol"].as_str().unwrap(), &SocketAddr::new(ip, port).to_string());
        sockets.insert(key, numbers(&socket["owners"]["pids"]).into_iter().collect());
    }
    sockets
}

/// The same from `ss -tulnp`: `tcp LISTEN 0 128 127.0.0.1:80 0.0.0.0:*
/// users:(("nginx",pid=7,fd=5),…)`.
fn by_ss() -> BTreeMap<Key, BTreeSet<u32>> {
    let output = Command::new("ss").arg("-tulnpH").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut sockets = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        // ss writes a dual-stack wildcard as `*`, and the device behind `%`.
        let local = columns[4].replace('*', "[::]");
        let pids = line.split("pid=").skip(1).map(|rest| rest.split(',').next().unwrap().parse().unwrap());
        sockets.insert(key(columns[0], &local), pids.collect());
    }
    sockets
}

#[test]
fn the_list_agrees_with_ss() {
    in_namespace(|| {
        if !has("ss") {
            return skip("no ss");
        }
        let _own = [TcpListener::bind("127.0.0.1:8080").unwrap(), TcpListener::bind("[::]:8081").unwrap()];
        let _udp = [UdpSocket::bind("0.0.0.0:5353").unwrap(), UdpSocket::bind("[::1]:5354").unwrap()];
        let _others: Vec<Role> = (0..4).map(|n| Role::playing(&format!("listen 127.0.0.{}:9000", n + 1)).0).collect();
        let inherited = TcpListener::bind("127.0.0.1:8082").unwrap();
        rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
        let _child = crate::common::Background::spawn(Command::new("sleep").arg("1000"));
        rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::CLOEXEC).unwrap();

        let expected = by_ss();
        assert_eq!(expected.len(), 9, "{expected:?}");
        assert!(expected.values().any(|pids| pids.len() == 2), "{expected:?}");
        assert_eq!(listed(&json(&[])), expected);
    });
}

#[test]
fn connections_are_listed_only_on_request() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect("127.0.0.1:9").unwrap();
        let states = |arguments: &[&str]| {
            let answer = json(arguments);
            let sockets =
                answer["ports"].as_array().unwrap().iter().flat_map(|port| port["sockets"].as_array().unwrap());
            let mut states: Vec<String> = sockets
                .map(|socket| format!("{} {}", socket["protocol"].as_str().unwrap(), socket["state"].as_str().unwrap()))
                .collect();
            states.sort();
            states
        };
        assert_eq!(states(&[]), ["tcp listen"]);
        assert_eq!(states(&["--all"]), ["tcp established", "tcp established", "tcp listen", "udp established"]);
        let table = run(&["--all"]).stdout;
        assert!(table.contains("PEER") && table.contains(&client.local_addr().unwrap().to_string()), "{table}");
        // In the accept queue: a connection without a process is no orphan.
        assert_eq!(run(&["--all", "--json"]).stdout.matches("\"kind\": \"none\"").count(), 1);
        drop(listener);
    });
}

#[test]
fn one_row_holds_all_addresses_of_a_process() {
    in_namespace(|| {
        let _listeners = ["127.0.0.1:8080", "127.0.0.2:8080", "[::1]:8080"].map(|at| TcpListener::bind(at).unwrap());
        let _other = Role::playing("listen 127.0.0.3:8080");
        let _bound = bound("127.0.0.1:8081".parse().unwrap());
        let table = run(&[]);
        let rows: Vec<&str> = table.stdout.lines().skip(1).collect();
        assert_eq!((rows.len(), table.code), (3, 0), "{}", table.stdout);
        assert!(rows[0].contains("127.0.0.1, 127.0.0.2, ::1"), "{}", table.stdout);
        assert!(rows[1].contains("127.0.0.3"), "{}", table.stdout);
        assert!(rows[2].contains("127.0.0.1 (bound)"), "{}", table.stdout);
    });
}

#[test]
fn filters_and_order() {
    in_namespace(|| {
        let _loopback = TcpListener::bind("127.0.0.1:80").or_else(|_| TcpListener::bind("127.0.0.1:1080"));
        let _exposed = TcpListener::bind("0.0.0.0:3000").unwrap();
        let _udp = UdpSocket::bind("127.0.0.1:60000").unwrap();
        let (other, _) = Role::playing("listen [::1]:50000");
        let ports = |arguments: &[&str]| -> Vec<u64> {
            let answer = json(arguments);
            answer["ports"].as_array().unwrap().iter().map(|port| port["port"].as_u64().unwrap()).collect()
        };
        let first = ports(&[])[0];
        assert_eq!(ports(&[]), [first, 3000, 50000, 60000]);
        assert_eq!(ports(&["--exposed"]), [3000]);
        assert_eq!(ports(&["--udp"]), [60000]);
        assert_eq!(ports(&["--tcp", "--class", "dynamic"]), [50000]);
        assert_eq!(ports(&["-6"]), [50000]);
        assert_eq!(ports(&["--pid", &other.pid().to_string()]), [50000]);
        assert_eq!(ports(&["--pid", "1"]), [] as [u64; 0]);
        assert_eq!(ports(&["--user", "daemon"]), [] as [u64; 0]);
        assert_eq!(ports(&["--process", "IT-"]).len(), 4, "the name of this test binary");
        assert_eq!(ports(&["--process", "nobody-is-called-that"]), [] as [u64; 0]);
        let own = rustix::process::geteuid().as_raw().to_string();
        assert_eq!(ports(&["--user", &own]).len(), 4);
        assert_eq!(ports(&["--sort", "exposure"])[0], 3000);
        assert_eq!(ports(&["--sort", "protocol"]).last(), Some(&60000));
        assert_eq!(ports(&["--sort", "-port"]), [60000, 50000, 3000, first]);
        assert_eq!(ports(&["--sort=-pid"])[0], if other.pid() > std::process::id() { 50000 } else { 60000 });
        // Several values of one filter, and several filters.
        assert_eq!(ports(&["--class", "dynamic,registered", "--tcp"]).len(), if first == 80 { 2 } else { 3 });
        assert_eq!(ports(&["--pid", &format!("1,{}", other.pid())]), [50000]);
        assert_eq!(ports(&["--user", &format!("daemon,{own}"), "--local", "127.0.0.0/8,::1"]).len(), 3);
        assert_eq!(ports(&["--local", ":3000", "--process", "it-"]), [3000]);
        assert_eq!(ports(&["--local", ":3000", "--user", "daemon"]), [] as [u64; 0]);
        let _client = TcpStream::connect("127.0.0.1:3000").unwrap();
        assert_eq!(ports(&["--state", "established"]).len(), 2, "both ends, without --all");
        assert_eq!(ports(&["--peer", "127.0.0.1:3000"]).len(), 1);
        assert_eq!(ports(&["--state", "listen,unconnected"]), [first, 3000, 50000, 60000]);
        let table = run(&["--columns", "pid,port,peer", "--local", "[::1]:50000"]).stdout;
        let words: Vec<&str> = table.split_whitespace().collect();
        assert_eq!(words, ["PID", "PORT", "PEER", &other.pid().to_string(), "50000"]);
        let twice = run(&["--columns", "port,pid,port", "--local", "[::1]:50000"]).stdout;
        assert_eq!(twice.split_whitespace().filter(|word| *word == "PORT").count(), 1, "{twice}");
        // A user without a name.
        if is_root() {
            let (_nameless, _) = Role::playing_as_user(58_232, "listen 127.0.0.1:2000");
            assert_eq!(ports(&["--user", "58232"]), [2000]);
        }
        // A listing gives no verdict.
        assert_eq!(run(&["--pid", "1"]).code, 0);
        assert!(run(&["--pid", "1"]).stdout.starts_with("nothing to show"));
    });
}

/// Regression: the ports were in order, and the rows were not: bound, listen, established, listen.
#[test]
fn the_rows_are_in_the_order_of_their_column() {
    in_namespace(|| {
        let first = TcpListener::bind("127.0.0.1:8080").unwrap();
        let second = TcpListener::bind("127.0.0.1:8081").unwrap();
        let _clients =
            [&first, &first, &second].map(|server| TcpStream::connect(server.local_addr().unwrap()).unwrap());
        let _bound = bound("127.0.0.1:8082".parse().unwrap());
        for format in ["table", "csv"] {
            let states = |sort: &str| -> Vec<String> {
                let columns: &[&str] = if format == "table" { &["--columns", "state"] } else { &["--format", format] };
                let text = run(&[&["--all", "--sort", sort], columns].concat()).stdout;
                let words = text.split(|character: char| character.is_whitespace() || character == ',');
                words.filter(|word| ["bound", "established", "listen"].contains(word)).map(str::to_owned).collect()
            };
            let sorted = states("state");
            assert!(sorted.len() == 9 && sorted.is_sorted(), "{format}: {sorted:?}");
            assert!(states("-state").is_sorted_by(|a, b| a >= b), "{format}");
        }
        let peers = run(&["--all", "--sort", "-peer", "--columns", "peer"]).stdout;
        let peers: Vec<Option<SocketAddr>> = peers.lines().skip(1).map(|peer| peer.trim().parse().ok()).collect();
        assert!(peers.len() == 9 && peers[..3].iter().all(Option::is_none), "{peers:?}");
        assert!(peers[3..].is_sorted_by(|a, b| a >= b), "{peers:?}");
        let markdown = run(&["--sort", "-address", "--format", "markdown"]).stdout;
        assert!(markdown.lines().nth(2).unwrap().contains("8082/tcp"), "{markdown}");
    });
}

/// Regression: all printed "nothing to show", with exit code 0, and an empty name everything.
#[test]
fn who_is_not_there_is_a_mistake() {
    // The highest id of all is never used, as pid_max is above it.
    for (arguments, expected) in [
        (["--pid", "1,4194305"], "no process has the id 4194305"),
        (["--user", "no-such-user"], "this machine has no user 'no-such-user'"),
        (["--user", "12345678"], "no user, process or socket has the user id 12345678"),
        (["--process", ""], "--process '' is no name"),
        (["--process", "python,"], "--process '' is no name"),
        (["--container", "no-such-container"], "no container called 'no-such-container' runs here"),
    ] {
        let run = run(&arguments);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{run:?}");
        assert!(run.stderr.contains(expected), "{run:?}");
        let answer = json(&arguments);
        assert_eq!((&answer["exit_code"], answer["error"]["kind"].as_str()), (&2.into(), Some("usage")));
    }
}

#[test]
fn who_has_nothing_but_connections_is_told_so() {
    in_namespace(|| {
        let (server, _) = Role::playing("listen 127.0.0.1:8080");
        let own = std::process::id().to_string();
        let list = |arguments: &[&str]| {
            let run = run(&[&["--pid", &own], arguments].concat());
            assert_eq!((run.code, &*run.stderr), (0, ""), "{run:?}");
            run.stdout.lines().next().unwrap().to_owned()
        };
        assert_eq!(list(&[]), "nothing to show: no socket matches");
        let _client = TcpStream::connect("127.0.0.1:8080").unwrap();
        assert_eq!(list(&[]), "nothing to show but 1 connection: add --all");
        assert_eq!(list(&["-6"]), "nothing to show but 1 connection: add --all and leave out -6");
        assert_eq!(list(&["--class", "well-known"]), "nothing to show: no socket matches");
        let _second = TcpStream::connect("127.0.0.1:8080").unwrap();
        assert_eq!(list(&[]), "nothing to show but 2 connections: add --all");
        assert!(list(&["--all"]).trim_start().starts_with("PORT"));
        drop(server);
    });
}

/// Regression: whatever else a process held, it seemed to hold nothing.
#[test]
fn who_has_something_else_than_was_asked_for_is_told_what() {
    in_namespace(|| {
        let (server, _) = Role::playing("listen 127.0.0.1:8080");
        let pid = server.pid().to_string();
        let list = format!("nothing to show but 1 port: portcheck list --pid {pid}");
        for (typed, expected) in [
            (&["list", "--udp"][..], "nothing to show but 1 port: leave out --udp"),
            (&["list", "-6"], "nothing to show but 1 port: leave out -6"),
            (&["connections"], &*list),
            (&["connections", "--by", "peer"], &list),
        ] {
            let run = run(&[typed, &["--pid", &pid]].concat());
            assert_eq!((run.code, run.stdout.trim_end(), &*run.stderr), (0, expected, ""), "{typed:?}");
        }
        for (typed, shown) in [(["connections", "--count"], "0\n"), (["connections", "--pids"], "")] {
            let run = run(&[&typed[..], &["--pid", &pid]].concat());
            assert_eq!((run.code, &*run.stdout, &*run.stderr), (0, shown, &*format!("portcheck: {list}\n")));
        }
        let Some(netns) = Netns::add() else { return };
        let away = netns.playing("listen 127.0.0.1:8080");
        let pid = away.pid().to_string();
        assert_eq!(run(&["list", "--pid", &pid]).stdout, "nothing to show but 1 port: add -A\n");
        let listed = format!("nothing to show but 1 port: portcheck list --pid {pid} -A\n");
        assert_eq!(run(&["connections", "--pid", &pid]).stdout, listed);
        assert!(run(&["connections", "-A", "--pid", &pid]).stdout.contains(&listed));
    });
}

/// Regression: only the name counted, which for a script is that of its interpreter.
#[test]
fn a_process_is_found_by_its_script_and_arguments() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("Vite-like.py");
        std::fs::write(&script, "import http.server\nhttp.server.test(port=3000, bind='127.0.0.1')").unwrap();
        let _script = crate::common::Background::spawn(Command::new("python3").arg(&script));
        let module = ["-m", "http.server", "--bind", "127.0.0.1", "3001"];
        let _module = crate::common::Background::spawn(Command::new("python3").args(module));
        until_it_listens(3000);
        until_it_listens(3001);
        let ports = |name: &str| -> Vec<u64> {
            let answer = json(&["--process", name]);
            answer["ports"].as_array().unwrap().iter().map(|port| port["port"].as_u64().unwrap()).collect()
        };
        assert_eq!(ports("vite-like"), [3000]);
        assert_eq!(ports("http.server --bind"), [3001]);
        assert_eq!(ports("python"), [3000, 3001]);
        assert_eq!(ports("gunicorn"), [] as [u64; 0]);
    });
}

#[test]
fn other_formats_say_the_same() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:5432").unwrap();
        let pid = std::process::id().to_string();

        let text = run(&["--format", "ndjson"]).stdout;
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[0]["processes"][0]["pid"].to_string()), (1, &pid));

        let text = run(&["5432", "--format", "csv"]).stdout;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
        assert_eq!((rows.len(), &rows[0]["pids"], &rows[0]["status"]), (2, &pid, &"held".to_owned()));
        assert_eq!((&*rows[1]["protocol"], &*rows[1]["status"], &*rows[1]["pids"]), ("udp", "free", ""));

        let text = run(&["5432/tcp", "--format", "markdown"]).stdout;
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines[1].starts_with("|---") && lines[2].contains(&pid), "{text}");
    });
}

#[test]
fn nothing_in_use_is_a_listing_too() {
    in_namespace(|| {
        assert_eq!(json(&[])["ports"].as_array().unwrap().len(), 0);
        assert_eq!(run(&[]).code, 0);
    });
}

#[test]
fn a_name_hides_nothing_behind_it_in_any_format() {
    // Regression: what looked like the start of an escape sequence removed everything behind it. In
    // CSV these were other people's rows.
    in_namespace(|| {
        let names = [
            ("\x1b]x", "\\u{1b}]x"),
            ("\x1bPx", "\\u{1b}Px"),
            ("\x1b_x", "\\u{1b}_x"),
            ("\x1bXx", "\\u{1b}Xx"),
            ("x\x7fy", "x\\u{7f}y"),
            ("x\u{9b}y", "x\\u{9b}y"),
            ("x\u{202e}y", "x\\u{202e}y"),
        ];
        let directory = tempfile::tempdir().unwrap();
        let play = |(&(name, _), number): (&(&str, &str), u16)| {
            let alias = directory.path().join(name);
            std::fs::copy(std::env::current_exe().unwrap(), &alias).unwrap();
            let mut role = Role::start_as(&alias, &format!("listen 127.0.0.1:{number}"));
            role.go();
            role
        };
        let _roles: Vec<Role> = names.iter().zip(8080..).map(play).collect();
        let _last = TcpListener::bind("127.0.0.1:9000").unwrap();
        let own = std::process::id().to_string();

        for format in ["table", "json", "ndjson", "csv", "markdown"] {
            // With colours, as on a terminal, nothing is removed.
            for color in ["never", "always"] {
                let text = run(&["--format", format, "--color", color]).stdout;
                let text = if format == "table" { text.replace("\x1b[1m", "").replace("\x1b[0m", "") } else { text };
                let is_obeyed =
                    |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
                assert!(!text.contains(is_obeyed), "{format}: {text:?}");
                assert!(text.contains("9000") && text.contains(&own), "{format}: {text}");
            }
        }
        let text = run(&["--format", "csv"]).stdout;
        let rows: Vec<BTreeMap<String, String>> =
            csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect();
        let shown: Vec<&str> = rows.iter().take(names.len()).map(|row| &*row["process"]).collect();
        assert_eq!((rows.len(), shown), (names.len() + 1, names.map(|(_, shown)| shown).to_vec()));

        // A parser gets the same name.
        let told = |answer: &Value, number: u16| {
            let pid = numbers(&crate::common::port(answer, number, "tcp")["sockets"][0]["owners"]["pids"])[0];
            let process = answer["processes"].as_array().unwrap().iter().find(|process| process["pid"] == pid);
            process.unwrap()["name"].as_str().unwrap().to_owned()
        };
        let answer = json(&[]);
        let lines = run(&["--format", "ndjson"]).stdout;
        for (((name, _), number), line) in names.into_iter().zip(8080..).zip(lines.lines()) {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!((&*told(&answer, number), &line["processes"][0]["name"]), (name, &name.into()));
        }
    });
}
