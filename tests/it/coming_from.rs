//! docs/coming-from.md: what people type into lsof, ss, netstat and fuser, and what portcheck has for
//! it. Each pair is run on the same sockets, and has to find the same.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::common::server::program;
use crate::common::{in_namespace, is_root, skip};

/// In what both answers have to be the same.
#[derive(Debug, Clone, Copy)]
enum Same {
    /// The processes.
    Pids,
    /// The local ports.
    Ports,
    /// How many rows there are.
    Count,
}
use Same::{Count, Pids, Ports};

/// What people type, what portcheck has for it, and what is compared. `PID` is that of the server.
const PAIRS: &[(&str, &str, Same)] = &[
    ("lsof -t -iTCP:8080 -sTCP:LISTEN", "portcheck 8080/tcp --pids", Pids),
    ("lsof -t -i :8080", "portcheck connections 8080 --pids", Pids),
    ("lsof -nP -iTCP:8080 -sTCP:LISTEN", "portcheck 8080/tcp", Ports),
    ("lsof -nP -iTCP -sTCP:LISTEN", "portcheck list --tcp", Ports),
    ("lsof -t -iTCP -sTCP:LISTEN", "portcheck list --tcp --pids", Pids),
    ("lsof -nP -iUDP", "portcheck list --udp", Ports),
    ("lsof -t -iUDP:5353", "portcheck 5353/udp --pids", Pids),
    ("ss -Htan", "portcheck list --tcp --all", Ports),
    ("lsof -nP -iTCP -sTCP:ESTABLISHED", "portcheck connections --tcp --state established", Ports),
    ("lsof -t -iTCP -sTCP:ESTABLISHED", "portcheck connections --tcp --pids", Pids),
    ("lsof -nP -a -p PID -iTCP -sTCP:LISTEN", "portcheck list --tcp --pid PID", Ports),
    ("lsof -nP -a -u root -iTCP -sTCP:LISTEN", "portcheck list --tcp --user root", Ports),
    ("lsof -nP -a -c python -iTCP -sTCP:LISTEN", "portcheck list --tcp --process python", Ports),
    ("lsof -nP -i :8080-8090 -sTCP:LISTEN", "portcheck 8080-8090/tcp", Ports),
    ("lsof -t -i @127.0.0.1:8080", "portcheck connections 127.0.0.1:8080 --pids", Pids),
    ("ss -Htln", "portcheck list --tcp", Ports),
    ("ss -Huln", "portcheck list --udp", Ports),
    ("ss -Htulpn", "portcheck list --pids", Pids),
    ("ss -Htlpn sport = :8080", "portcheck 8080/tcp --pids", Pids),
    ("ss -Htln sport = :8080", "portcheck 8080/tcp", Ports),
    ("ss -Htlnp sport = :8081", "portcheck 8081/tcp --pids", Pids),
    ("ss -Htln4", "portcheck list --tcp -4", Ports),
    ("ss -Htn", "portcheck connections --tcp", Ports),
    ("ss -Htnp", "portcheck connections --tcp --pids", Pids),
    ("ss -Htn state established", "portcheck connections --tcp --state established", Ports),
    ("ss -Htn state established dport = :8080", "portcheck connections --state established --peer :8080", Ports),
    (
        "ss -Htn state established dst 127.0.0.0/8",
        "portcheck connections --state established --peer 127.0.0.0/8",
        Ports,
    ),
    ("ss -Htn state established dst 10.0.0.0/8", "portcheck connections --tcp --peer 10.0.0.0/8", Ports),
    ("ss -Htn state time-wait", "portcheck connections --state time-wait --count", Count),
    ("ss -Htan state close-wait", "portcheck connections --state close-wait --count", Count),
    ("ss -Htn state syn-sent", "portcheck connections --state syn-sent --count", Count),
    ("lsof -nP -i6TCP -sTCP:LISTEN", "portcheck list --tcp -6", Ports),
    ("netstat -tln", "portcheck list --tcp", Ports),
    ("netstat -uln", "portcheck list --udp", Ports),
    ("netstat -tn", "portcheck connections --tcp --all", Ports),
    ("netstat -tlnp", "portcheck list --tcp --pids", Pids),
    ("netstat -tnp", "portcheck connections --tcp --pids", Pids),
    ("fuser 8080/tcp", "portcheck 8080/tcp --pids", Pids),
    ("fuser 5353/udp", "portcheck 5353/udp --pids", Pids),
    ("fuser 9999/tcp", "portcheck 9999/tcp --pids", Pids),
];

