//! The verdicts `backlog-full` and `accept-queue`: connections wait for a listener that does not
//! accept them.

use super::holders::groups_where;
use super::{Detail, Explanation, Facts, Observation, Rule, Severity, Verb};
use crate::model::{Socket, State};

pub static FULL: Rule = Rule {
    code: "backlog-full",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "A listener has more connections waiting than it asked for, and new ones are dropped. In a listing it looks \
               healthy.",
        why: "The server hangs, or accepts more slowly than its clients come.",
        detection: "The receive queue of the listener, which counts connections not yet accepted, exceeds its limit.",
        remedy: "See what the server is doing, or raise its backlog and net.core.somaxconn.",
    },
    check: |facts| waiting(facts, true),
};

pub static QUEUE: Rule = Rule {
    code: "accept-queue",
    severity: Severity::Info,
    explanation: Explanation {
        what: "Connections are open that the server has not accepted yet. No process has them so far, and they are no \
               orphans.",
        why: "The server is busy, or hangs.",
        detection: "The receive queue of the listener is not empty.",
        remedy: "Nothing, unless it stays so.",
    },
    check: |facts| waiting(facts, false),
};

/// The listeners with waiting connections: those over their limit, or the others.
fn waiting(facts: &Facts<'_>, over_limit: bool) -> Vec<Observation> {
    // The kernel takes one connection more than the limit before it drops any (sk_acceptq_is_full,
    // include/net/sock.h).
    let has_queue = |socket: &Socket| match (socket.state, socket.receive_queue, socket.send_queue) {
        (State::Listen, Some(waiting), Some(limit)) => waiting > 0 && (waiting > limit) == over_limit,
        _ => false,
    };
    let groups = groups_where(facts, has_queue);
    let observe = |group: &super::Group<'_>| {
        let count =
            |queue: fn(&Socket) -> Option<u32>| group.sockets.iter().filter_map(|socket| queue(socket)).sum::<u32>();
        let (waiting, limit) = (count(|socket| socket.receive_queue), count(|socket| socket.send_queue));
        let connections = if waiting == 1 { "connection" } else { "connections" };
        let limited = if over_limit { format!(" (limit {limit})") } else { String::new() };
        let object = format!("{waiting} {connections} on {}{limited}", group.addresses());
        Observation {
            details: vec![("waiting", Detail::Number(waiting.into())), ("limit", Detail::Number(limit.into()))],
            ..Observation::about(group, Verb("has not yet accepted", "have not yet accepted"), object)
        }
    };
    groups.iter().map(observe).collect()
}
