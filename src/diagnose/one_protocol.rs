//! The verdicts `udp-only` and `tcp-only`: the port is held for one protocol, and free for the
//! other.

use super::{Explanation, Facts, IS, Observation, Prominence, Rule, Severity, Statement, Subject};
use crate::model::Protocol;

pub static UDP: Rule = Rule {
    code: "udp-only",
    severity: Severity::Info,
    explanation: Explanation {
        what: "Only the UDP port is held: a TCP server can have the same number.",
        why: "TCP and UDP ports are separate spaces.",
        detection: "A UDP socket holds the port, and bind works for TCP.",
        remedy: "Nothing to do if yours is a TCP server.",
    },
    check: |facts| observe(facts, Protocol::Udp),
};

pub static TCP: Rule = Rule {
    code: "tcp-only",
    severity: Severity::Info,
    explanation: Explanation {
        what: "Only the TCP port is held: a UDP server can have the same number.",
        why: "TCP and UDP ports are separate spaces.",
        detection: "A TCP socket holds the port, and bind works for UDP.",
        remedy: "Nothing to do if yours is a UDP server.",
    },
    check: |facts| observe(facts, Protocol::Tcp),
};

fn observe(facts: &Facts<'_>, held: Protocol) -> Vec<Observation> {
    if facts.observed.protocol != held || !facts.observed.other_is_free || facts.obstacles().next().is_none() {
        return Vec::new();
    }
    let subject = Subject::Port(facts.observed.port, held.other());
    let statement = Statement::new(subject, IS, format!("free: only {held} is held"));
    vec![Observation { prominence: Prominence::Detail, ..Observation::of(statement) }]
}
