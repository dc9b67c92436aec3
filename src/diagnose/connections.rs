//! The verdicts on connections that hold their local port while nothing listens there:
//! `outgoing-connection`, `leftover-connections`.

use super::holders::groups_where;
use super::self_connect::is_self_connected;
use super::{Detail, Explanation, Facts, Observation, Phrase, Rule, Severity, Statement, Verb, remedy};
use crate::model::{Owners, Protocol, Socket, State};

pub static OUTGOING: Rule = Rule {
    code: "outgoing-connection",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A process uses the port as the local end of an outgoing connection. No listener exists, and `ss -l` \
               shows nothing.",
        why: "The kernel gives outgoing connections a port from the ephemeral range, and this port lies in it. While \
              the connection lives, no server can bind the port, with or without SO_REUSEADDR.",
        detection: "The socket table has a connection with this local port and no listener, and the port lies in the \
                    ephemeral range (TCP). Or the table has a UDP socket with a peer.",
        remedy: "Move the server to a port below the ephemeral range, or exclude the port from the range with \
                 net.ipv4.ip_local_reserved_ports.",
    },
    check: |facts| {
        connections(facts, |facts, socket| {
            socket.state != State::TimeWait
                && socket.owners != Owners::None
                && !is_self_connected(socket)
                && (is_ephemeral(facts) || facts.observed.protocol == Protocol::Udp)
        })
        .map(|group| Observation {
            pids: group.owners.pids().to_vec(),
            details: count(group.sockets.len()),
            remedies: {
                let better = remedy::keep_out_of_range(facts);
                let or_end = if better.is_empty() { remedy::end_holder(facts, &group) } else { better };
                let see =
                    remedy::see_holder(facts).filter(|_| group.owners.is_unsure() && group.owners.seen().is_none());
                see.into_iter().chain(or_end).collect()
            },
            ..Observation::of(
                Statement::new(&group, Verb("uses", "use"), Phrase::port(facts))
                    .and(format!(" for {}, without listening on it", peers(&group.sockets))),
            )
        })
        .collect()
    },
};

pub static LEFTOVER: Rule = Rule {
    code: "leftover-connections",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "Connections that a server accepted are still open though its listener is closed, and hold the port.",
        why: "The server is shutting down gracefully, or a child has inherited the connections.",
        detection: "The socket table has connections with this local port that a process owns, and no listener. The \
                    port lies outside the ephemeral range.",
        remedy: "Wait for them to end, or end the process. A new server that sets SO_REUSEADDR can usually bind at \
                 once.",
    },
    check: |facts| {
        connections(facts, |facts, socket| {
            socket.state != State::TimeWait
                && socket.owners != Owners::None
                && !is_self_connected(socket)
                && facts.observed.protocol == Protocol::Tcp
                && !is_ephemeral(facts)
        })
        .map(|group| Observation {
            pids: group.owners.pids().to_vec(),
            details: count(group.sockets.len()),
            remedies: remedy::end_holder(facts, &group),
            ..Observation::of(
                Statement::new(&group, Verb("still has", "still have"), format!("{} on ", peers(&group.sockets)))
                    .and(Phrase::port(facts))
                    .and(", and nothing listens on it"),
            )
        })
        .collect()
    },
};

/// The connections that pass `filter`, if nothing waits on the port. A listener explains the
/// conflict alone.
pub fn connections<'a>(
    facts: &Facts<'a>,
    filter: impl Fn(&Facts<'a>, &Socket) -> bool,
) -> impl Iterator<Item = super::Group<'a>> {
    let explained = facts.observed.sockets.iter().any(|socket| socket.state.is_waiting());
    let groups = if explained {
        Vec::new()
    } else {
        groups_where(facts, |socket| !matches!(socket.owners, Owners::Kernel) && filter(facts, socket))
    };
    groups.into_iter()
}

fn is_ephemeral(facts: &Facts<'_>) -> bool {
    facts.host.picks_by_itself(facts.observed.port)
}

/// `a connection to 192.0.2.1:443`, `3 connections`.
pub fn peers(sockets: &[&Socket]) -> String {
    match sockets {
        [Socket { remote: Some(remote), .. }] => format!("a connection to {remote}"),
        [_] => "a connection".to_owned(),
        several => format!("{} connections", several.len()),
    }
}

pub fn count(sockets: usize) -> Vec<(&'static str, Detail)> {
    vec![("connections", Detail::Number(sockets as u64))]
}
