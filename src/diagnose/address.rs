//! The verdicts on addresses that cannot be bound, even if nobody holds the port:
//! `address-not-local`, `address-tentative`, `address-needs-scope`, `no-ipv6`.

use std::iter;
use std::net::IpAddr;

use super::{Explanation, Facts, IS, Observation, Remedy, RemedyKind, Rule, Severity, Statement, Subject, Verb};
use crate::model::{Family, InterfaceAddress};
use crate::probe::Outcome;

pub static NOT_LOCAL: Rule = Rule {
    code: "address-not-local",
    severity: Severity::Blocked,
    explanation: Explanation {
        what: "The address does not belong to this machine, so nothing can be bound on it. What another machine has on \
               the port cannot be seen from here.",
        why: "The configuration is from another machine, the interface is down or not up yet, or a floating address is \
              elsewhere at the moment. Or it is a container's address, and you asked from outside.",
        detection: "bind fails with EADDRNOTAVAIL, and no interface has the address.",
        remedy: "Bind an address of this machine, or the wildcard. A server that must start before its address is \
                 there can set IP_FREEBIND, or the machine can set net.ipv4.ip_nonlocal_bind.",
    },
    check: |facts| {
        let is_foreign = |address: IpAddr| known(facts, address).is_none() && !lacks_ipv6(facts, address);
        failing(facts, Outcome::NotAvailable)
            .filter(|&address| is_foreign(address))
            .map(|address| Observation {
                remedies: iter::once(Remedy::advice(
                    RemedyKind::TakeAnother,
                    "bind one of this machine's addresses, or a wildcard",
                ))
                .chain(nonlocal_bind(facts, address))
                .collect(),
                ..Observation::of(about(
                    address,
                    IS,
                    format!("not an address of this machine, which has {}", own(facts)),
                ))
            })
            .collect()
    },
};

pub static TENTATIVE: Rule = Rule {
    code: "address-tentative",
    severity: Severity::Blocked,
    explanation: Explanation {
        what: "The address is on an interface, but may not be used yet, or not at all.",
        why: "For a second or two after an IPv6 address was added, the machine checks whether another one has it \
              (duplicate address detection, RFC 4862). If one answers, the address stays unusable.",
        detection: "bind fails with EADDRNOTAVAIL, and /proc/net/if_inet6 marks the address as tentative, or as a duplicate.",
        remedy: "Wait a moment, or start the server after the network is online. Or add the address without that \
                 detection (nodad).",
    },
    check: |facts| {
        let on =
            |address: IpAddr| known(facts, address).filter(|known| known.is_tentative).map(|known| (address, known));
        failing(facts, Outcome::NotAvailable)
            .filter_map(on)
            .map(|(address, InterfaceAddress { interface, .. })| Observation {
                remedies: vec![Remedy::advice(
                    RemedyKind::Wait,
                    "wait a second or two; or add the address without that check (nodad)",
                )],
                ..Observation::of(about(
                    address,
                    Verb("cannot be used yet", "cannot be used yet"),
                    format!("on {interface}: duplicate address detection is still running"),
                ))
            })
            .collect()
    },
};

pub static NEEDS_SCOPE: Rule = Rule {
    code: "address-needs-scope",
    severity: Severity::Blocked,
    explanation: Explanation {
        what: "A link-local address is incomplete without its interface, so it cannot be bound without one.",
        why: "Addresses of fe80::/10 exist once on each link. The same address on two interfaces is two addresses, and \
              no conflict (RFC 4007).",
        detection: "bind fails on a link-local address without a scope id: with EINVAL, or with EADDRNOTAVAIL (macOS, Windows) \
                    though an interface has it.",
        remedy: "Name the interface behind the address: fe80::1%eth0.",
    },
    check: |facts| {
        let is_link_local =
            |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        let unscoped =
            facts.answers().filter(|attempt| attempt.spot.scope == 0).filter(|attempt| match attempt.outcome {
                Outcome::Invalid => true,
                Outcome::NotAvailable => known(facts, attempt.spot.address).is_some(),
                _ => false,
            });
        unscoped
            .map(|attempt| attempt.spot.address)
            .filter(is_link_local)
            .map(|address| {
                let circumstances = facts.circumstances;
                let ask = |known: &'_ InterfaceAddress| {
                    let text = format!("ask about it on {}", known.interface);
                    Remedy::run(RemedyKind::FindHolder, &text, facts.check_on(address, &known.interface))
                };
                let having = circumstances.addresses.iter().filter(|known| known.address == address);
                Observation {
                    remedies: having.map(ask).collect(),
                    ..Observation::of(about(
                        address,
                        IS,
                        "link-local, and cannot be bound without its interface".to_owned(),
                    ))
                }
            })
            .collect()
    },
};

