//! The processes that hold sockets: what sysinfo tells of them, and what only Linux does.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::cgroup::{self, Hierarchy};
use super::holder::Holder;
use super::{engines, program};
use crate::collect::{Detail, processes};
use crate::error::Error;
use crate::model::{Pid, Process, Socket};
use crate::platform::threads;
use crate::supervisor::{self, Supervisor};

/// To read the files of so many takes longer than a thread takes to start.
const WORTH_A_THREAD: usize = 16;

/// Reads these processes, and all names of users by `users`. Those that have ended are left out.
pub fn read(proc: &Path, mut pids: Vec<Pid>, detail: Detail, users: &mut Users) -> Result<Vec<Process>, Error> {
    pids.sort_unstable();
    pids.dedup();
    // One part for each thread, as each part reads its ancestors anew.
    let threads = threads::for_items(pids.len(), WORTH_A_THREAD);
    let parts: Vec<&[Pid]> = pids.chunks(pids.len().div_ceil(threads).max(1)).collect();
    let mut processes = Vec::new();
    for read in threads::map(parts, threads, |pids| read_some(proc, pids, detail)) {
        processes.extend(read?);
    }
    for process in &mut processes {
        process.user = process.uid.and_then(|uid| users.name(uid)).map(|name| name.to_string());
    }
    Ok(processes)
}

/// The same without the names of users.
fn read_some(proc: &Path, pids: &[Pid], detail: Detail) -> Result<Vec<Process>, Error> {
    let mut processes = processes::details(pids.iter().copied(), detail, |_| None)?;
    for process in &mut processes {
        let Supervisor { unit, container } = supervisor_of(proc, process.pid);
        process.container = container.or_else(|| engines::container_by_monitor(proc, process.pid));
        process.unit = unit.filter(|_| process.container.is_none());
        process.forwarder = program::forwarder(proc, process);
    }
    Ok(processes)
}

/// The unit and the container of a process, as its cgroups tell.
pub fn supervisor_of(proc: &Path, pid: Pid) -> Supervisor {
    let mut merged = Supervisor::default();
    for path in cgroup::of_process(proc, pid) {
        let found = supervisor::of_cgroup(&path);
        merged.unit = merged.unit.or(found.unit);
        merged.container = merged.container.or(found.container);
    }
    merged
}

/// Adds what sysinfo does not report about the holders.
pub fn look_closer(proc: &Path, hierarchy: Option<&Hierarchy>, sockets: &[Socket], processes: &mut [Process]) {
    let mut waiting: HashMap<Pid, Vec<u64>> = HashMap::new();
    for socket in sockets.iter().filter(|socket| socket.state.is_waiting()) {
        let Some(inode) = socket.inode else { continue };
        for &pid in socket.owners.pids() {
            waiting.entry(pid).or_default().push(inode);
        }
    }
    let threads = threads::for_items(processes.len(), WORTH_A_THREAD);
    threads::each(processes, threads, |process| {
        let holder = Holder::new(proc, process.pid);
        process.is_exe_deleted = holder.is_exe_deleted();
        process.frozen_cgroup = hierarchy.and_then(|hierarchy| holder.frozen_cgroup(proc, hierarchy));
        process.legacy = waiting.get(&process.pid).and_then(|inodes| holder.legacy(proc, inodes));
    });
}

/// Names of users. Each is looked up once, as a look-up may ask a directory server
/// (nsswitch.conf(5)).
#[derive(Debug, Default)]
pub struct Users(HashMap<u32, Option<Arc<str>>>);

impl Users {
    /// The name of a user, if it has one.
    pub fn name(&mut self, uid: u32) -> Option<Arc<str>> {
        let look_up = || crate::platform::users::name_of(uid).map(Into::into);
        self.0.entry(uid).or_insert_with(look_up).clone()
    }
}
