//! The verdicts on ports that the kernel picks by itself: `ephemeral-port`, which an outgoing
//! connection may take at any moment, and `reserved-port`, which none takes.

use super::{Explanation, IS, Observation, Rule, Severity, Statement, Subject, Verb};

pub static EPHEMERAL: Rule = Rule {
    code: "ephemeral-port",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "The port lies in the range from which the kernel picks ports for outgoing connections.",
        why: "Such a connection may take the port while the server is down. Then the server cannot start again.",
        detection: "The port lies in net.ipv4.ip_local_port_range, and is not reserved.",
        remedy: "Move the server below the range, or exclude the port from it with net.ipv4.ip_local_reserved_ports.",
    },
    check: |facts| match facts.host.ephemeral_range {
        Some((first, last)) if facts.host.picks_by_itself(facts.observed.port) => {
            vec![Observation::of(Statement::new(
                Subject::port(facts),
                Verb("lies in", "lie in"),
                format!("the ephemeral range {first}-{last}: any outgoing connection may take it"),
            ))]
        }
        _ => Vec::new(),
    },
};

pub static RESERVED: Rule = Rule {
    code: "reserved-port",
    severity: Severity::Info,
    explanation: Explanation {
        what: "The port is reserved: the kernel does not give it to outgoing connections, or to programs that ask for \
               any port. A program that asks for it by number can still bind it.",
        why: "Somebody wrote it into net.ipv4.ip_local_reserved_ports, to reserve it for a server.",
        detection: "The port is in net.ipv4.ip_local_reserved_ports.",
        remedy: "Nothing to do.",
    },
    check: |facts| {
        if !facts.host.reserved_ports.contains(facts.observed.port) {
            return Vec::new();
        }
        vec![Observation::of(Statement::new(
            Subject::port(facts),
            IS,
            "reserved: the kernel does not pick it for outgoing connections or bind(0)",
        ))]
    },
};
