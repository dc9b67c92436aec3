//! The verdicts on who can reach the server: `loopback-only`, `exposed`.

use super::{Explanation, Facts, Observation, Prominence, Rule, Severity, Statement, Subject, Verb};
use crate::classify::Exposure;
use crate::model::{Socket, State};

pub static LOOPBACK_ONLY: Rule = Rule {
    code: "loopback-only",
    severity: Severity::Info,
    explanation: Explanation {
        what: "The server can be reached from this machine only.",
        why: "It is bound to a loopback address. In a container that means: from that container only.",
        detection: "Every socket that waits on the port has a loopback address, or is bound to a loopback device.",
        remedy: "Nothing to do. Bind 0.0.0.0 or :: if others should reach it.",
    },
    check: |facts| {
        let sockets = waiting(facts);
        if sockets.is_empty() || sockets.iter().any(|socket| Exposure::of(socket) != Exposure::Loopback) {
            return Vec::new();
        }
        let is_elsewhere = facts.observed.namespace.is_some();
        vec![reachable(if is_elsewhere { "from its network namespace only" } else { "from this machine only" })]
    },
};

pub static EXPOSED: Rule = Rule {
    code: "exposed",
    severity: Severity::Info,
    explanation: Explanation {
        what: "The server can be reached from other machines, as far as firewalls allow.",
        why: "It is bound to a wildcard, which stands for every address, or to an address of a network interface.",
        detection: "A socket that waits on the port has an address that is not a loopback address.",
        remedy: "Bind 127.0.0.1 or ::1 if no other machine should reach it.",
    },
    check: |facts| {
        let sockets = waiting(facts);
        let how = match sockets.iter().map(|socket| Exposure::of(socket)).max() {
            Some(Exposure::All) => "through every interface",
            Some(Exposure::Interface) => "from other machines, through its address",
            // What is connected to another network namespace is not known.
            Some(Exposure::Namespace | Exposure::Loopback) | None => return Vec::new(),
        };
        vec![reachable(how)]
    },
};

fn reachable(how: &str) -> Observation {
    let verb = Verb("can be reached", "can be reached");
    let statement = Statement::new(Subject::Thing("it".to_owned()), verb, how);
    Observation { prominence: Prominence::Detail, ..Observation::of(statement) }
}

fn waiting<'a>(facts: &Facts<'a>) -> Vec<&'a Socket> {
    facts.obstacles().filter(|socket| matches!(socket.state, State::Listen | State::Unconnected)).collect()
}
