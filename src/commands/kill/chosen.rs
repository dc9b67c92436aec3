//! A plan for those holders only that somebody has chosen from a list.

use std::time::{Duration, SystemTime};

use super::{Holder, Prepared};
use crate::model::{Pid, Socket, find_process};

/// What was chosen, as it was when it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The processes, and when they started.
    pub holders: Vec<(Pid, Option<SystemTime>)>,
    /// Their sockets.
    pub sockets: Vec<SocketId>,
}

/// A socket: inodes are used again, cookies are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketId {
    /// Its inode, which descriptors name.
    pub inode: Option<u64>,
    /// Its cookie. Only sock_diag(7) tells it.
    pub cookie: Option<u64>,
}

impl SocketId {
    /// What names a socket.
    pub const fn of(socket: &Socket) -> Self {
        Self { inode: socket.inode, cookie: socket.cookie }
    }
}

/// Start times are counted from the time of the last boot, which moves when the clock is set.
const TOLERANCE: Duration = Duration::from_secs(2);

impl Chosen {
    /// Whether this is a process that was chosen, and not a later one with its id.
    fn has(&self, pid: Pid, started: Option<SystemTime>) -> bool {
        self.holders.iter().any(|&(chosen, then)| chosen == pid && is_same_time(then, started))
    }
}

fn is_same_time(a: Option<SystemTime>, b: Option<SystemTime>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a == b };
    a.duration_since(b).unwrap_or_else(|error| error.duration()) <= TOLERANCE
}

impl Prepared {
    /// The plan without the holders, and the sockets of theirs, that were not chosen.
    pub fn only(mut self, chosen: &Chosen) -> Self {
        let processes = &self.diagnosis.processes;
        let started = |pid: Pid| find_process(processes, pid).and_then(|process| process.started_at);
        let sockets = self.diagnosis.ports.iter().flat_map(|port| port.observed.everywhere());
        let sockets = sockets.filter(|socket| chosen.sockets.contains(&SocketId::of(socket)));
        let inodes: Vec<u64> = sockets.filter_map(|socket| socket.inode).collect();
        let is_chosen = |holder: &Holder| {
            chosen.has(holder.pid, started(holder.pid)) && holder.inodes.iter().any(|inode| inodes.contains(inode))
        };
        let planned = std::mem::take(&mut self.plan.holders).into_iter().zip(std::mem::take(&mut self.handles));
        for (mut holder, handle) in planned.filter(|(holder, _)| is_chosen(holder)) {
            holder.inodes.retain(|inode| inodes.contains(inode));
            self.plan.holders.push(holder);
            self.handles.push(handle);
        }
        self.plan.refusals.retain(|refusal| {
            chosen.holders.is_empty() || refusal.pids.iter().any(|&pid| chosen.has(pid, started(pid)))
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_process_with_the_same_id_was_not_chosen() {
        let at = |seconds: u64| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let chosen = Chosen { holders: vec![(7, at(100)), (8, None)], sockets: Vec::new() };
        for (pid, started, expected) in [
            (7, at(100), true),
            (7, at(102), true),
            (7, at(98), true),
            (7, at(103), false),
            (7, None, false),
            (9, at(100), false),
            (8, None, true),
        ] {
            assert_eq!(chosen.has(pid, started), expected, "{pid} {started:?}");
        }
    }
}
