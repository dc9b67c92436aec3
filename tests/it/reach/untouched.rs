//! The machine is as before, however `portcheck reach` ends.

use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{NETWORK, prepare};
use crate::common::{in_namespace, portcheck, run};

/// Everything that a trial could change, without clocks.
const STATE: &str = "iptables-save -c; ip6tables-save -c; nft list ruleset; ip -d link; ip -s link; ip address; ip rule
    ip route show table all; ip -6 route show table all; ip -s neighbour; conntrack -L
    sysctl -a | grep -E '^net[.]' | grep -vE 'nf_conntrack_count|random|stable_secret'
    ls /run/netns /run/xtables.lock; cat /proc/mounts";

fn state() -> Vec<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    let output = command.args(["-c", STATE]).env("PATH", path).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The bridge counts down until it cleans up, a tracked connection until it is forgotten, and iptables-save writes
    // when it ran.
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("gc_timer"));
    lines.map(|line| line.split_once(" ESTABLISHED ").map_or(line, |(_, rest)| rest).to_owned()).collect()
}

/// What is in one state and not in the other.
fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let only = |these: &[String], those: &[String], sign: &str| {
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("{sign}{line}")).collect::<Vec<_>>()
    };
    [only(before, after, "-"), only(after, before, "+")].concat()
}

/// The network namespaces that processes are in, and the names of processes in namespaces that are not ours.
fn namespaces() -> Vec<String> {
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let tools = ["nft", "iptables", "ip6tables", "xtables", "portcheck"];
        let is_tool = tools.iter().any(|tool| name.starts_with(tool));
        let parent = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let is_orphan = parent.contains("PPid:\t1\n");
        // Other tests lease ports.
        let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let is_tool = is_tool && !command.contains("keep-leases");
        if is_tool && is_orphan && std::fs::read_link(entry.path().join("ns/net")).is_ok_and(|net| net != own) {
            found.push(name);
        }
    }
    found
}

/// IPv6 would send reports of its own.
const RULES: &str = "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6
    ip link set lo up
    iptables -A INPUT -m conntrack --ctstate INVALID -j DROP
    iptables -A INPUT -s 10.77.0.0/24 -p tcp --dport 18080 -j ACCEPT
    iptables -A INPUT -p tcp --dport 18080 -m limit --limit 5/min -j DROP
    ip6tables -A INPUT -p tcp -j REJECT
    nft -f - <<'END'
    table inet fw {
        set seen { type ipv4_addr; flags dynamic; }
        counter hits { }
        chain input { type filter hook input priority 10; add @seen { ip saddr } counter name hits; tcp dport 18081 drop; }
    }
END";

#[test]
fn nothing_of_the_machine_changes() {
    in_namespace(|| {
        if !prepare(&["ip", "iptables", "nft", "sysctl", "conntrack"], &format!("{NETWORK}\n{RULES}")) {
            return;
        }
        let _servers = [18080, 18081].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        let other = TcpListener::bind("127.0.0.1:18082").unwrap();
        let _connection = (TcpStream::connect(other.local_addr().unwrap()).unwrap(), other.accept().unwrap());
        let before = state();
        let has = |text: &str| before.iter().any(|line| line.contains(text));
        assert!(has("chain input") && has("-A INPUT") && has("net.ipv4") && has("10.77.0.5/24"), "{before:?}");
        assert!(has("dport=18082"), "{before:?}");
        for arguments in
            [&["reach", "18080", "18081"][..], &["reach"], &["reach", "18080", "--from", "8.8.8.8,10.77.0.9"]]
        {
            assert!([0, 1, 3].contains(&run(arguments).code));
            assert_eq!(difference(&before, &state()), Vec::<String>::new());
        }
        let chance = RandomState::new();
        for attempt in 0..10 {
            // From before the replica is there until after it is gone.
            let after = Duration::from_micros(chance.hash_one(attempt) % 130_000);
            let mut child = portcheck(&["reach", "18080"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let end = Instant::now() + after;
            while Instant::now() < end && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            let _ = child.kill();
            child.wait().unwrap();
            assert_eq!(difference(&before, &state()), Vec::<String>::new(), "after {after:?}");
        }
        // A tool that it had started ends when its input does.
        let end = Instant::now() + Duration::from_secs(10);
        while !namespaces().is_empty() && Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(namespaces(), Vec::<String>::new());
    });
}
