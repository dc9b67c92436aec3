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
    /// The local and remote ports.
    Ports,
    /// Both.
    Holders,
    /// How many rows there are.
    Count,
}
use Same::{Count, Holders, Pids, Ports};

/// What people type, what portcheck has for it, and what is compared. `PID` is that of the server.
const PAIRS: &[(&str, &str, Same)] = &[
    ("lsof -t -iTCP:8080 -sTCP:LISTEN", "portcheck 8080/tcp --pids", Pids),
    ("lsof -t -i :8080", "portcheck connections 8080 --pids", Pids),
    ("lsof -nP -iTCP:8080 -sTCP:LISTEN", "portcheck 8080/tcp", Holders),
    ("lsof -nP -iTCP -sTCP:LISTEN", "portcheck list --tcp", Holders),
    ("lsof -t -iTCP -sTCP:LISTEN", "portcheck list --tcp --pids", Pids),
    ("lsof -nP -iUDP", "portcheck list --udp --all", Holders),
    ("lsof -t -iUDP:5353", "portcheck 5353/udp --pids", Pids),
    ("lsof -nP -iTCP -sTCP:ESTABLISHED", "portcheck connections --tcp --state established", Holders),
    ("lsof -t -iTCP -sTCP:ESTABLISHED", "portcheck connections --tcp --state established --pids", Pids),
    ("lsof -nP -a -p PID -iTCP -sTCP:LISTEN", "portcheck list --tcp --pid PID", Holders),
    ("lsof -nP -a -u root -iTCP -sTCP:LISTEN", "portcheck list --tcp --user root", Holders),
    ("lsof -nP -a -c python -iTCP -sTCP:LISTEN", "portcheck list --tcp --process python", Holders),
    ("lsof -nP -i6TCP -sTCP:LISTEN", "portcheck list --tcp -6", Holders),
    ("lsof -nP -i :8080-8090 -sTCP:LISTEN", "portcheck 8080-8090/tcp", Holders),
    ("lsof -t -i @127.0.0.1:8080", "portcheck connections 127.0.0.1:8080 --pids", Pids),
    ("ss -tulpn", "portcheck", Holders),
    ("ss -tlpn", "portcheck list --tcp", Holders),
    ("ss -tln", "portcheck list --tcp", Ports),
    ("ss -tln4", "portcheck list --tcp -4", Ports),
    ("ss -uln", "portcheck list --udp", Ports),
    ("ss -tan", "portcheck list --tcp --all", Ports),
    ("ss -tlpn sport = :8080", "portcheck 8080/tcp", Holders),
    ("ss -ulpn sport = :5353", "portcheck 5353/udp", Holders),
    ("ss -tn", "portcheck connections --tcp", Ports),
    ("ss -tnp", "portcheck connections --tcp", Holders),
    ("ss -tn state established", "portcheck connections --tcp --state established", Ports),
    ("ss -tn state established dport = :8080", "portcheck connections --tcp --state established --peer :8080", Ports),
    (
        "ss -tn state established dst 127.0.0.0/8",
        "portcheck connections --tcp --state established --peer 127.0.0.0/8",
        Ports,
    ),
    ("ss -tn state close-wait", "portcheck connections --state close-wait", Ports),
    ("ss -tn state syn-sent", "portcheck connections --state syn-sent", Ports),
    ("ss -Htn state time-wait | wc -l", "portcheck connections --state time-wait --count", Count),
    ("netstat -tulpn", "portcheck", Holders),
    ("netstat -tlpn", "portcheck list --tcp", Holders),
    ("netstat -tln", "portcheck list --tcp", Ports),
    ("netstat -uln", "portcheck list --udp", Ports),
    ("netstat -tn", "portcheck connections --tcp --all", Ports),
    ("netstat -tnp", "portcheck connections --tcp --all", Holders),
    ("fuser 8080/tcp", "portcheck 8080/tcp --pids", Pids),
    ("fuser -n tcp 8081", "portcheck 8081/tcp --pids", Pids),
    ("fuser 5353/udp", "portcheck 5353/udp --pids", Pids),
];

