//! The verdict `split-localhost`: the two addresses of localhost reach different servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    Explanation, Facts, Holder, IS, Observation, Phrase, Prominence, Remedy, RemedyKind, Rule, Severity, Statement,
    Subject,
};
use crate::model::{Pid, Socket, State};

pub static RULE: Rule = Rule {
    code: "split-localhost",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "127.0.0.1 and ::1 are served by different processes on this port.",
        why: "One server listens on IPv4 and another one on IPv6, or one on an address and another one on a wildcard. Both \
              could bind, as their addresses differ.",
        detection: "The listeners that 127.0.0.1 and ::1 reach have different holders.",
        remedy: "Name the address instead of localhost: each client decides for itself which of the two it tries \
                 first.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    let (Some(ipv4), Some(ipv6)) =
        (server_of(facts, Ipv4Addr::LOCALHOST.into()), server_of(facts, Ipv6Addr::LOCALHOST.into()))
    else {
        return Vec::new();
    };
    let (Some(first), Some(second)) = (ipv4.owners.seen(), ipv6.owners.seen()) else { return Vec::new() };
    let is_one_server = match (&ipv4.forward, &ipv6.forward) {
        (Some(one), Some(other)) => one.leads_where(other),
        _ => first.iter().any(|pid| second.contains(pid)),
    };
    if is_one_server {
        return Vec::new();
    }
    let holder = |pids: &[Pid]| Phrase::Holder(Holder::Processes(pids.to_vec()));
    let statement = Statement {
        subject: Subject::Thing("localhost".to_owned()),
        verb: IS,
        object: vec![
            "two servers here: 127.0.0.1 reaches ".into(),
            holder(first),
            ", and ::1 reaches ".into(),
            holder(second),
        ],
    };
    vec![Observation {
        statement,
        prominence: Prominence::Always,
        pids: first.iter().chain(second).copied().collect(),
        details: Vec::new(),
        remedies: vec![Remedy::advice(RemedyKind::TakeAnother, "name the address instead of localhost")],
    }]
}

/// The listener that a connection to `address` reaches. A listener on exactly this address comes
/// before a wildcard, and the wildcard of its own family before a dual-stack one (`compute_score`,
/// net/ipv4/inet_hashtables.c).
fn server_of<'a>(facts: &Facts<'a>, address: IpAddr) -> Option<&'a Socket> {
    facts
        .observed
        .sockets
        .iter()
        .filter(|socket| socket.state == State::Listen && socket.overlaps(address))
        .min_by_key(|socket| (socket.is_wildcard(), socket.local.is_ipv4() != address.is_ipv4()))
}
