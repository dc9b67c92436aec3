//! What is told of a change: the port as the other commands judge it.

use std::collections::BTreeSet;
use std::time::SystemTime;
use std::vec::IntoIter;

use super::differ::{Change, Key};
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Observed, PortReport};
use crate::model::{Pid, Process, Snapshot, Socket, find_process};
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

/// What is told of the changes between two looks. Some are judged at a time: all of them may be far
/// more than those who are told can take.
#[derive(Debug)]
pub struct Events<'a> {
    request: &'a Request,
    time: SystemTime,
    /// `None` before the first look: nothing was there.
    before: Option<Snapshot>,
    now: &'a Snapshot,
    changes: IntoIter<Change<'a>>,
    judged: IntoIter<Event>,
}

/// So many changes are judged at once.
const TOGETHER: usize = 500;

impl<'a> Events<'a> {
    pub(super) fn of(
        request: &'a Request,
        changes: Vec<Change<'a>>,
        before: Option<Snapshot>,
        now: &'a Snapshot,
    ) -> Self {
        let (changes, judged) = (changes.into_iter(), Vec::new().into_iter());
        Self { request, time: SystemTime::now(), before, now, changes, judged }
    }

    /// The events of the next changes.
    fn judge(&mut self) -> Vec<Event> {
        let changes = self.changes.by_ref().take(TOGETHER);
        let (were, are): (Vec<Observed>, Vec<Observed>) =
            changes.map(|Change { key, before, now }| (observed(&key, before), observed(&key, now.to_vec()))).unzip();
        let Diagnosis { ports: were, processes: ended, .. } =
            judge(self.request, were, self.before.as_ref().unwrap_or(self.now));
        let Diagnosis { ports: are, processes, .. } = judge(self.request, are, self.now);
        let known = |pid| find_process(&processes, pid).or_else(|| find_process(&ended, pid)).cloned();
        let pairs = were.into_iter().zip(are);
        pairs.map(|(was, is)| self.event(was, is, known)).collect()
    }

    fn event(&self, was: PortReport, is: PortReport, known: impl Fn(Pid) -> Option<Process>) -> Event {
        let [was_there, is_there] = [&was, &is].map(|port| !port.observed.sockets.is_empty());
        let (kind, port, before) = match (was_there, is_there) {
            (false, _) if self.before.is_none() => (Kind::Present, is, None),
            (false, _) => (Kind::Opened, is, None),
            (true, false) => (Kind::Closed, was, None),
            (true, true) => (Kind::Changed, is, Some(was)),
        };
        let sockets = [Some(&port), before.as_ref()].into_iter().flatten().flat_map(|port| &port.observed.sockets);
        let pids: BTreeSet<Pid> = sockets.flat_map(|socket| socket.owners.pids()).copied().collect();
        let processes = pids.into_iter().filter_map(known).collect();
        Event { time: self.time, kind, port: Some(port), before, processes, missed: None }
    }
}

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.judged.len() == 0 && self.changes.len() > 0 {
            self.judged = self.judge().into_iter();
        }
        self.judged.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.judged.len() + self.changes.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Events<'_> {}

fn observed(key: &Key, sockets: Vec<Socket>) -> Observed {
    Observed { namespace: key.namespace.clone(), sockets, ..Observed::of(key.port, key.protocol) }
}

fn judge(request: &Request, ports: Vec<Observed>, of: &Snapshot) -> Diagnosis {
    let (host, processes, gaps) = (of.host.clone(), of.processes.clone(), of.gaps.clone());
    Diagnosis::judge(request, ports, Snapshot { host, sockets: Vec::new(), processes, gaps })
}
