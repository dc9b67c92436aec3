//! What is told of a change: the port as the other commands judge it.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::differ::{Change, Key};
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Observed, PortReport};
use crate::model::{Pid, Process, Snapshot, Socket};
use crate::request::Request;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it was seen. It happened between the look before and then.
    pub time: SystemTime,
    /// What happened.
    pub kind: Kind,
    /// The port as it is now; as it was, if it was closed. `None` if something was missed.
    pub port: Option<PortReport>,
    /// The port as it was before it changed.
    pub before: Option<PortReport>,
    /// The processes that hold it or held it, by ascending pid.
    pub processes: Vec<Process>,
    /// How many sockets were missed. `None` if nobody knows, and for other events.
    pub missed: Option<usize>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Kind {
    /// The port was in use when the watch began.
    Present,
    /// It came into use.
    Opened,
    /// It is not in use any more.
    Closed,
    /// It has another holder, or other sockets.
    Changed,
    /// Something was missed.
    Lost,
}

impl Event {
    /// Tells that so many sockets were missed.
    pub fn lost(time: SystemTime, missed: Option<usize>) -> Self {
        Self { time, kind: Kind::Lost, port: None, before: None, processes: Vec::new(), missed }
    }

    /// What it is about, for people: `8080/tcp`.
    pub fn name(&self) -> String {
        self.port.as_ref().map(|port| port.observed.name()).unwrap_or_default()
    }
}

/// What is told of `changes` between two looks. Before the first look, nothing was there.
pub fn events(
    request: &Request,
    time: SystemTime,
    changes: Vec<Change>,
    before: Option<&Snapshot>,
    now: &Snapshot,
) -> Vec<Event> {
    if changes.is_empty() {
        return Vec::new();
    }
    let observe = |key: &Key, sockets: Vec<Socket>| Observed {
        namespace: key.namespace.clone(),
        sockets,
        ..Observed::of(key.port, key.protocol)
    };
    let (were, are) = changes
        .into_iter()
        .map(|change| (observe(&change.key, change.before), observe(&change.key, change.now)))
        .unzip();
    let (were, are) = (judge(request, were, before.unwrap_or(now)), judge(request, are, now));
    let processes = |port: &PortReport, before: Option<&PortReport>| {
        let sockets = [Some(port), before].into_iter().flatten().flat_map(|port| &port.observed.sockets);
        let pids: BTreeSet<Pid> = sockets.flat_map(|socket| socket.owners.pids()).copied().collect();
        let known = |pid| [&are, &were].into_iter().find_map(|side| crate::model::find_process(&side.processes, pid));
        pids.into_iter().filter_map(known).cloned().collect()
    };
    let pairs = were.ports.iter().zip(&are.ports);
    let told = pairs.map(|(was, is)| {
        let was_there = !was.observed.sockets.is_empty();
        let (kind, port, before) = match (was_there, !is.observed.sockets.is_empty()) {
            (false, _) if before.is_none() => (Kind::Present, is, None),
            (false, _) => (Kind::Opened, is, None),
            (true, false) => (Kind::Closed, was, None),
            (true, true) => (Kind::Changed, is, Some(was)),
        };
        let processes: Vec<Process> = processes(port, before);
        Event { time, kind, port: Some(port.clone()), before: before.cloned(), processes, missed: None }
    });
    told.collect()
}

fn judge(request: &Request, ports: Vec<Observed>, of: &Snapshot) -> Diagnosis {
    let (host, processes, gaps) = (of.host.clone(), of.processes.clone(), of.gaps.clone());
    Diagnosis::judge(request, ports, Snapshot { host, sockets: Vec::new(), processes, gaps })
}
