//! Rules whose effect rests on what no dump has: how much came before, chance, other programs.

use std::net::IpAddr;

use crate::model::{Origin, Protocol, Question};

/// Words of rules, and what these rest on.
const WORDS: [(&str, &str); 26] = [
    ("limit rate ", "a rate limit"),
    ("limit name ", "a rate limit"),
    ("quota ", "a quota"),
    ("ct count ", "the number of connections"),
    ("queue", "a program that judges packets (NFQUEUE)"),
    ("synproxy", "SYNPROXY, which answers for the server"),
    ("tproxy ", "a transparent proxy"),
    ("numgen random", "chance"),
    ("meta random", "chance"),
    ("ether ", "hardware addresses"),
    ("osf ", "the system of the client"),
    ("ipsec ", "IPsec"),
    ("socket ", "sockets of other programs"),
    ("-m limit ", "a rate limit"),
    ("-m hashlimit ", "a rate limit"),
    ("-m recent ", "what was seen recently"),
    ("-m connlimit ", "the number of connections"),
    ("-m statistic ", "chance"),
    ("-m quota ", "a quota"),
    ("-m mac ", "hardware addresses"),
    ("-m physdev ", "ports of a bridge"),
    ("-m policy ", "IPsec"),
    ("-m osf ", "the system of the client"),
    ("-j NFQUEUE", "a program that judges packets (NFQUEUE)"),
    ("-j SYNPROXY", "SYNPROXY, which answers for the server"),
    ("-j TPROXY", "a transparent proxy"),
];

/// Words about who sends, which matter if that is this machine.
const LOCAL: [&str; 5] = ["-m owner ", "skuid ", "skgid ", "-m cgroup ", "cgroup"];

/// What decides about packets in nftables; a rule without it only counts or logs.
const DECIDING: [&str; 14] = [
    "accept", "drop", "reject", "jump", "goto", "return", "queue", "synproxy", "tproxy", "vmap", "dnat", "redirect",
    "set", "notrack",
];

/// Targets of iptables that decide nothing.
const PASSING: [&str; 5] = ["LOG", "NFLOG", "ULOG", "TRACE", "CHECKSUM"];

/// What the effect of a rule rests on, if it may concern this packet. `ports` are those that the
/// packet had on its way.
pub fn of(rule: &str, question: &Question, ports: &[u16]) -> Option<&'static str> {
    let unquoted: String = rule.split('"').step_by(2).collect();
    let is_local = question.origin == Origin::Here && LOCAL.iter().any(|word| unquoted.contains(word));
    let known = WORDS.iter().find(|(word, _)| unquoted.contains(word)).map(|(_, on)| *on);
    let on = known.or_else(|| is_local.then_some("the program that connects"))?;
    let words: Vec<&str> = unquoted.split_whitespace().collect();
    let decides = match words.iter().position(|word| ["-j", "-g"].contains(word)) {
        Some(at) => words.get(at + 1).is_some_and(|target| !PASSING.contains(target)),
        None => words.iter().any(|word| DECIDING.contains(word)),
    };
    let packet = Packet { question, ports };
    let is_excluded = words.windows(3).any(|window| packet.is_excluded_by(window, rule));
    (decides && !is_excluded).then_some(on)
}

struct Packet<'a> {
    question: &'a Question,
    ports: &'a [u16],
}

