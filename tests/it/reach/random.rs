//! Random rulesets: what `portcheck reach` says, against real connections from the other end of a veth pair.
//! `PORTCHECK_RULESETS=500` tries more, `PORTCHECK_SEED` others.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{from, prepare};
use crate::common::{in_namespace, json};

const PORTS: [u16; 4] = [18080, 18081, 18082, 18083];
const SOURCES: [&str; 5] = ["10.77.0.9", "10.77.0.77", "203.0.113.7", "fd77::9", "2001:db8::7"];

/// Connects from the other end: reads how long to wait and `SOURCE TARGET PORT` of all connections in a line, and says of each
/// how it ended. Open is one that answers a byte: a rule may take the connection's start only.
const CLIENT: &str = "
import errno, select, socket, sys, time
print('ready', flush=True)
for line in sys.stdin:
    patience, *words = line.split()
    tries = [words[at:at + 3] for at in range(0, len(words), 3)]
    pending, ends = {}, ['dropped'] * len(tries)
    for at, (source, target, port) in enumerate(tries):
        s = socket.socket(socket.AF_INET6 if ':' in source else socket.AF_INET)
        s.setblocking(False)
        s.bind((source, 0))
        s.connect_ex((target, int(port)))
        pending[s.fileno()] = (s, at)
    poller = select.poll()
    for fd in pending: poller.register(fd, select.POLLOUT)
    end = time.monotonic() + float(patience)
    while pending and time.monotonic() < end:
        for fd, events in poller.poll(max(0, (end - time.monotonic()) * 1000)):
            s, at = pending[fd]
            try:
                if events & select.POLLIN:
                    ends[at] = 'open' if s.recv(1) else 'closed'
                elif events & (select.POLLERR | select.POLLHUP):
                    ends[at] = 'refused'
                else:
                    s.send(b'?')
                    poller.modify(fd, select.POLLIN)
                    continue
            except OSError:
                ends[at] = 'refused'
            poller.unregister(fd)
            del pending[fd]
            s.close()
    for s, _ in pending.values(): s.close()
    print(*ends, flush=True)
";

struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Client {
    /// Starts it in a network namespace of its own.
    fn start() -> Self {
        let mut command = Command::new("unshare");
        command.args(["-n", "python3", "-c", CLIENT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut client = Self { child, input, output };
        assert_eq!(client.line(), "ready");
        client
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn connect(&mut self, patience: &str, tries: &[(&str, u16)]) -> Vec<String> {
        let mut line = format!("{patience} ");
        for (source, port) in tries {
            let target = if source.contains(':') { "fd77::5" } else { "10.77.0.5" };
            let _ = write!(line, "{source} {target} {port} ");
        }
        writeln!(self.input, "{line}").unwrap();
        self.line().split(' ').map(str::to_owned).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Numbers that are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(limit).unwrap()).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

const NFT_MATCHES: &[&str] = &[
    "ip saddr 10.77.0.0/24",
    "ip saddr != 10.77.0.0/24",
    "ip saddr @friends",
    "ip saddr != @friends",
    "ip6 saddr fd77::/64",
    "tcp dport 18080",
    "tcp dport { 18080, 18082 }",
    "tcp dport 18080-18081",
    "tcp dport @ports",
    "tcp dport != 18081",
    "iif \"eth0\"",
    "iifname \"eth*\"",
    "iif \"lo\"",
    "ct state new",
    "ct state established,related",
    "ct state invalid",
    "meta l4proto tcp",
    "meta nfproto ipv6",
    "fib daddr type local",
    "fib saddr . iif oif exists",
    "fib saddr type unicast",
    "tcp flags & (fin | syn | rst | ack) == syn",
    "limit rate 5/second",
    "ip daddr 10.77.0.5",
    "meta mark 0x7",
    "udp dport 18080",
    "ip saddr . tcp dport @pairs",
    "ct status dnat",
    "ct direction original",
    "meta length 60",
];

const NFT_VERDICTS: &[&str] = &[
    "accept",
    "drop",
    "counter accept",
    "counter drop",
    "jump one",
    "goto one",
    "jump two",
    "return",
    "meta mark set 0x7",
    "tcp dport vmap { 18080 : accept, 18081 : drop, 18083 : jump two }",
    "tcp dport vmap @verdicts",
    "ip saddr vmap { 10.77.0.0/25 : jump two, 203.0.113.0/24 : drop }",
    "counter",
    "add @seen { ip saddr }",
    "meta mark set tcp dport map { 18080 : 0x7, 18081 : 0x8 }",
];

fn nft_rule(dice: &mut Dice, verdicts: &[&str], own: &str) -> String {
    let mut words: Vec<&str> = (0..dice.below(3)).map(|_| dice.one(NFT_MATCHES)).collect();
    let verdict = loop {
        // A chain may not jump to itself, nor the second to the first.
        let verdict = dice.one(verdicts);
        let leads_on = verdict.contains("one") || verdict.contains("two");
        if !(leads_on && (own == "two" || (own == "one" && verdict.contains("one")))) {
            break verdict;
        }
    };
    words.push(verdict);
    words.join(" ")
}

fn nft(dice: &mut Dice) -> String {
    let mut text = "table inet fw {
        set friends { type ipv4_addr; flags interval; elements = { 10.77.0.0/26, 198.51.100.0/24 } }
        set ports { type inet_service; elements = { 18081, 18083 } }
        set pairs { type ipv4_addr . inet_service; elements = { 10.77.0.9 . 18080, 203.0.113.7 . 18081 } }
        set seen { type ipv4_addr; flags dynamic; }
        map verdicts { type inet_service : verdict; elements = { 18080 : jump two, 18082 : drop } }
    "
    .to_owned();
    let rejecting: Vec<&str> =
        [NFT_VERDICTS, &["reject", "reject with tcp reset", "reject with icmpx admin-prohibited"]].concat();
    let mut chain = |dice: &mut Dice, name: &str, kind: &str, verdicts: &[&str], most: usize| {
        let rules: Vec<String> = (0..dice.below(most + 1)).map(|_| nft_rule(dice, verdicts, name)).collect();
        let _ = writeln!(text, "chain {name} {{ {kind}\n{}\n}}", rules.join("\n"));
    };
    // Neighbours have to be found: ICMPv6 passes.
    let pass = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;";
    chain(dice, "two", "", &["accept", "drop", "return", "counter"], 3);
    chain(dice, "one", "", NFT_VERDICTS, 4);
    let policy = dice.one(&["accept", "drop"]);
    chain(dice, "input", &format!("type filter hook input priority filter; policy {policy}; {pass}"), &rejecting, 6);
    if dice.is_one_in(3) {
        chain(
            dice,
            "early",
            &format!("type filter hook prerouting priority raw; {pass}"),
            &["accept", "drop", "jump two", "meta mark set 0x7", "notrack"],
            3,
        );
    }
    if dice.is_one_in(3) {
        chain(dice, "late", "type filter hook input priority 10;", &rejecting, 2);
    }
    if dice.is_one_in(4) {
        let port = PORTS[dice.below(PORTS.len())];
        let _ = writeln!(
            text,
            "chain out {{ type filter hook output priority filter; tcp sport {port} tcp flags & (syn | ack) == syn | ack drop; }}"
        );
    }
    if dice.is_one_in(3) {
        let rule = dice.one(&[
            "tcp dport 18083 redirect to :18081",
            "tcp dport 18080 dnat ip to 172.18.0.2:80",
            "ip saddr 10.77.0.9 tcp dport 18081 redirect to :18082",
        ]);
        let _ = writeln!(text, "chain pre {{ type nat hook prerouting priority dstnat; {rule}; }}");
    }
    text.push('}');
    format!("nft -f - <<'END'\n{text}\nEND")
}

const IPTABLES_MATCHES: &[&str] = &[
    "-s 10.77.0.0/24",
    "! -s 10.77.0.0/24",
    "-s 203.0.113.0/24",
    "-i eth0",
    "! -i lo",
    "-i lo",
    "-m conntrack --ctstate NEW",
    "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-m addrtype --dst-type LOCAL",
    "-m comment --comment x",
    "-m limit --limit 5/s",
    "-m mark --mark 0x7",
    "-m iprange --src-range 10.77.0.1-10.77.0.50",
    "-m recent --name a --set",
    "-m statistic --mode random --probability 0.5",
    "-m hashlimit --hashlimit-name h --hashlimit-upto 9/s",
];

const IPTABLES_PORTS: &[&str] = &[
    "",
    "",
    "-p tcp --dport 18080",
    "-p tcp --dport 18081:18082",
    "-p tcp -m multiport --dports 18080,18083",
    "-p tcp --syn",
    "-p tcp ! --dport 18081",
    "-p udp --dport 18080",
];

fn iptables_rule(dice: &mut Dice, chain: &str) -> String {
    let port = dice.one(IPTABLES_PORTS);
    let matches: Vec<&str> = (0..dice.below(2)).map(|_| dice.one(IPTABLES_MATCHES)).collect();
    let targets: &[&str] = match chain {
        "TWO" => &["-j ACCEPT", "-j DROP", "-j RETURN"],
        "ONE" => &["-j ACCEPT", "-j DROP", "-j RETURN", "-j TWO", "-g TWO", "-j REJECT"],
        _ => &["-j ACCEPT", "-j DROP", "-j REJECT", "-j ONE", "-g ONE", "-j TWO", "-j RETURN", "", "-j LOG"],
    };
    let reset = if port.starts_with("-p tcp") && chain == "INPUT" && dice.is_one_in(6) {
        Some("-j REJECT --reject-with tcp-reset")
    } else {
        None
    };
    let target = reset.unwrap_or_else(|| dice.one(targets));
    format!("-A {chain} {port} {} {target}", matches.join(" "))
}

fn iptables(dice: &mut Dice, tool: &str) -> String {
    let mut filter = format!("*filter\n:INPUT {} [0:0]\n:ONE - [0:0]\n:TWO - [0:0]\n", dice.one(&["ACCEPT", "DROP"]));
    for (chain, most) in [("TWO", 3), ("ONE", 4), ("INPUT", 7)] {
        for _ in 0..dice.below(most + 1) {
            filter += &(iptables_rule(dice, chain) + "\n");
        }
    }
    filter += "COMMIT\n";
    if dice.is_one_in(3) {
        filter +=
            "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 18080 -j MARK --set-mark 0x7\nCOMMIT\n";
    }
    if dice.is_one_in(3) {
        let rule = dice.one(&[
            "-p tcp --dport 18083 -j REDIRECT --to-ports 18081",
            "-s 10.77.0.9 -p tcp --dport 18080 -j DNAT --to-destination 172.18.0.2:80",
        ]);
        let _ = writeln!(filter, "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {rule}\nCOMMIT");
    }
    format!("{tool}-restore <<'END'\n{filter}END")
}

const FLUSH: &str = "nft flush ruleset; for t in filter mangle nat; do iptables-legacy -t $t -F; iptables-legacy -t $t -X; \
                     iptables-legacy -t $t -P INPUT ACCEPT; done 2>/dev/null; true";

fn loads(rules: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-ec", rules]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// Answers a byte, beside the others: a full accept queue would drop connections that the rules let through.
fn answer(mut connection: TcpStream) {
    std::thread::spawn(move || {
        // The byte may be dropped, and also the end of the connection.
        connection.set_read_timeout(Some(Duration::from_secs(2)))?;
        connection.read_exact(&mut [0])?;
        connection.write_all(b"!")
    });
}

/// Whether both say the same.
fn agrees(said: &str, real: &str) -> bool {
    match said {
        "open" | "dropped" | "refused" => said == real,
        "not-listening" | "not-bound-there" => real != "open",
        _ => ["diverted", "unknown"].contains(&said),
    }
}

#[test]
fn random_rulesets_do_what_is_said_of_them() {
    in_namespace(|| {
        let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
        if !prepare(&["ip", "nft", "iptables", "iptables-legacy", "python3"], "true") {
            return;
        }
        let mut client = Client::start();
        let pid = client.child.id();
        let network = format!(
            "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
            ip link add eth0 type veth peer name far netns {pid}
            ip address add 10.77.0.5/24 dev eth0; ip address add fd77::5/64 dev eth0 nodad; ip link set eth0 up
            ip link add docker0 type bridge; ip address add 172.18.0.1/16 dev docker0; ip link set docker0 up
            echo 1 >/proc/sys/net/ipv4/ip_forward
            nsenter --net=/proc/{pid}/ns/net sh -ec '
                ip link set lo up; ip link set far up
                for a in 10.77.0.9/24 10.77.0.77/24 203.0.113.7/32; do ip address add $a dev far; done
                for a in fd77::9/64 2001:db8::7/128; do ip address add $a dev far nodad; done'
            ip route add default via 10.77.0.9; ip -6 route add default via fd77::9"
        );
        assert!(prepare(&["nsenter"], &network));
        for at in ["[::]:18080", "0.0.0.0:18081", "[::1]:18082", "127.0.0.1:18082"] {
            let server = TcpListener::bind(at).unwrap();
            std::thread::spawn(move || server.incoming().flatten().for_each(answer));
        }
        let tries: Vec<(&str, u16)> = SOURCES.into_iter().flat_map(|source| PORTS.map(|port| (source, port))).collect();
        let (rounds, seed) = (number("PORTCHECK_RULESETS", 24), number("PORTCHECK_SEED", 1));
        let (mut wrong, mut counts, mut refused) = (String::new(), std::collections::BTreeMap::<String, u32>::new(), 0);
        for round in 0..rounds {
            let mut dice = Dice((seed << 32) + round);
            // Some matches do not go together, and are refused by the tool.
            let rules = loop {
                let rules = match round % 4 {
                    0 | 1 => nft(&mut dice),
                    2 => iptables(&mut dice, "iptables"),
                    _ => iptables(&mut dice, "iptables-legacy"),
                };
                assert!(loads(FLUSH));
                if loads(&rules) {
                    break rules;
                }
                refused += 1;
            };
            let answer = json(&["reach", "18080-18083", "--tcp", "--from", &SOURCES.join(",")]);
            let said: Vec<&Value> = tries.iter().map(|(source, port)| from(&answer, *port, source)).collect();
            let result = |at: usize| said[at]["result"].as_str().unwrap();
            let mut real = client.connect("0.3", &tries);
            // On a veth pair, the error of ICMPv6 arrives while the client is still in its call, and is not heeded. It tries
            // again after a second.
            let slow: Vec<usize> = (0..tries.len()).filter(|&at| !agrees(result(at), &real[at])).collect();
            if !slow.is_empty() {
                let again: Vec<(&str, u16)> = slow.iter().map(|&at| tries[at]).collect();
                slow.iter().zip(client.connect("1.5", &again)).for_each(|(&at, end)| real[at] = end);
            }
            for (at, (source, port)) in tries.iter().enumerate() {
                *counts.entry(result(at).to_owned()).or_default() += 1;
                if !agrees(result(at), &real[at]) {
                    let _ = writeln!(wrong, "round {round}: {source} to {port} is {}: {}\n{rules}", real[at], said[at]);
                }
            }
        }
        eprintln!("{rounds} rulesets: {counts:?}; {refused} more were refused by their tools");
        assert!(refused < rounds * 3, "{refused}");
        assert!(wrong.is_empty(), "{wrong}");
    });
}
