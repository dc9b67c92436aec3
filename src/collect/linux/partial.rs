//! Whether processes that could not be inspected may have a socket, besides those that were seen to
//! have it.
//!
//! The kernel tells which user created a socket. A server may bind as root and serve by processes
//! of another user. Then both have the socket. The other user can inspect the workers, but not the
//! process that forks them.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::cgroup;
use super::search::Search;
use crate::model::{Pid, Socket, name_or_stand_in};
use crate::platform::proc::Stat;

/// The first process of a pid namespace.
const INIT: Pid = 1;

/// Finds possible holders that could not be inspected.
#[derive(Debug)]
pub struct Others<'a> {
    proc: &'a Path,
    search: &'a Search,
    /// The users of processes: real, effective, saved and of the file system.
    users: HashMap<Pid, Vec<u32>>,
    /// The parents of processes, with their users, as far as they could not be inspected.
    parents: HashMap<Pid, Option<(Pid, u32)>>,
}

impl<'a> Others<'a> {
    /// Uses what a search has seen.
    pub fn new(proc: &'a Path, search: &'a Search) -> Self {
        Self { proc, search, users: HashMap::new(), parents: HashMap::new() }
    }

    /// A possible holder of a socket besides `known`. `cgroup` is where the socket was created.
    /// `None` if there is no sign of one.
    pub fn besides(&mut self, known: &[Pid], socket: &Socket, cgroup: Option<&str>) -> Option<String> {
        if self.search.sweep.is_complete() && self.search.sees_every_namespace {
            return None;
        }
        let creator = socket.uid?;
        let is_theirs = known.iter().any(|&pid| self.users_of(pid).contains(&creator));
        let parent = known.iter().find_map(|&pid| {
            // A parent that runs as another user has forked them. One that runs as their user may
            // also have adopted or just started them.
            let (parent, user) = self.uninspected_parent(pid)?;
            (user == creator && (!is_theirs || self.forked(parent, pid, cgroup))).then_some(parent)
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

    /// Empty if the process has ended: then nothing can be concluded.
    fn users_of(&mut self, pid: Pid) -> &[u32] {
        self.users.entry(pid).or_insert_with(|| {
            let status = fs::read_to_string(self.proc.join(pid.to_string()).join("status")).unwrap_or_default();
            let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
            ids.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect()
        })
    }

    /// The parent of a process and its user, if it could not be inspected. The directory of such a
    /// process belongs to its effective user (`task_dump_owner`, fs/proc/base.c). Each process is read
    /// once: it may have very many sockets.
    fn uninspected_parent(&mut self, pid: Pid) -> Option<(Pid, u32)> {
        let read = || {
            let parent = Stat::read(&self.proc.join(pid.to_string()))?.parent;
            self.search.sweep.unreadable.binary_search(&parent).ok()?;
            let directory = fs::metadata(self.proc.join(parent.to_string())).ok()?;
            Some((parent, directory.uid()))
        };
        *self.parents.entry(pid).or_insert_with(read)
    }

    /// Whether a process seems to have created the socket and then forked another one: both are in
    /// one session, and it is in the cgroup of the socket. A service manager is in another session
    /// and cgroup. The first process of a pid namespace adopts every orphan, and in a container it
    /// shares their session and cgroup.
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
