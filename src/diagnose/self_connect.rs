//! The verdict `self-connect`: a client that has connected to itself holds the port.

use super::holders::groups_where;
use super::{Explanation, Observation, Rule, Severity, Verb, remedy};
use crate::model::{Owners, Socket};

pub static RULE: Rule = Rule {
    code: "self-connect",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A client that tried to reach the port has connected to itself, and holds the port now. Nothing listens \
               there.",
        why: "While the server was down, a client tried again and again to connect. The kernel gives each attempt a \
              port of the ephemeral range; when it gave the very port that was asked for, the two ends met (simultaneous \
              open, RFC 9293, section 3.5). The server cannot come back as long as that connection lives.",
        detection: "The socket table has a connection whose local and remote address and port are the same.",
        remedy: "End the client; move the server out of the ephemeral range, or reserve its port.",
    },
    check: |facts| {
        groups_where(facts, |socket| is_self_connected(socket) && socket.owners != Owners::None)
            .iter()
            .map(|group| Observation {
                remedies: [remedy::end_holder(facts, group), remedy::keep_out_of_range(facts)].concat(),
                ..Observation::about(
                    group,
                    Verb("has connected to itself on", "have connected to themselves on"),
                    format!("{}, and the server cannot come back", group.addresses()),
                )
            })
            .collect()
    },
};

/// Whether both ends of a connection are the same.
pub fn is_self_connected(socket: &Socket) -> bool {
    socket.remote == Some(socket.local)
}
