//! The verdicts on connections that hold their own port while nothing listens there: `outgoing-connection`,
//! `leftover-connections`, `orphaned-connection`, `time-wait` and `time-wait-stubborn`.

use super::holders::groups_where;
use super::{Detail, Explanation, Facts, Observation, Remedy, Rule, Severity, remedy};
use crate::model::{Owners, Socket, State};
use crate::probe::Outcome;

pub static OUTGOING: Rule = Rule {
    code: "outgoing-connection",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A process uses the port as the local end of an outgoing connection. No listener exists, and `ss -l` \
               shows nothing.",
        why: "The kernel gives outgoing connections their port from the ephemeral range, and this port lies in it. \
              As long as the connection lives, no server can bind the port, with or without SO_REUSEADDR.",
        detection: "The socket table has a connection with this local port and no listener, and the port lies in the \
                    ephemeral range (TCP); or the table has a UDP socket with a peer.",
        remedy: "Move the server to a port below the ephemeral range, or keep the port out of it with \
                 net.ipv4.ip_local_reserved_ports.",
    },
    check: |facts| {
        connections(facts, |facts, socket| {
            socket.state != State::TimeWait
                && socket.owners != Owners::None
                && (is_ephemeral(facts) || facts.protocol == crate::model::Protocol::Udp)
        })
        .map(|group| Observation {
            summary: format!(
                "{} uses {} for {}, and nothing listens there",
                group.holder(facts.processes),
                facts.port_name(),
                peers(&group.sockets),
            ),
            pids: group.owners.pids().to_vec(),
            details: count(group.sockets.len()),
            remedies: match facts.host.ephemeral_range {
                Some((first, last)) if is_ephemeral(facts) => vec![Remedy {
                    text: format!(
                        "take a port outside {first}-{last}, the range that outgoing connections get theirs from"
                    ),
                    command: None,
                }],
                _ => remedy::end_holder(facts, &group),
            },
        })
        .collect()
    },
};

pub static LEFTOVER: Rule = Rule {
    code: "leftover-connections",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "Connections that a server accepted live on though its listener is closed, and hold the port.",
        why: "A server that is shutting down gracefully, or a child that inherited the connections.",
        detection: "The socket table has connections with this local port, owned by a process, and no listener; the \
                    port lies outside the ephemeral range.",
        remedy: "Wait for them to end, or end the process. A new server that sets SO_REUSEADDR can mostly bind at once.",
    },
    check: |facts| {
        connections(facts, |facts, socket| {
            socket.state != State::TimeWait
                && socket.owners != Owners::None
                && facts.protocol == crate::model::Protocol::Tcp
                && !is_ephemeral(facts)
        })
        .map(|group| Observation {
            summary: format!(
                "{} still has {} on {}, and nothing listens there",
                group.holder(facts.processes),
                peers(&group.sockets),
                facts.port_name()
            ),
            pids: group.owners.pids().to_vec(),
            details: count(group.sockets.len()),
            remedies: remedy::end_holder(facts, &group),
        })
        .collect()
    },
};

pub static ORPHANED: Rule = Rule {
    code: "orphaned-connection",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A connection that its process has closed still holds the port while the kernel ends it.",
        why: "The peer has not acknowledged the close, or not closed its own side.",
        detection: "The socket table has a connection with this local port that belongs to no process and is not in \
                    TIME_WAIT.",
        remedy: "Wait: there is no process to end.",
    },
    check: |facts| {
        connections(facts, |_, socket| socket.state != State::TimeWait && socket.owners == Owners::None)
            .map(|group| Observation {
                summary: format!("{} without a process still holds {}", peers(&group.sockets), facts.port_name()),
                details: remaining(&group.sockets),
                remedies: vec![Remedy {
                    text: "wait until the kernel has ended it; there is no process to end".to_owned(),
                    command: None,
                }],
                ..Observation::default()
            })
            .collect()
    },
};

pub static TIME_WAIT_STUBBORN: Rule = Rule {
    code: "time-wait-stubborn",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "Connections that ended less than a minute ago still hold the port, even from a server that sets \
               SO_REUSEADDR. No process has them.",
        why: "The old socket had not set SO_REUSEADDR itself: the kernel lets two sockets share a port that way only if \
              both have set it. A client's own port is such a case, too.",
        detection: "The socket table has connections in TIME_WAIT with this local port and no listener, and bind fails \
                    with SO_REUSEADDR as well.",
        remedy: "Wait for the time that is named.",
    },
    check: |facts| time_wait(facts, true),
};