/// Listens by TCP on three places and by UDP on one, takes three connections, and closes one of them.
const SERVER: &str = "
import socket, sys
def listen(family, *address):
    s = socket.socket(family); s.bind(address); s.listen(); return s
web = listen(socket.AF_INET, '127.0.0.1', 8080)
other = listen(socket.AF_INET, '127.0.0.1', 8081)
six = listen(socket.AF_INET6, '::1', 8082)
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); names.bind(('127.0.0.1', 5353))
print('ready', flush=True)
held = [web.accept()[0] for _ in range(2)]
other.accept()[0].close()
print('taken', flush=True)
sys.stdin.read()
";

/// A server that ends when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a tool prints.
fn output(words: &str) -> String {
    let mut words = words.split(' ');
    let tool = program(words.next().unwrap()).unwrap();
    String::from_utf8(Command::new(tool).args(words).output().unwrap().stdout).unwrap()
}

/// The processes that a tool names: `pid=42`, `42/python3`, or the number alone.
fn pids(text: &str) -> BTreeSet<u64> {
    let marked = text.split("pid=").skip(1).filter_map(|rest| rest.split([',', ')']).next()?.parse().ok());
    let words = text.split_whitespace();
    marked.chain(words.filter_map(|word| word.split('/').next()?.parse().ok().filter(|_| is_pid(word)))).collect()
}

/// The numbers of queues are words of their own as well, but lines with them have addresses.
fn is_pid(word: &str) -> bool {
    word.contains('/') || word.parse::<u32>().is_ok_and(|number| number > 300)
}

/// The ports of all addresses in a text: `127.0.0.1:40000->127.0.0.1:8080`.
fn ports(text: &str) -> BTreeSet<u64> {
    let ends = text.split(|it: char| it.is_whitespace() || it == '>').map(|end| end.trim_end_matches('-'));
    ends.filter_map(|end| end.rsplit_once(':')?.1.parse().ok()).collect()
}

/// The same of our JSON.
fn own_ports(json: &str) -> BTreeSet<u64> {
    let answer: serde_json::Value = serde_json::from_str(json).unwrap();
    let all = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let sockets = all(&answer["ports"]).into_iter().flat_map(|port| all(&port["sockets"]));
    let ends = sockets.chain(all(&answer["connections"]));
    ends.flat_map(|end| [end["local"]["port"].as_u64(), end["remote"]["port"].as_u64()]).flatten().collect()
}

#[test]
fn each_pair_finds_the_same() {
    in_namespace(|| {
        let tools = ["lsof", "ss", "netstat", "fuser", "python3"];
        if !is_root() || tools.iter().any(|tool| program(tool).is_none()) {
            return skip("not root, or one of lsof, ss, netstat, fuser and python3 is missing");
        }
        let mut server = Command::new("python3");
        let server = server.args(["-c", SERVER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut server = Server(server);
        let mut said = BufReader::new(server.0.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "ready");
        // One stays, one is closed here and not there, and one is closed by both.
        let _open = TcpStream::connect("127.0.0.1:8080").unwrap();
        drop(TcpStream::connect("127.0.0.1:8080").unwrap());
        let mut closed = TcpStream::connect("127.0.0.1:8081").unwrap();
        assert_eq!(closed.read(&mut [0]).unwrap(), 0);
        drop(closed);
        assert_eq!(said.next().unwrap().unwrap(), "taken");

        let pid = server.0.id().to_string();
        let mut wrong = Vec::new();
        for &(theirs, ours, same) in PAIRS {
            let asked = theirs.replace("PID", &pid);
            let words = ours.replace("PID", &pid);
            let words: Vec<&str> = words.split(' ').skip(1).collect();
            let run = |more: &[&str]| crate::common::run(&[&words[..], more].concat()).stdout;
            let (expected, found) = match same {
                Pids => (pids(&output(&asked)), pids(&run(&[]))),
                Ports => (ports(&output(&asked)), own_ports(&run(&["--json"]))),
                Count => {
                    let rows = u64::try_from(output(&asked).lines().count()).unwrap();
                    (BTreeSet::from([rows]), BTreeSet::from([run(&[]).trim().parse().unwrap()]))
                }
            };
            if expected != found {
                wrong.push(format!("{theirs}: {expected:?}\n  {ours}: {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn the_page_has_each_pair() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/coming-from.md")).unwrap();
    let rows: Vec<String> = page.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let expected: Vec<String> = PAIRS.iter().map(|(theirs, ours, _)| format!("| `{theirs}` | `{ours}` |")).collect();
    assert_eq!((rows.len(), rows), (40, expected));
}
