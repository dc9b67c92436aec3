//! The verdict `ephemeral-port`: an outgoing connection may take the port at any moment.

use super::{Explanation, Observation, Rule, Severity};

pub static RULE: Rule = Rule {
    code: "ephemeral-port",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "The port lies in the range from which the kernel gives outgoing connections their own port.",
        why: "Such a connection may take the port while the server is down, and then it cannot come up again.",
        detection: "The port lies in net.ipv4.ip_local_port_range.",
        remedy: "Move the server below the range, or keep the port out of it with net.ipv4.ip_local_reserved_ports.",
    },
    check: |facts| match facts.host.ephemeral_range {
        Some((first, last)) if facts.host.picks_by_itself(facts.port) => vec![Observation {
            summary: format!(
                "{} lies in {first}-{last}, from which any outgoing connection may take it",
                facts.port_name()
            ),
            ..Observation::default()
        }],
        _ => Vec::new(),
    },
};