pub static TIME_WAIT: Rule = Rule {
    code: "time-wait",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "Connections that ended less than a minute ago still hold the port. No process has them.",
        why: "The side that closes first keeps the connection in TIME_WAIT for 60 s, so that late packets do not \
              reach a new one (RFC 9293, section 3.6.1).",
        detection: "The socket table has connections in TIME_WAIT with this local port, and no listener.",
        remedy: "Set SO_REUSEADDR in the server, as most do, or wait for the time that is named. With --reuse-addr it is \
                 no conflict.",
    },
    check: |facts| time_wait(facts, false),
};

fn time_wait(facts: &Facts<'_>, stubborn: bool) -> Vec<Observation> {
    if reuse_is_in_vain(facts) != stubborn {
        return Vec::new();
    }
    connections(facts, |_, socket| socket.state == State::TimeWait)
        .map(|group| {
            let seconds = longest(&group.sockets).div_ceil(1000);
            let count = group.sockets.len();
            let noun = if count == 1 { "connection that has" } else { "connections that have" };
            let helps = facts.attempts.iter().any(|attempt| attempt.reuse_address) && !stubborn;
            let text = match (stubborn, helps) {
                (true, _) => format!("wait {seconds} s; SO_REUSEADDR does not help"),
                (false, true) => format!("set SO_REUSEADDR in the server, which helps here, or wait {seconds} s"),
                (false, false) => format!("wait {seconds} s; a server that sets SO_REUSEADDR mostly need not wait"),
            };
            Observation {
                summary: format!("{count} {noun} ended keep {} in TIME_WAIT for {seconds} s more", facts.port_name()),
                details: remaining(&group.sockets),
                remedies: vec![Remedy { text, command: None }],
                ..Observation::default()
            }
        })
        .collect()
}

/// Whether bind(2) was asked with SO_REUSEADDR too, and found the port in use all the same.
fn reuse_is_in_vain(facts: &Facts<'_>) -> bool {
    facts.attempts.iter().any(|attempt| attempt.reuse_address && attempt.outcome == Outcome::InUse)
}

/// The connections that pass `filter`, if nothing waits on the port: a listener explains the conflict alone, and its
/// connections say nothing more.
fn connections<'a>(
    facts: &Facts<'a>,
    filter: impl Fn(&Facts<'a>, &Socket) -> bool,
) -> impl Iterator<Item = super::Group<'a>> {
    let explained = facts.sockets.iter().any(|socket| socket.state.is_waiting());
    let groups = if explained {
        Vec::new()
    } else {
        groups_where(facts, |socket| !matches!(socket.owners, Owners::Kernel) && filter(facts, socket))
    };
    groups.into_iter()
}

fn is_ephemeral(facts: &Facts<'_>) -> bool {
    facts.host.picks_by_itself(facts.port)
}

/// `a connection to 192.0.2.1:443`, `3 connections`.
fn peers(sockets: &[&Socket]) -> String {
    match sockets {
        [Socket { remote: Some(remote), .. }] => format!("a connection to {remote}"),
        [_] => "a connection".to_owned(),
        several => format!("{} connections", several.len()),
    }
}

/// The milliseconds until the last of the sockets is gone.
fn longest(sockets: &[&Socket]) -> u64 {
    let timers = sockets.iter().filter_map(|socket| socket.timer);
    timers.map(|timer| u64::try_from(timer.expires_in.as_millis()).unwrap_or(u64::MAX)).max().unwrap_or(0)
}

fn count(sockets: usize) -> Vec<(&'static str, Detail)> {
    vec![("connections", Detail::Number(sockets as u64))]
}

fn remaining(sockets: &[&Socket]) -> Vec<(&'static str, Detail)> {
    let mut details = count(sockets.len());
    if sockets.iter().any(|socket| socket.timer.is_some()) {
        details.push(("remaining_ms", Detail::Number(longest(sockets))));
    }
    details
}
