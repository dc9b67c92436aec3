//! The verdict `self-connect`: a client that has connected to itself holds the port.

use super::holders::groups_where;
use super::{Explanation, Observation, Rule, Severity, Verb, remedy};
use crate::model::{Owners, Socket};

pub static RULE: Rule = Rule {
    code: "self-connect",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A client that tried to reach the port has connected to itself, and now holds the port. Nothing listens \
               there.",
        why: "While the server was down, a client tried to connect again and again. The kernel gives each attempt a \
              port of the ephemeral range. When it gave the very port that the client wanted to reach, both ends met \
              (simultaneous open, RFC 9293, section 3.5). The server cannot come back while that connection lives.",
        detection: "The socket table has a connection whose local and remote address and port are the same.",
        remedy: "End the client. Move the server out of the ephemeral range, or reserve its port.",
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
