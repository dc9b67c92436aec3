//! The verdicts on connections without a process that still hold their port: `orphaned-connection`,
//! `time-wait`, `time-wait-stubborn`.

use std::iter;

use super::connections::{connections, count, peers};
use super::{
    Detail, Explanation, Facts, Observation, Phrase, Remedy, RemedyKind, Rule, Severity, Statement, Subject, Verb,
    remedy,
};
use crate::model::{Owners, Protocol, Socket, State};
use crate::probe::{Attempt, Outcome};

pub static ORPHANED: Rule = Rule {
    code: "orphaned-connection",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A connection that its process has closed still holds the port while the kernel ends it.",
        why: "The peer has not acknowledged the close, or not closed its own side.",
        detection: "The socket table has a connection with this local port that belongs to no process and is not in \
                    TIME_WAIT. Its timer says how long the kernel still waits. If its own close was acknowledged \
                    (FIN_WAIT2), it is net.ipv4.tcp_fin_timeout; if not (FIN_WAIT1), several minutes.",
        remedy: "Wait: there is no process to end. Root can drop it at once.",
    },
    check: |facts| {
        connections(facts, |_, socket| socket.state != State::TimeWait && socket.owners == Owners::None)
            .map(|group| {
                let wait = match longest(&group.sockets).map_or(0, |left| left.div_ceil(1000)) {
                    0 => "wait until the kernel has ended it; there is no process to end".to_owned(),
                    seconds => {
                        format!("wait up to {seconds} s until the kernel has ended it; there is no process to end")
                    }
                };
                Observation {
                    details: remaining(&group.sockets),
                    remedies: iter::once(Remedy::advice(RemedyKind::Wait, wait))
                        .chain(remedy::drop_remnants(facts))
                        .collect(),
                    ..Observation::of(Statement::new(
                        subject(&group.sockets, format!("{} without a process", peers(&group.sockets))),
                        Verb("still holds", "still hold"),
                        Phrase::port(facts),
                    ))
                }
            })
            .collect()
    },
};

pub static TIME_WAIT_STUBBORN: Rule = Rule {
    code: "time-wait-stubborn",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "Connections that ended a short time ago still hold the port, even against a server that sets \
               SO_REUSEADDR. No process has them.",
        why: "The old socket had not set SO_REUSEADDR itself. The kernel lets two sockets share a port that way only \
              if both have set it. The same happens with a client's own port.",
        detection: "The socket table has connections in TIME_WAIT with this local port and no listener, and bind fails \
                    with SO_REUSEADDR as well.",
        remedy: "Wait for the time that is named. Root can drop the remnants at once.",
    },
    check: |facts| time_wait(facts, true),
};

pub static TIME_WAIT: Rule = Rule {
    code: "time-wait",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "Connections that ended a short time ago still hold the port. No process has them.",
        why: "The side that closes first keeps the connection in TIME_WAIT for some time, 60 s on Linux. So late \
              packets do not reach a new connection (RFC 9293, section 3.6.1).",
        detection: "The socket table has connections in TIME_WAIT with this local port, and no listener.",
        remedy: "Set SO_REUSEADDR in the server, as most do: with --reuse-addr it is no conflict. Or wait for the time \
                 that is named. Root can drop the remnants at once.",
    },
    check: |facts| time_wait(facts, false),
};

const HOLD: Verb = Verb("holds", "hold");

fn subject(sockets: &[&Socket], name: String) -> Subject {
    if sockets.len() == 1 { Subject::Thing(name) } else { Subject::Things(name) }
}

fn time_wait(facts: &Facts<'_>, stubborn: bool) -> Vec<Observation> {
    if reuse_is_in_vain(facts) != stubborn {
        return Vec::new();
    }
    if are_unlisted(facts) {
        return vec![unlisted(facts)];
    }
    connections(facts, |_, socket| socket.state == State::TimeWait)
        .map(|group| {
            // Only Linux tells.
            let seconds = longest(&group.sockets).map(|left| left.div_ceil(1000));
            let wait = seconds.map_or_else(|| "wait for a minute or two".to_owned(), |left| format!("wait {left} s"));
            let count = group.sockets.len();
            let noun = if count == 1 { "closed connection" } else { "closed connections" };
            let helps = facts.observed.attempts.iter().any(|attempt| attempt.reuse_address) && !stubborn;
            let text = match (stubborn, helps) {
                (true, _) => format!("{wait}; SO_REUSEADDR does not help"),
                (false, true) => format!("set SO_REUSEADDR in the server, which helps here, or {wait}"),
                (false, false) => format!("{wait}; a server that sets SO_REUSEADDR usually need not wait"),
            };
            let left = seconds.map(|left| format!(" for {left} s more")).unwrap_or_default();
            Observation {
                details: remaining(&group.sockets),
                remedies: iter::once(Remedy::advice(RemedyKind::Wait, text))
                    .chain(remedy::drop_remnants(facts))
                    .collect(),
                ..Observation::of(
                    Statement::new(subject(&group.sockets, format!("{count} {noun}")), HOLD, Phrase::port(facts))
                        .and(format!("{left} (TIME_WAIT)")),
                )
            }
        })
        .collect()
}

/// Remnants that the system does not list.
fn unlisted(facts: &Facts<'_>) -> Observation {
    let text = "set SO_REUSEADDR in the server, which helps here, or wait half a minute";
    Observation {
        remedies: vec![Remedy::advice(RemedyKind::Wait, text)],
        ..Observation::of(
            Statement::new(Subject::Things("closed connections".to_owned()), HOLD, Phrase::port(facts))
                .and(" (TIME_WAIT): only a server that sets SO_REUSEADDR can bind it"),
        )
    }
}

/// Whether remnants hold the port that macOS does not list: bind fails, and works with SO_REUSEADDR
/// wherever it fails. The user's own sockets are listed, and other users' sockets do not let us
/// bind with the option either (in_pcbbind, bsd/netinet/in_pcb.c of XNU).
pub fn are_unlisted(facts: &Facts<'_>) -> bool {
    let works_with_reuse = |failed: &Attempt| {
        let mut others =
            facts.observed.attempts.iter().filter(|other| other.reuse_address && other.spot == failed.spot);
        others.any(|other| other.outcome == Outcome::Bound)
    };
    let mut failures = facts.answers().filter(|attempt| attempt.outcome == Outcome::InUse).peekable();
    facts.host.os == "macos"
        && facts.observed.protocol == Protocol::Tcp
        && facts.observed.sockets.is_empty()
        && failures.peek().is_some()
        && failures.all(works_with_reuse)
}

/// Whether bind(2) was asked with SO_REUSEADDR, too, and still found the port in use.
fn reuse_is_in_vain(facts: &Facts<'_>) -> bool {
    facts.observed.attempts.iter().any(|attempt| attempt.reuse_address && attempt.outcome == Outcome::InUse)
}

/// The milliseconds until the last of the sockets is gone, if the kernel tells.
fn longest(sockets: &[&Socket]) -> Option<u64> {
    let timers = sockets.iter().filter_map(|socket| socket.timer);
    timers.map(|timer| timer.expires_in_ms.into()).max()
}

fn remaining(sockets: &[&Socket]) -> Vec<(&'static str, Detail)> {
    let mut details = count(sockets.len());
    details.extend(longest(sockets).map(|left| ("remaining_ms", Detail::Number(left))));
    details
}
