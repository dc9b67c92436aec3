//! The verdict `bound-not-listening`: a process has bound the port and does nothing with it, which
//! no listing shows.

use super::holders::groups_where;
use super::{Explanation, Facts, Observation, Rule, Severity, listener};
use crate::model::{Owners, State, Via};

pub static RULE: Rule = Rule {
    code: "bound-not-listening",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A process has bound the port, but neither listens on it nor has a connection from it. `ss -l`, lsof and \
               netstat show nothing.",
        why: "A server is starting, or hangs between bind and listen. It may have shut its listener down without \
              closing it. Or a client chose its own port, or a program keeps a port for another one.",
        detection: "The kernel's socket table has a socket in state CLOSE with a local port (listed since Linux 6.8).",
        remedy: "Wait if the server is starting. Otherwise end the process.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    let is_bound = |socket: &crate::model::Socket| {
        socket.state == State::Bound
            && (socket.owners.seen().is_some() || socket.owners == Owners::NotAsked)
            && socket.via != Via::IoUring
            // The verdict `leased` says more of a hold, and knows a better way than ending its
            // process.
            && !facts.observed.is_hold(socket)
    };
    groups_where(facts, is_bound).iter().map(|group| listener::held_by(facts, group)).collect()
}