pub static NO_IPV6: Rule = Rule {
    code: "no-ipv6",
    severity: Severity::Blocked,
    explanation: Explanation {
        what: "This machine has no IPv6, so an IPv6 address cannot be bound.",
        why: "It is switched off by net.ipv6.conf.all.disable_ipv6 or at boot (ipv6.disable=1), or the kernel was \
              built without it. Many containers have no IPv6.",
        detection: "bind fails with EAFNOSUPPORT. Or it fails with EADDRNOTAVAIL, and no interface has an IPv6 \
                    address.",
        remedy: "Bind the IPv4 address, or switch IPv6 on.",
    },
    check: |facts| {
        let failing = failing(facts, Outcome::NotAvailable).chain(failing(facts, Outcome::NoFamily));
        let addresses: Vec<IpAddr> = failing.filter(|&address| lacks_ipv6(facts, address)).collect();
        let Some(address) = addresses.first() else { return Vec::new() };
        let setting = facts.circumstances.ipv6_disabled_by;
        let why =
            setting.map_or_else(|| "has no IPv6".to_owned(), |setting| format!("has IPv6 switched off by {setting}"));
        let mut remedies = vec![Remedy::advice(RemedyKind::TakeAnother, "bind the IPv4 address instead")];
        remedies.extend(setting.map(|setting| {
            let command = ["sudo", "sysctl", &format!("{setting}=0")];
            Remedy::run(RemedyKind::ChangeSetting, "switch IPv6 on", command)
        }));
        vec![Observation {
            remedies,
            ..Observation::of(about(
                *address,
                Verb("cannot be bound", "cannot be bound"),
                format!("here: this machine {why}"),
            ))
        }]
    },
};

/// The addresses on which bind failed that way, each once.
fn failing<'a>(facts: &Facts<'a>, outcome: Outcome) -> impl Iterator<Item = IpAddr> + use<'a> {
    let failing = facts.answers().filter(move |attempt| attempt.outcome == outcome);
    failing.map(|attempt| attempt.spot.address.to_canonical())
}

fn known<'a>(facts: &Facts<'a>, address: IpAddr) -> Option<&'a InterfaceAddress> {
    facts.circumstances.addresses.iter().find(|known| known.address == address)
}

fn lacks_ipv6(facts: &Facts<'_>, address: IpAddr) -> bool {
    let is_ipv6 = |address: IpAddr| Family::of(address) == Family::Ipv6;
    is_ipv6(address) && !facts.circumstances.addresses.iter().any(|known| is_ipv6(known.address))
}

/// This machine's addresses. Those that other machines can reach come first.
fn own(facts: &Facts<'_>) -> String {
    const MOST: usize = 6;
    let mut addresses: Vec<IpAddr> = facts.circumstances.addresses.iter().map(|known| known.address).collect();
    addresses.sort_unstable_by_key(|address| (address.is_loopback(), *address));
    addresses.dedup();
    let shown: Vec<String> = addresses.iter().take(MOST).map(ToString::to_string).collect();
    match (shown.is_empty(), addresses.len().saturating_sub(MOST)) {
        (true, _) => "none that could be listed".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Linux only; elsewhere `None`.
fn nonlocal_bind(facts: &Facts<'_>, address: IpAddr) -> Option<Remedy> {
    let family = if address.is_ipv6() { "ipv6" } else { "ipv4" };
    (facts.host.os == "linux").then(|| {
        let command = ["sudo", "sysctl", &format!("net.{family}.ip_nonlocal_bind=1")];
        Remedy::run(RemedyKind::ChangeSetting, "let servers bind addresses that are not there yet", command)
    })
}

fn about(address: IpAddr, verb: Verb, object: String) -> Statement {
    Statement::new(Subject::Thing(address.to_string()), verb, object)
}
