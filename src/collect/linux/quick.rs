//! The quick look for holders: in the cgroup where a socket was made, and among the relatives of
//! whoever has it.
//!
//! A process is usually in the cgroup in which it made its sockets, and shares them with its parent
//! or children. So this inspects a few processes instead of all. It may miss one that got the
//! socket in another way.

use std::collections::HashMap;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::path::Path;

use super::cgroup::Hierarchy;
use super::empty::Counter;
use super::owners::{self, DIRECTORY_BUFFER, Sweep};
use super::pids;
use super::sock_diag::Entry;
use crate::error::Error;
use crate::model::Pid;
use crate::platform::proc::Stat;

/// Looks for a holder of each of `entries`, and for holders among its relatives. `None` if a socket
/// is left without a holder.
pub fn look(proc: &Path, entries: &[Entry]) -> Result<Option<Sweep>, Error> {
    let root = File::open(proc).map_err(|source| Error::Read { path: proc.to_owned(), source })?;
    let Some(hierarchy) = Hierarchy::find(proc) else { return Ok(None) };
    let mut by_cgroup: HashMap<u64, Vec<u64>> = HashMap::new();
    for entry in entries {
        match (entry.socket.inode, entry.cgroup_id) {
            (Some(inode), Some(id)) => by_cgroup.entry(id.get()).or_default().push(inode),
            (Some(_), None) => return Ok(None),
            (None, _) => {}
        }
    }
    let ids: Vec<u64> = by_cgroup.keys().copied().collect();
    let paths = hierarchy.paths(&ids, std::iter::empty());
    let mut looker = Looker { root, buffer: vec![MaybeUninit::uninit(); DIRECTORY_BUFFER], sweep: Sweep::default() };
    for (id, mut wanted) in by_cgroup {
        wanted.sort_unstable();
        let Some(path) = paths.get(&id) else { return Ok(None) };
        let members = hierarchy.members(path);
        let Some(last) = members.iter().position(|&pid| looker.has_all(pid, &wanted)) else { return Ok(None) };
        let seen = &members[..=last];
        let holders: Vec<Pid> = looker.sweep.found.iter().map(|&(_, pid, _)| pid).collect();
        for relative in holders.into_iter().flat_map(|holder| relatives(proc, holder)) {
            if !seen.contains(&relative) {
                looker.has_all(relative, &wanted);
            }
        }
    }
    let mut sweep = Sweep::default();
    sweep.add(looker.sweep);
    owners::forget_ourselves(&mut sweep.found);
    Ok(Some(sweep))
}

/// Inspects one process after the other.
struct Looker {
    root: File,
    buffer: Vec<MaybeUninit<u8>>,
    sweep: Sweep,
}

impl Looker {
    /// Inspects `pid`. Returns whether each of the sockets `wanted` (ascending) has a holder by
    /// now.
    fn has_all(&mut self, pid: Pid, wanted: &[u64]) -> bool {
        let sweep = &mut self.sweep;
        let result = owners::sockets_of(&self.root, &format!("{pid}/fd"), &mut self.buffer, |inode, number| {
            if wanted.binary_search(&inode).is_ok() {
                sweep.found.push((inode, pid, number));
            }
        });
        if result.is_err_and(|errno| !pids::is_gone(errno)) && !Counter::new(&self.root).is_empty(pid) {
            sweep.unreadable.push(pid);
        }
        wanted.iter().all(|inode| sweep.found.iter().any(|(found, ..)| found == inode))
    }
}

/// Parent and children (proc_pid_task(5)). Children are known only if the kernel lists them
/// (`CONFIG_PROC_CHILDREN`).
fn relatives(proc: &Path, pid: Pid) -> Vec<Pid> {
    let directory = proc.join(pid.to_string());
    let mut relatives: Vec<Pid> = Stat::read(&directory).map(|stat| stat.parent).into_iter().collect();
    for thread in fs::read_dir(directory.join("task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        relatives.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<Pid>().ok()));
    }
    relatives
}
