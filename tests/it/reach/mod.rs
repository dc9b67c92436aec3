//! `portcheck reach`, in network namespaces of the tests' own with real rules.

mod frontends;
mod programs;
mod random;
mod untouched;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json as value};

use crate::common::{
    Run, codes, has, in_namespace, is_root, json, json_as_nobody, port, portcheck_as_nobody, run, skip,
};

/// A machine in the network 10.77.0.0/24, with a way to others. Nothing happens on it by itself.
const NETWORK: &str = "ip link add eth0 type bridge mcast_snooping 0
    echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
    ip address add 10.77.0.5/24 dev eth0
    ip link set eth0 up
    ip route add default via 10.77.0.1";

/// Runs commands of a shell. `false`, said aloud, where a tool is missing or does not work.
pub fn prepare(tools: &[&str], script: &str) -> bool {
    if let Some(missing) = tools.iter().find(|tool| !has(tool)) {
        skip(&format!("no {missing}"));
        return false;
    }
    if !is_root() || !std::path::Path::new("/dev/net/tun").exists() {
        skip("not root, or no /dev/net/tun");
        return false;
    }
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh").args(["-ec", script]).env("PATH", path).stdin(Stdio::null()).output().unwrap();
    if !output.status.success() {
        skip(&format!("{script}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    output.status.success()
}

/// What `reach` says of the source `from`.
#[track_caller]
pub fn from<'a>(answer: &'a Value, number: u16, from: &str) -> &'a Value {
    let rows = port(answer, number, "tcp")["reach"].as_array().unwrap();
    rows.iter().find(|row| row["from"] == from).unwrap_or_else(|| panic!("nothing from {from} in {answer:#}"))
}

#[test]
fn the_rule_of_iptables_that_drops_is_named() {
    in_namespace(|| {
        let rules = "iptables -A INPUT -i lo -j ACCEPT
            iptables -A INPUT -s 10.77.0.0/24 -p tcp --dport 18080 -j ACCEPT
            iptables -A INPUT -p tcp --dport 18080 -m comment --comment 'no strangers' -j DROP";
        if !prepare(&["ip", "iptables"], &format!("{NETWORK}\n{rules}")) {
            return;
        }
        let _server = TcpListener::bind("0.0.0.0:18080").unwrap();
        let answer = json(&["reach", "18080", "--from", "10.77.0.9,203.0.113.7"]);
        assert_eq!(from(&answer, 18080, "10.77.0.9")["result"], "open");
        let dropped = from(&answer, 18080, "203.0.113.7");
        assert_eq!((&dropped["result"], &dropped["to"]), (&value!("dropped"), &value!("10.77.0.5")));
        let by = &dropped["by"];
        assert_eq!((&by["kind"], &by["backend"]), (&value!("rule"), &value!("iptables-nft")), "{dropped:#}");
        assert_eq!((&by["table"], &by["chain"], &by["position"]), (&value!("filter"), &value!("INPUT"), &value!(3)));
        assert_eq!(by["comment"], "no strangers");
        assert_eq!(by["rule"], "-A INPUT -p tcp -m tcp --dport 18080 -m comment --comment \"no strangers\" -j DROP");
        assert!(by["handle"].is_u64());
        assert_eq!(answer["exit_code"], 1);
        let tcp = port(&answer, 18080, "tcp");
        assert!(codes(tcp).contains(&"firewall-blocks"), "{tcp:#}");
        let remedy = "iptables -I INPUT 3 -p tcp --dport 18080 -j ACCEPT";
        let report = run(&["reach", "18080"]);
        assert!(report.stdout.contains(remedy) && report.code == 1, "{report:?}");
        let first = "18080/tcp can be reached from 10.77.0.0/24 (eth0), and not from elsewhere";
        assert_eq!(report.first_line(), first, "{report:?}");
        // What helps does help.
        assert!(prepare(&["iptables"], remedy));
        assert_eq!(run(&["reach", "18080", "-q"]).code, 0);
        assert_eq!(run(&["reach", "18080", "-q", "--from", "10.77.0.9"]).code, 0);
    });
}

#[test]
fn a_policy_is_told_from_a_rule_that_is_for_other_ports() {
    in_namespace(|| {
        let rules = "iptables -P INPUT DROP
            iptables -A INPUT -p tcp --dport 22 -m hashlimit --hashlimit-name a --hashlimit-upto 5/min -j ACCEPT
            iptables -A INPUT -p tcp --dport 18081 -m limit --limit 5/min -j ACCEPT";
        if !prepare(&["ip", "iptables"], &format!("{NETWORK}\n{rules}")) {
            return;
        }
        let _servers = [18080, 18081].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        let answer = json(&["reach", "18080", "18081", "--from", "203.0.113.7"]);
        let dropped = from(&answer, 18080, "203.0.113.7");
        assert_eq!(
            (&dropped["result"], &dropped["by"]["kind"]),
            (&value!("dropped"), &value!("policy")),
            "{dropped:#}"
        );
        assert_eq!((&dropped["by"]["chain"], &dropped["by"]["position"]), (&value!("INPUT"), &Value::Null));
        // Nobody knows how much came before.
        let limited = from(&answer, 18081, "203.0.113.7");
        assert_eq!((&limited["result"], &limited["note"]), (&value!("unknown"), &value!("it depends on a rate limit")));
        assert_eq!(limited["by"]["position"], 2);
        assert_eq!(run(&["reach", "18081", "-q", "--from", "203.0.113.7"]).code, 3);
    });
}

#[test]
fn sets_interfaces_and_rejections_of_nftables_are_followed() {
    in_namespace(|| {
        let rules = "nft -f - <<'END'
            table inet fw {
                set friends { type ipv4_addr; flags interval; elements = { 10.77.0.0/24 } }
                chain web {
                    ip saddr @friends counter accept
                    reject with tcp reset comment \"friends only\"
                }
                chain input {
                    type filter hook input priority filter; policy drop;
                    ct state established,related accept
                    iif \"eth0\" tcp dport vmap { 18080 : jump web, 18082 : accept }
                }
            }
END";
        if !prepare(&["ip", "nft"], &format!("{NETWORK}\n{rules}")) {
            return;
        }
        let _servers = [18080, 18081, 18082].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        let answer = json(&["reach", "18080-18082", "--tcp", "--from", "10.77.0.9,203.0.113.7"]);
        assert_eq!(from(&answer, 18080, "10.77.0.9")["result"], "open");
        assert_eq!(from(&answer, 18082, "203.0.113.7")["result"], "open");
        let refused = from(&answer, 18080, "203.0.113.7");
        let by = &refused["by"];
        assert_eq!((&refused["result"], &by["backend"]), (&value!("refused"), &value!("nftables")), "{refused:#}");
        assert_eq!((&by["family"], &by["chain"], &by["position"]), (&value!("inet"), &value!("web"), &value!(2)));
        assert_eq!(by["comment"], "friends only");
        let dropped = from(&answer, 18081, "10.77.0.9");
        assert_eq!((&dropped["result"], &dropped["by"]["kind"]), (&value!("dropped"), &value!("policy")));
        // Loopback is not let through.
        let here = json(&["reach", "18081/tcp"]);
        assert_eq!(from(&here, 18081, "127.0.0.1")["result"], "dropped");
    });
}

#[test]
fn diverted_connections_are_told_with_their_target() {
    in_namespace(|| {
        let rules = "ip link add docker0 type bridge; ip address add 172.18.0.1/16 dev docker0; ip link set docker0 up
            sysctl -qw net.ipv4.ip_forward=1
            iptables -t nat -N DOCKER
            iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
            iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 18080 -j DNAT --to-destination 172.18.0.2:80
            iptables -t nat -A PREROUTING -p tcp --dport 18081 -j REDIRECT --to-ports 3128
            iptables -N ufw-before-input
            iptables -P INPUT DROP";
        if !prepare(&["ip", "iptables", "sysctl"], &format!("{NETWORK}\n{rules}")) {
            return;
        }
        let answer = json(&["reach", "18080", "18081", "--from", "203.0.113.7"]);
        let diverted = from(&answer, 18080, "203.0.113.7");
        assert_eq!(
            (&diverted["result"], &diverted["to"]),
            (&value!("diverted"), &value!("172.18.0.2:80")),
            "{answer:#}"
        );
        assert_eq!(diverted["note"], "Docker's rules come before ufw, so ufw does not block it");
        // The policy of ufw ends the other one.
        assert_eq!(from(&answer, 18081, "203.0.113.7")["result"], "not-listening");
        // Nobody listens here on a port that is published by a rule alone.
        let audit = json(&["reach"]);
        assert_eq!(from(&audit, 18080, "203.0.113.1")["result"], "diverted");
        assert!(prepare(&["iptables"], "iptables -P INPUT ACCEPT"));
        let answer = json(&["reach", "18081", "--from", "203.0.113.7"]);
        let diverted = from(&answer, 18081, "203.0.113.7");
        assert_eq!((&diverted["result"], &diverted["to"]), (&value!("diverted"), &value!("10.77.0.5:3128")));
    });
}

#[test]
fn where_nobody_listens_the_server_is_the_reason() {
    in_namespace(|| {
        if !prepare(&["ip"], NETWORK) {
            return;
        }
        let _server = TcpListener::bind("127.0.0.1:18080").unwrap();
        let answer = json(&["reach", "18080"]);
        assert_eq!(from(&answer, 18080, "127.0.0.1")["result"], "open");
        for source in ["10.77.0.1", "203.0.113.1"] {
            let row = from(&answer, 18080, source);
            assert_eq!((&row["result"], &row["by"]["kind"]), (&value!("not-bound-there"), &value!("binding")));
        }
        let report = run(&["reach", "18080"]).stdout;
        assert!(report.contains("the server listens on 127.0.0.1:18080 only"), "{report}");
        let answer = json(&["reach", "18081"]);
        let row = from(&answer, 18081, "203.0.113.1");
        assert_eq!(
            (&row["result"], &row["by"], &answer["exit_code"]),
            (&value!("not-listening"), &Value::Null, &value!(1))
        );
        assert_eq!(answer["ports"].as_array().unwrap().len(), 1, "nobody asked about UDP: {answer:#}");
    });
}

/// Regression: the answer to the first packet was taken for an open port.
#[test]
fn a_rule_that_lets_only_the_first_packet_pass_is_seen() {
    in_namespace(|| {
        let rules =
            "iptables -A INPUT -p tcp --dport 18080 -m state --state ESTABLISHED -j REJECT --reject-with tcp-reset
            iptables -A INPUT -p tcp --dport 18081 -m state --state ESTABLISHED -j DROP
            iptables -A INPUT -p tcp --dport 18082 -m state --state ESTABLISHED -j REJECT";
        if !prepare(&["ip", "iptables"], &format!("{NETWORK}\n{rules}")) {
            return;
        }
        let _servers = [18080, 18081, 18082, 18083].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        // A client that is connected tries again after an error of ICMP.
        for (number, expected) in [(18080, "refused"), (18081, "dropped"), (18082, "dropped"), (18083, "open")] {
            let answer = json(&["reach", &number.to_string(), "--from", "10.77.0.9"]);
            let row = from(&answer, number, "10.77.0.9");
            assert_eq!(row["result"], expected, "{answer:#}");
            let position = (number < 18083).then_some(number - 18079);
            assert_eq!(row["by"]["position"], value!(position), "{row:#}");
        }
    });
}

#[test]
fn ipv6_has_rules_of_its_own() {
    in_namespace(|| {
        let rules = "ip address add fd77::5/64 dev eth0 nodad
            ip6tables -A INPUT -s fd77::/64 -p tcp --dport 18080 -j ACCEPT
            ip -6 route add default via fd77::1
            ip6tables -A INPUT -p tcp --dport 18080 -j REJECT";
        if !prepare(&["ip", "ip6tables"], &format!("{NETWORK}\n{rules}")) {
            return;
        }
        let _server = TcpListener::bind("[::]:18080").unwrap();
        let answer = json(&["reach", "18080", "--from", "fd77::9,2001:db8::7,203.0.113.7"]);
        assert_eq!(from(&answer, 18080, "fd77::9")["result"], "open");
        assert_eq!(from(&answer, 18080, "203.0.113.7")["result"], "open");
        let refused = from(&answer, 18080, "2001:db8::7");
        assert_eq!((&refused["result"], &refused["to"]), (&value!("refused"), &value!("fd77::5")), "{answer:#}");
        let by = &refused["by"];
        assert_eq!((&by["family"], &by["chain"], &by["position"]), (&value!("ip6"), &value!("INPUT"), &value!(2)));
        let usual = json(&["reach", "18080/tcp"]);
        for source in ["127.0.0.1", "10.77.0.1", "fd77::1", "203.0.113.1"] {
            assert_eq!(from(&usual, 18080, source)["result"], "open", "{source}");
        }
        assert_eq!(from(&usual, 18080, "2001:db8::1")["result"], "refused");
        assert_eq!(usual["exit_code"], 1);
    });
}

#[test]
fn iptables_legacy_names_its_rule_too() {
    in_namespace(|| {
        let rules = "iptables-legacy -A INPUT -s 10.77.0.0/24 -j ACCEPT
            iptables-legacy -A INPUT -p udp -j DROP
            iptables-legacy -A INPUT -p tcp --dport 18080 -m comment --comment old -j DROP
            iptables-legacy -P INPUT DROP
            iptables-legacy -A INPUT -p tcp --dport 18082 -j ACCEPT";
        if !prepare(&["ip", "iptables-legacy"], &format!("{NETWORK}\n{rules}")) {
            return;
        }
        let _servers = [18080, 18081, 18082].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        let answer = json(&["reach", "18080-18082", "--tcp", "--from", "10.77.0.9,203.0.113.7"]);
        assert_eq!(from(&answer, 18080, "10.77.0.9")["result"], "open");
        assert_eq!(from(&answer, 18082, "203.0.113.7")["result"], "open");
        let by = &from(&answer, 18080, "203.0.113.7")["by"];
        assert_eq!((&by["backend"], &by["chain"]), (&value!("iptables-legacy"), &value!("INPUT")), "{answer:#}");
        assert_eq!((&by["position"], &by["comment"]), (&value!(3), &value!("old")));
        let by = &from(&answer, 18081, "203.0.113.7")["by"];
        assert_eq!((&by["kind"], &by["backend"]), (&value!("policy"), &value!("iptables-legacy")));
    });
}

#[test]
fn what_cannot_be_replayed_makes_it_unknown() {
    in_namespace(|| {
        if !prepare(&["ip", "tc"], &format!("{NETWORK}; tc qdisc add dev eth0 clsact")) {
            return;
        }
        let _server = TcpListener::bind("0.0.0.0:18080").unwrap();
        let answer = json(&["reach", "18080/tcp"]);
        assert_eq!(
            (&from(&answer, 18080, "203.0.113.1")["result"], &answer["exit_code"]),
            (&value!("unknown"), &value!(3))
        );
        let gap = answer["gaps"].as_array().unwrap().iter().find(|gap| gap["code"] == "reach-untried").unwrap();
        assert!(gap["summary"].as_str().unwrap().contains("traffic control (tc) on eth0"), "{gap}");
    });
}

#[test]
fn the_audit_names_what_others_can_reach_first() {
    in_namespace(|| {
        let rules = "iptables -A INPUT -p tcp --dport 18080 -j DROP";
        if !prepare(&["ip", "iptables"], &format!("{NETWORK}\n{rules}")) {
            return;
        }
        let _servers = ["0.0.0.0:18080", "127.0.0.1:18081", "0.0.0.0:18082"].map(|at| TcpListener::bind(at).unwrap());
        let _datagrams = std::net::UdpSocket::bind("0.0.0.0:18083").unwrap();
        let answer = json(&["reach"]);
        let ports: Vec<(&Value, &Value)> = answer["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| (&port["port"], &port["reach"][0]["result"]))
            .collect();
        let expected = [(18082, "open"), (18083, "open"), (18080, "dropped"), (18081, "not-bound-there")];
        let expected = expected.map(|(port, result)| (value!(port), value!(result)));
        assert_eq!(ports, expected.iter().map(|(port, result)| (port, result)).collect::<Vec<_>>());
        assert_eq!((&answer["exit_code"], &answer["command"]), (&value!(0), &value!("reach")));
        let table = run(&["reach"]).stdout;
        assert!(table.lines().nth(1).unwrap().starts_with("18082/tcp"), "{table}");
    });
}

#[test]
fn an_ordinary_user_is_told_that_root_could_tell() {
    in_namespace(|| {
        if !prepare(&["ip"], NETWORK) {
            return;
        }
        let _server = TcpListener::bind("0.0.0.0:18080").unwrap();
        let answer = json_as_nobody(&["reach", "18080"]);
        assert_eq!(answer["exit_code"], 3, "{answer:#}");
        let untried = answer["gaps"].as_array().unwrap().iter().filter(|gap| gap["code"] == "reach-untried");
        assert_eq!(untried.map(|gap| &gap["root_would_see"]).collect::<Vec<_>>(), [true]);
        let report = Run::from(portcheck_as_nobody(&["reach", "18080"]).output().unwrap());
        assert_eq!((report.code, report.stdout.matches("not seen:").count()), (3, 1), "{report:?}");
    });
}
