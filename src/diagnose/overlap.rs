//! The verdicts on sockets that block more than their own address: `wildcard-overlap`,
//! `dual-stack-overlap`.

use std::net::IpAddr;

use super::holders::{groups_where, name_spots};
use super::{
    Explanation, Facts, IS, Observation, Prominence, Remedy, RemedyKind, Rule, Severity, Statement, Subject, Verb,
};
use crate::model::{Family, Socket};
use crate::probe::{Outcome, Spot};

const KEEPS: Verb = Verb("keeps", "keep");

pub static WILDCARD: Rule = Rule {
    code: "wildcard-overlap",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "The holder has the port on one address and you want the wildcard, or the other way round. A wildcard \
               (0.0.0.0 or ::) stands for every address of its family, so the two exclude each other.",
        why: "Binding a wildcard asks for the port on all addresses at once.",
        detection: "The blocking socket has a specific address, and bind fails on the wildcard but works on another \
                    specific address. Or the address asked about is specific, and the socket has the wildcard.",
        remedy: "Bind one of the addresses that are still free instead of the wildcard, or let the holder bind only \
                 the address that it needs.",
    },
    check: |facts| {
        groups_where(facts, |socket| excludes_by_wildcard(facts, socket))
            .iter()
            .map(|group| {
                let is_wildcard = group.sockets.iter().any(|socket| socket.is_wildcard());
                let (verb, object) = if is_wildcard {
                    (Verb("takes", "take"), "every address")
                } else {
                    (KEEPS, "the wildcard from being bound")
                };
                let free = free_spots(facts);
                let rest = match &free[..] {
                    [] => String::new(),
                    spots => format!("; {} can be bound", name_spots(spots, "and")),
                };
                Observation {
                    pids: group.owners.pids().to_vec(),
                    remedies: bind_instead(&free),
                    ..Observation::of(Statement::new(Subject::sockets(group), verb, format!("{object}{rest}")))
                }
            })
            .collect()
    },
};

pub static DUAL_STACK: Rule = Rule {
    code: "dual-stack-overlap",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "An IPv6 socket holds the IPv4 port as well.",
        why: "By default (net.ipv6.bindv6only = 0), a socket on :: takes IPv4 too. So \
              does a socket on an IPv4-mapped address. A client whose port the kernel picked keeps the IPv4 wildcard, \
              even if its connection uses IPv6.",
        detection: "The blocking socket is an IPv6 one with IPV6_V6ONLY off (INET_DIAG_SKV6ONLY). The address asked \
                    about, or one on which bind fails, is an IPv4 address.",
        remedy: "Let the IPv6 server set IPV6_V6ONLY, or bind an address that is still free.",
    },
    check: |facts| {
        groups_where(facts, |socket| excludes_by_family(facts, socket))
            .iter()
            .map(|group| {
                let takes_all = group.sockets.iter().any(|socket| socket.local.ip().is_unspecified());
                let (verb, object) = match (takes_all, group.sockets.iter().any(|socket| socket.serves_ipv4())) {
                    (true, _) => (Verb("takes", "take"), "IPv4 as well: IPV6_V6ONLY is not set".to_owned()),
                    (false, true) => (IS, "held on IPv4 by an IPv6 socket".to_owned()),
                    (false, false) => (KEEPS, "the IPv4 wildcard from being bound, though it is IPv6".to_owned()),
                };
                let free = free_spots(facts);
                let prominence = prominence(facts, group.sockets[0]);
                let mut remedies = bind_instead(&free);
                if takes_all && remedies.is_empty() && prominence == Prominence::Always {
                    remedies.push(Remedy::advice(
                        RemedyKind::ChangeServer,
                        "to serve IPv4 beside it, let that server set IPV6_V6ONLY",
                    ));
                }
                let statement = Statement::new(Subject::sockets(group), verb, object);
                Observation { prominence, pids: group.owners.pids().to_vec(), remedies, ..Observation::of(statement) }
            })
            .collect()
    },
};

fn excludes_by_wildcard(facts: &Facts<'_>, socket: &Socket) -> bool {
    let theirs = Family::of(socket.local.ip().to_canonical());
    let is_same_family = |address: IpAddr| Family::fits(Some(theirs), address);
    let asks_for = |wildcard: bool| {
        let mut asked = facts.observed.addresses.iter().filter(|&&address| is_same_family(address));
        asked.any(|address| address.to_canonical().is_unspecified() == wildcard)
    };
    if socket.is_wildcard() {
        return asks_for(false);
    }
    if asks_for(true) {
        return true;
    }
    // Without an address in the question, it matters whether a specific address is left.
    let says = |outcome: Outcome, is_wildcard: bool| {
        facts.answers().any(|attempt| {
            attempt.outcome == outcome
                && attempt.spot.address.is_unspecified() == is_wildcard
                && is_same_family(attempt.spot.address)
        })
    };
    facts.observed.addresses.is_empty() && says(Outcome::InUse, true) && says(Outcome::Bound, false)
}

/// When a server takes both families, that is worth a line only if one address was asked about.
fn prominence(facts: &Facts<'_>, socket: &Socket) -> Prominence {
    let is_usual = facts.observed.addresses.is_empty() && socket.state.is_waiting();
    if is_usual { Prominence::Detail } else { Prominence::Always }
}

fn excludes_by_family(facts: &Facts<'_>, socket: &Socket) -> bool {
    if socket.family != Family::Ipv6 {
        return false;
    }
    let is_asked = match &facts.observed.addresses[..] {
        [] => facts.answers().any(is_ipv4_in_use),
        addresses => addresses.iter().any(|address| address.to_canonical().is_ipv4()),
    };
    // If the system does not tell, an IPv4 socket beside it explains more.
    let takes_ipv4 = socket.serves_ipv4()
        && (socket.v6only.is_some() || !facts.obstacles().any(|other| other.family == Family::Ipv4));
    let is_alone = || !facts.obstacles().any(Socket::serves_ipv4) && facts.answers().any(is_ipv4_in_use);
    is_asked && (takes_ipv4 || is_alone())
}

fn is_ipv4_in_use(attempt: &crate::probe::Attempt) -> bool {
    attempt.outcome == Outcome::InUse && attempt.spot.address.is_ipv4()
}

/// The addresses on which bind worked.
fn free_spots(facts: &Facts<'_>) -> Vec<Spot> {
    let tried =
        facts.answers().chain(facts.observed.attempts_elsewhere.iter().filter(|attempt| !attempt.reuse_address));
    tried.filter(|attempt| attempt.outcome == Outcome::Bound).map(|attempt| attempt.spot).collect()
}

fn bind_instead(free: &[Spot]) -> Vec<Remedy> {
    let specific: Vec<Spot> = free.iter().copied().filter(|spot| !spot.address.is_unspecified()).collect();
    if specific.is_empty() {
        return Vec::new();
    }
    vec![Remedy::advice(RemedyKind::TakeAnother, format!("bind {} instead", name_spots(&specific, "or")))]
}
