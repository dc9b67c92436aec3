//! The verdict `listener`: a process waits for connections or datagrams on the port.

use super::holders::groups_where;
use super::{Explanation, Facts, Group, Observation, Rule, Severity, airplay, remedy};
use crate::model::{Owners, State, Via};

pub static RULE: Rule = Rule {
    code: "listener",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A process listens on the port (TCP), or receives datagrams there (UDP), on an address that overlaps the \
               one asked about.",
        why: "Only one socket can have an address and port, unless all sockets that share it set SO_REUSEPORT and \
              belong to one user.",
        detection: "The kernel's socket table has a socket in state LISTEN, or an unconnected UDP socket, and the \
                    process has a descriptor of it.",
        remedy: "End the process, stop the unit or container that runs it, or take another port.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    let waits = |socket: &crate::model::Socket| {
        matches!(socket.state, State::Listen | State::Unconnected)
            && (socket.owners.seen().is_some() || socket.owners == Owners::NotAsked)
            && socket.via != Via::IoUring
            && socket.forwards_to.is_none()
            && socket.forward.is_none()
            && !airplay::is_receiver(facts.host, facts.processes, socket)
    };
    groups_where(facts, waits).iter().map(|group| held_by(facts, group)).collect()
}

/// The observation on a group that waits on the port: who, where, and how to end it.
pub fn held_by(facts: &Facts<'_>, group: &Group<'_>) -> Observation {
    let (verb, object) = group.waits();
    let remedies = remedy::end_holder(facts, group);
    Observation { remedies, ..Observation::about(group, verb, object) }
}
