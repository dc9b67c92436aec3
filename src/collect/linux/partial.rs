//! Whether the processes that were seen to have a socket are all that have it, where others could not be inspected.
//!
//! The kernel tells which user created a socket. A server that binds as root and serves by processes of another user leaves
//! it in both: the latter can be inspected by that user, and the one that forks them cannot.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::cgroup;
use super::owners::Sweep;
use crate::model::{Pid, Socket, name_or_stand_in};
use crate::platform::proc::Stat;

/// The first process of a pid namespace.
const INIT: Pid = 1;

/// Knows who could not be inspected.
#[derive(Debug)]
pub struct Others<'a> {
    proc: &'a Path,
    sweep: &'a Sweep,
    sees_every_namespace: bool,
    /// The users of processes that have been seen: real, effective, saved and of the file system.
    users: HashMap<Pid, Vec<u32>>,
}

impl<'a> Others<'a> {
    /// For what a sweep has seen.
    pub fn new(proc: &'a Path, sweep: &'a Sweep, sees_every_namespace: bool) -> Self {
        Self { proc, sweep, sees_every_namespace, users: HashMap::new() }
    }

    /// Who may have a socket besides `known`, which was created in `cgroup`. `None` if nothing speaks for anybody else.
    pub fn besides(&mut self, known: &[Pid], socket: &Socket, cgroup: Option<&str>) -> Option<String> {
        if self.sweep.is_complete() && self.sees_every_namespace {
            return None;
        }
        let creator = socket.uid?;
        let is_theirs = known.iter().any(|&pid| self.users_of(pid).contains(&creator));
        let parent = known.iter().find_map(|&pid| {
            // One of another user than those seen forked them; one of theirs may have adopted them, or started them only.
            self.uninspected_parent(pid, creator).filter(|&parent| !is_theirs || self.forked(parent, pid, cgroup))
        });
        let whose = if known.len() == 1 { "its" } else { "their" };
        match parent {
            Some(pid) => {
                let name = self.name(pid);
                Some(format!("{name} (pid {pid}), {whose} parent, may have it too and could not be inspected"))
            }
            None if is_theirs => None,
            None => Some("another user created it, whose processes could not be inspected".to_owned()),
        }
    }

    /// None of a process that has ended, of which nothing is to be concluded.
    fn users_of(&mut self, pid: Pid) -> &[u32] {
        self.users.entry(pid).or_insert_with(|| {
            let status = fs::read_to_string(self.proc.join(pid.to_string()).join("status")).unwrap_or_default();
            let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
            ids.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect()
        })
    }

    /// The parent of a process, if it is of the user and could not be inspected. Of a process that could not, its directory
    /// tells the effective user (`task_dump_owner`, fs/proc/base.c).
    fn uninspected_parent(&self, pid: Pid, user: u32) -> Option<Pid> {
        let parent = Stat::read(&self.proc.join(pid.to_string()))?.parent;
        self.sweep.unreadable.binary_search(&parent).ok()?;
        let directory = fs::metadata(self.proc.join(parent.to_string())).ok()?;
        (directory.uid() == user).then_some(parent)
    }

    /// Whether a process seems to have made the socket and forked another one then: both are in one session, and it is in
    /// the cgroup of the socket. A service manager is in others. The first process of a pid namespace adopts every orphan,
    /// in a container those of its own session and cgroup too.
    fn forked(&self, parent: Pid, child: Pid, cgroup: Option<&str>) -> bool {
        if parent == INIT {
            return false;
        }
        let session = |pid: Pid| Stat::read(&self.proc.join(pid.to_string())).map(|stat| stat.session);
        let place = cgroup::of_process(self.proc, parent);
        session(parent).is_some_and(|own| session(child) == Some(own))
            && cgroup.is_none_or(|cgroup| place.iter().any(|path| path == cgroup))
    }

    fn name(&self, pid: Pid) -> String {
        let name = fs::read(self.proc.join(pid.to_string()).join("comm")).unwrap_or_default();
        name_or_stand_in(String::from_utf8_lossy(&name).trim_end_matches('\n'), None, &[])
    }
}