impl Packet<'_> {
    /// Whether a condition that is easily read keeps the rule from this packet.
    fn is_excluded_by(&self, window: &[&str], rule: &str) -> bool {
        let [before, name, value] = window else { return false };
        if *before == "!" || *value == "!=" {
            return false;
        }
        match (*before, *name) {
            (_, "-p" | "l4proto" | "protocol") => self.is_other_protocol(value),
            (_, "--dport" | "--dports") => !self.has_port(value),
            (protocol @ ("tcp" | "udp"), "dport") => {
                self.is_other_protocol(protocol) || whole(value, rule).is_some_and(|ports| !self.has_port(&ports))
            }
            ("tcp" | "udp" | "icmp" | "icmpv6" | "sctp", "type" | "code" | "flags" | "sport") => {
                self.is_other_protocol(before)
            }
            (_, "--ctstate" | "--state") => !value.split(',').any(|state| state == "NEW"),
            ("ct", "state") => {
                let is_new = |states: String| states.split([',', ' ', '{', '}']).any(|state| state == "new");
                whole(value, rule).is_some_and(|states| !is_new(states))
            }
            (_, "-s") | ("ip" | "ip6", "saddr") => is_outside(self.question.from, value),
            _ => false,
        }
    }

    fn is_other_protocol(&self, name: &str) -> bool {
        let own = match self.question.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        !name.starts_with('{') && !name.starts_with('@') && name != own && name != "all"
    }

    fn has_port(&self, ports: &str) -> bool {
        // A set has elements that are not known here.
        let is_readable = ports.starts_with(|first: char| first.is_ascii_digit() || first == '{');
        let has = |part: &str| {
            let (first, last) = part.split_once([':', '-']).unwrap_or((part, part));
            let range = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
            range.is_none_or(|(first, last)| self.ports.iter().any(|port| (first..=last).contains(port)))
        };
        let mut parts = ports.split([',', ' ', '{', '}']).filter(|part| !part.is_empty());
        !is_readable || parts.any(has)
    }
}

/// A set in braces as a whole, in place of its first word. `None` if there are several.
fn whole(value: &str, rule: &str) -> Option<String> {
    if !value.starts_with('{') {
        return Some(value.to_owned());
    }
    let (set, rest) = rule.split_once('{')?.1.split_once('}')?;
    (!rest.contains('{')).then(|| format!("{{{set}}}"))
}

/// Whether an address is not in a network. Unreadable ones count as met.
fn is_outside(address: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').unwrap_or((network, "128"));
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (address, base.parse::<IpAddr>()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(base))) => {
            let shift = 32u32.saturating_sub(bits);
            u32::from(address).checked_shr(shift) != u32::from(base).checked_shr(shift)
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(base))) => {
            let shift = 128u32.saturating_sub(bits);
            u128::from(address).checked_shr(shift) != u128::from(base).checked_shr(shift)
        }
        (_, Ok(_)) => true,
        (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rule_that_may_decide_about_the_packet_counts() {
        let question = Question {
            protocol: Protocol::Tcp,
            from: "203.0.113.7".parse().unwrap(),
            origin: Origin::Named,
            to: "10.0.0.5:8080".parse().unwrap(),
            through: 2,
        };
        for (rule, counts) in [
            ("-A INPUT -p tcp -m tcp --dport 22 -m hashlimit --hashlimit-name x -j ACCEPT", false),
            ("-A INPUT -p tcp -m tcp --dport 8080 -m limit --limit 3/min -j ACCEPT", true),
            ("-A INPUT -m limit --limit 3/min -j LOG --log-prefix \"[UFW BLOCK] \"", false),
            ("-A INPUT -p icmp -m limit --limit 3/min -j ACCEPT", false),
            ("-A INPUT -m comment --comment \"-m limit \" -j DROP", false),
            ("-A INPUT -s 10.0.0.0/8 -m limit --limit 3/min -j DROP", false),
            ("-A INPUT ! -s 10.0.0.0/8 -m limit --limit 3/min -j DROP", true),
            ("tcp dport 6000 limit rate 1/second accept", false),
            ("tcp dport { 6000, 8000-9000 } limit rate 1/second accept", true),
            ("tcp dport @open limit rate 1/second accept", true),
            ("ct state established,related limit rate 5/second accept", false),
            ("limit rate 1/second log prefix \"x\"", false),
            ("udp dport 8080 limit rate 1/second drop", false),
            ("tcp dport 8080 accept", false),
        ] {
            assert_eq!(of(rule, &question, &[8080]).is_some(), counts, "{rule}");
        }
    }
}
