//! Answers for other commands: `kill $(portcheck 3000 --pids)`. What they have no room for goes to
//! standard error.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{Format, Style, hint, report};
use crate::answer::Answer;
use crate::commands::connections::Connection;
use crate::model::{Hides, Owners, Pid, Socket};

/// The processes that certainly have one of the sockets, ascending, one a line.
pub fn pids(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let pids: BTreeSet<Pid> = sockets(answer).into_iter().flat_map(certain).copied().collect();
    pids.iter().try_for_each(|pid| writeln!(out, "{pid}"))
}

/// How many sockets, or connections.
pub fn count(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let count = match answer {
        Answer::Connections(report) => report.connections().len(),
        _ => sockets(answer).len(),
    };
    writeln!(out, "{count}")
}

/// What the reader has to know besides, a line each: what there is instead of nothing, and who may be
/// missing.
pub fn asides(answer: &Answer, style: &Style) -> Vec<String> {
    let is_plain = matches!(style.format, Format::Pids | Format::Count);
    let hint = answer.hint().filter(|_| is_plain).map(|hint| hint::nothing(Some(hint), ""));
    hint.into_iter().chain(unseen(answer, style)).collect()
}

fn unseen(answer: &Answer, style: &Style) -> Vec<String> {
    let diagnosis = answer.diagnosis();
    let is_missing = match style.format {
        // A count has a socket whoever holds it.
        Format::Count => diagnosis.misses_wanted,
        Format::Pids => diagnosis.is_unsure() || sockets(answer).iter().any(|socket| socket.owners.is_unsure()),
        _ => false,
    };
    if !is_missing {
        return Vec::new();
    }
    let hidden = diagnosis.gaps.iter().filter(|gap| gap.kind.hides == Hides::Owners);
    hidden.map(report::unseen).chain(report::as_root(diagnosis, style)).collect()
}

/// The sockets that an answer shows. Of ports that were asked about, those that wait for peers.
fn sockets(answer: &Answer) -> Vec<&Socket> {
    match answer {
        Answer::Connections(report) => report.connections().flat_map(Connection::here).collect(),
        Answer::List(listing) => listing.diagnosis.ports.iter().flat_map(|port| &port.observed.sockets).collect(),
        _ => {
            let all = answer.diagnosis().ports.iter().flat_map(|port| &port.observed.sockets);
            all.filter(|socket| socket.state.is_waiting()).collect()
        }
    }
}

/// What is only likely is not given to a command.
fn certain(socket: &Socket) -> &[Pid] {
    match &socket.owners {
        Owners::Known(pids) | Owners::Partial { pids, .. } => pids,
        _ => &[],
    }
}
