//! The verdict `socket-activation`: systemd itself listens, and stopping the service does not free
//! the port.

use super::holders::groups_where;
use super::{Detail, Explanation, Observation, Rule, Severity, Statement, Subject, Verb, remedy};

pub static RULE: Rule = Rule {
    code: "socket-activation",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "systemd listens on the port for a service, and starts the service with the first connection.",
        why: "A socket unit (systemd.socket(5)) names the port. Ending or stopping the service leaves the listener open.",
        detection: "systemd has the socket, or made it, and a socket unit in its directories names the address and port.",
        remedy: "Stop the socket unit. Disable it, too, if it should not come back at the next boot.",
    },
    check: |facts| {
        groups_where(facts, |socket| socket.activated_by.is_some())
            .iter()
            .filter_map(|group| Some((group, group.sockets[0].activated_by.as_ref()?)))
            .map(|(group, unit)| Observation {
                pids: group.owners.pids().to_vec(),
                details: vec![("unit", Detail::Text(unit.name.clone()))],
                remedies: vec![remedy::stop_unit("its socket unit", &unit.seen_by(facts.host.euid))],
                ..Observation::of(Statement::new(
                    Subject::Thing("systemd".to_owned()),
                    Verb("holds", "hold"),
                    format!("{} for {}: stopping the service does not free it", group.addresses(), unit.name),
                ))
            })
            .collect()
    },
};
