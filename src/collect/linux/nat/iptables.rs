//! The output of iptables-save and ip6tables-save (iptables-save(8)).

use std::net::{IpAddr, SocketAddr};

use super::rules::{Action, Chain, Chains, Match, Rule};
use crate::model::{Destination, Protocol};
use crate::port_set::PortSet;

/// The chains of the table `nat`.
pub fn parse(saved: &str) -> Chains {
    let mut chains = Chains::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
            chains.insert(name.to_owned(), Chain { is_entry: name == "PREROUTING", rules: Vec::new() });
            continue;
        }
        let Some(words) = line.strip_prefix("-A ").and_then(shlex::split) else { continue };
        let [name, words @ ..] = &words[..] else { continue };
        let rules = &mut chains.entry(name.clone()).or_default().rules;
        let (matches, action) = rule(words);
        rules.push(Rule { matches, action, position: rules.len() + 1 });
    }
    chains
}

/// Reads the words of a rule behind its chain.
fn rule(words: &[String]) -> (Match, Action) {
    let mut matches = Match::default();
    let (mut target, mut to) = (None, None);
    let mut words = words.iter().map(String::as_str);
    let mut is_negated = false;
    while let Some(word) = words.next() {
        match word {
            "!" => {
                is_negated = true;
                matches.has_more = true;
                continue;
            }
            // The name of a module stands before its options.
            "-m" | "--comment" => drop(words.next()),
            "-p" if !is_negated => matches.protocol = protocol(words.next(), &mut matches.has_more),
            "-d" if !is_negated => matches.destination = words.next().and_then(network),
            "--dport" | "--dports" if !is_negated => matches.ports = words.next().and_then(ports),
            "--dst-type" => matches.has_more |= words.next() != Some("LOCAL"),
            "-j" | "-g" => target = words.next(),
            "--to-destination" | "--to-ports" => to = words.next(),
            _ => matches.has_more |= target.is_none(),
        }
        is_negated = false;
    }
    let action = match target {
        Some("DNAT") => Action::Divert(to.and_then(destination)),
        Some("REDIRECT") => Action::Divert(to.and_then(here)),
        Some("RETURN") => Action::Return,
        Some("ACCEPT" | "DROP") => Action::End,
        None | Some("MARK" | "LOG" | "CONNMARK" | "MASQUERADE" | "SNAT" | "NFLOG") => Action::Next,
        Some(chain) => Action::Jump(chain.to_owned()),
    };
    (matches, action)
}

/// Other protocols never fit a port.
fn protocol(name: Option<&str>, has_more: &mut bool) -> Option<Protocol> {
    match name? {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => {
            *has_more = true;
            None
        }
    }
}

/// `172.18.0.0/16`, `fd00::1`.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    Some((address, length.parse().unwrap_or(longest)))
}

/// `8080`, `8080:8090`, `80,443`.
fn ports(text: &str) -> Option<PortSet> {
    let range = |part: &str| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.split(',').map(range).collect::<Option<Vec<(u16, u16)>>>().map(|ranges| ranges.into_iter().collect())
}

/// `172.17.0.2:80`, `[fd00::2]:80`, or an address whose port stays.
fn destination(text: &str) -> Option<Destination> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(Destination::from(address));
    }
    let address: IpAddr = text.trim_matches(['[', ']']).parse().ok()?;
    Some(Destination { host: address.to_string(), port: 0, namespace: None })
}

/// Another port of this machine.
fn here(text: &str) -> Option<Destination> {
    let port = text.split('-').next()?.parse().ok()?;
    Some(Destination { host: "localhost".to_owned(), port, namespace: None })
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Packet, diverting};
    use super::*;

    fn way(saved: &str, port: u16) -> Option<String> {
        let chains = parse(saved);
        let local = ["10.0.0.5".parse().unwrap()];
        let (chain, rule) = diverting(&chains, &Packet { protocol: Protocol::Tcp, port, local: &local })?;
        let Action::Divert(to) = &rule.action else { panic!("{rule:?}") };
        let to = to.as_ref().map(|to| format!("{}:{}", to.host, to.port));
        Some(format!("{chain} {} -> {}", rule.position, to.unwrap_or_default()))
    }

    #[test]
    fn docker_and_redirects() {
        let saved = "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n\
            -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
            -A PREROUTING -p tcp -m tcp --dport 81 -j REDIRECT --to-ports 8080\n\
            -A PREROUTING -d 10.0.0.9/32 -p tcp -m tcp --dport 82 -j DNAT --to-destination 10.1.1.1\n\
            -A PREROUTING -d 10.0.0.0/24 -p tcp -m multiport --dports 83,90:99 -j DNAT --to-destination 10.1.1.1:1\n\
            -A DOCKER -i docker0 -j RETURN\n\
            -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2:80\nCOMMIT\n";
        assert_eq!(way(saved, 8081).unwrap(), "DOCKER 2 -> 172.17.0.2:80");
        assert_eq!(way(saved, 81).unwrap(), "PREROUTING 2 -> localhost:8080");
        assert_eq!(way(saved, 93).unwrap(), "PREROUTING 4 -> 10.1.1.1:1");
        for other in [80, 82, 100] {
            assert_eq!(way(saved, other), None, "{other}");
        }
    }

    #[test]
    fn kubernetes_and_cni() {
        let saved = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-SVC-A - [0:0]\n\
            :KUBE-SEP-A - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:CNI-HOSTPORT-DNAT - [0:0]\n:CNI-DN-0a - [0:0]\n\
            -A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
            -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n\
            -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 30443 -j KUBE-SVC-A\n\
            -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n\
            -A KUBE-NODEPORTS -p tcp -m comment --comment \"default/web:http\" -m tcp --dport 30080 -j KUBE-SVC-A\n\
            -A KUBE-SVC-A -j KUBE-MARK-MASQ\n\
            -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n\
            -A KUBE-SVC-A -m statistic --mode random --probability 0.5 -j KUBE-SEP-A\n\
            -A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.244.0.7:8080\n\
            -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name\" -m multiport --dports 8080 -j CNI-DN-0a\n\
            -A CNI-DN-0a -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.5:80\nCOMMIT\n";
        assert_eq!(way(saved, 30080).unwrap(), "KUBE-SEP-A 1 -> 10.244.0.7:8080");
        assert_eq!(way(saved, 8080).unwrap(), "CNI-DN-0a 1 -> 10.88.0.5:80");
        assert_eq!(way(saved, 30443), None);
    }

    #[test]
    fn nothing_malformed_makes_it_panic() {
        for line in
            ["-A", "-A X", "-A X -j", "-A PREROUTING -p", "-A PREROUTING --dport", "-A PREROUTING \"", ":", ": "]
        {
            assert_eq!(way(&format!(":PREROUTING -\n{line}\n"), 1), None, "{line}");
        }
        let circle = ":PREROUTING -\n-A PREROUTING -j A\n-A A -j PREROUTING\n";
        assert_eq!(way(circle, 1), None);
    }
}