/// Listens by TCP on four places and by UDP on one with a client, takes three connections, and closes one of them.
/// The queue of the fourth place is full, so the second client there stays in SYN_SENT.
const SERVER: &str = "
import socket, sys
def listen(family, *address, queue=8):
    s = socket.socket(family); s.bind(address); s.listen(queue); return s
def ask(*address):
    s = socket.socket(); s.setblocking(False); s.connect_ex(address); return s
web = listen(socket.AF_INET, '127.0.0.1', 8080)
other = listen(socket.AF_INET, '127.0.0.1', 8081)
six = listen(socket.AF_INET6, '::1', 8082)
full = listen(socket.AF_INET, '127.0.0.1', 8083, queue=0)
asking = [ask('127.0.0.1', 8083) for _ in range(2)]
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); names.bind(('127.0.0.1', 5353))
question = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); question.connect(('127.0.0.1', 5353))
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

/// What a command prints.
fn output(command: &str) -> String {
    String::from_utf8(Command::new("sh").args(["-c", command]).output().unwrap().stdout).unwrap()
}

/// The processes that a tool names: `pid=42` (ss), `42/python3` (netstat), in the second column under
/// a heading (lsof), or as numbers alone.
fn pids(text: &str) -> BTreeSet<u64> {
    let number = |word: &str| word.parse().ok();
    if text.contains("pid=") {
        text.split("pid=").skip(1).filter_map(|rest| number(rest.split([',', ')']).next()?)).collect()
    } else if text.starts_with("COMMAND") {
        text.lines().skip(1).filter_map(|row| number(row.split_whitespace().nth(1)?)).collect()
    } else if text.starts_with("Active") {
        text.split_whitespace().filter_map(|word| number(word.split_once('/')?.0)).collect()
    } else {
        text.split_whitespace().filter_map(number).collect()
    }
}

/// The ports of all addresses in a text: `127.0.0.1:40000->127.0.0.1:8080`.
fn ports(text: &str) -> BTreeSet<u64> {
    let ends = text.split(|it: char| it.is_whitespace() || it == '>').map(|end| end.trim_end_matches('-'));
    ends.filter_map(|end| end.rsplit_once(':')?.1.parse().ok()).collect()
}

/// The ports and the processes in our JSON.
fn in_json(json: &str) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let answer: serde_json::Value = serde_json::from_str(json).unwrap();
    let all = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let sockets = all(&answer["ports"]).into_iter().flat_map(|port| all(&port["sockets"]));
    let ends: Vec<_> = sockets.chain(all(&answer["connections"])).collect();
    let owners = ends.iter().flat_map(|end| [&end["owners"], &end["peer_owners"]]);
    (
        ends.iter().flat_map(|end| [end["local"]["port"].as_u64(), end["remote"]["port"].as_u64()]).flatten().collect(),
        owners.flat_map(|owners| all(&owners["pids"])).filter_map(|pid| pid.as_u64()).collect(),
    )
}

/// What both answer, as far as it is compared.
fn answers(theirs: &str, ours: &str, same: Same) -> [(BTreeSet<u64>, BTreeSet<u64>); 2] {
    let words: Vec<&str> = ours.split(' ').skip(1).collect();
    let run = |more: &[&str]| crate::common::run(&[&words[..], more].concat()).stdout;
    let theirs = output(theirs);
    let none = BTreeSet::new;
    match same {
        Pids => [(none(), pids(&theirs)), (none(), pids(&run(&[])))],
        Ports => [(ports(&theirs), none()), (in_json(&run(&["--json"])).0, none())],
        Holders => [(ports(&theirs), pids(&theirs)), in_json(&run(&["--json"]))],
        Count => [&theirs, &run(&[])].map(|text| (BTreeSet::from([text.trim().parse().unwrap()]), none())),
    }
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
            let [expected, found] = answers(&theirs.replace("PID", &pid), &ours.replace("PID", &pid), same);
            if expected != found || expected == Default::default() {
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
    let row = |theirs: &str, ours: &str| format!("| `{}` | `{ours}` |", theirs.replace('|', "\\|"));
    let expected: Vec<String> = PAIRS.iter().map(|(theirs, ours, _)| row(theirs, ours)).collect();
    assert_eq!((rows.len(), rows), (40, expected));
}
