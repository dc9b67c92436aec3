//! Reads the sockets of other network namespaces, in threads of their own: a thread that has entered one ends afterwards, and
//! no other thread ever leaves ours.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Neighbour;
use crate::collect::Scope;
use crate::collect::linux::device_name;
use crate::collect::linux::sock_diag::Entry;
use crate::collect::linux::tables::Tables;
use crate::error::Error;
use crate::model::{Gap, Pid};
use crate::platform::threads;

/// What was read in a namespace.
#[derive(Debug)]
pub struct Reading {
    /// Its sockets, each with the namespace.
    pub entries: Vec<Entry>,
    /// How it was read.
    pub by: By,
}

/// How a namespace was read.
#[derive(Debug)]
pub enum By {
    /// From inside, but for these gaps.
    Entering(Vec<Gap>),
    /// From outside, by the text that one of its processes sees.
    Text,
}

/// Reads the sockets that `scope` asks for in each of `neighbours`. `None` for one that cannot be read, or is gone.
pub fn read_all(proc: &Path, scope: &Scope, neighbours: &[&Neighbour]) -> Vec<Option<Reading>> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut readings = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(neighbour) = neighbours.get(index) else { return readings };
            readings.push((index, neighbour.read(proc, scope)));
        }
    };
    let threads = threads::most().min(neighbours.len());
    let mut all: Vec<Option<Reading>> = neighbours.iter().map(|_| None).collect();
    thread::scope(|scope| {
        let spawned: Vec<_> =
            (0..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, worker).ok()).collect();
        for handle in spawned {
            match handle.join() {
                Ok(readings) => readings.into_iter().for_each(|(index, reading)| all[index] = reading),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all
}

impl Neighbour {
    /// Reads the sockets, from inside if this thread may enter. It stays there.
    fn read(&self, proc: &Path, scope: &Scope) -> Option<Reading> {
        let entered = self.open(proc).is_some_and(|file| enter(&file).is_ok());
        let (mut entries, by) = if entered {
            let mut tables = Tables::open(Path::new("/proc/thread-self"));
            let entries = tables.read_elsewhere(scope).ok()?;
            (entries, By::Entering(tables.into_gaps()))
        } else {
            (self.read_text(proc, scope)?, By::Text)
        };
        for entry in &mut entries {
            // Only in here does the number of a device mean this one.
            if entered && entry.interface != 0 {
                entry.socket.device = device_name(std::mem::take(&mut entry.interface));
            }
            entry.socket.namespace = Some(Box::new(self.namespace.clone()));
        }
        Some(Reading { entries, by })
    }

    /// What a process in there sees. Anybody may read that.
    fn read_text(&self, proc: &Path, scope: &Scope) -> Option<Vec<Entry>> {
        let root = File::open(proc).ok()?;
        let read =
            |pid: Pid| -> Result<Vec<Entry>, Error> { Tables::text(proc.join(pid.to_string())).read_elsewhere(scope) };
        self.pids.iter().find_map(|&pid| {
            let entries = self.has(&root, pid).then(|| read(pid).ok())??;
            // Its id may have become another's meanwhile.
            self.has(&root, pid).then_some(entries)
        })
    }
}

/// Moves this thread into a network namespace.
pub fn enter(namespace: &impl AsFd) -> Result<(), rustix::io::Errno> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}
