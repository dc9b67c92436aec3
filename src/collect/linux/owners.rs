//! Finds the processes that have sockets open: the sweep of /proc/PID/fd (proc_pid_fd(5)).
//!
//! The kernel has no index from a socket to its holders, so every readable descriptor of every
//! process is read. This takes most of the program's time. So the loop over descriptors allocates
//! nothing, and runs in as many threads as there are processors.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::RawDir;
use rustix::io::Errno;

use super::empty::Counter;
use super::inside_kernel::{self, Held};
use super::pids::{is_gone, list_pids, open_directory};
use crate::error::Error;
use crate::model::{Descriptor, Pid};
use crate::platform::proc::parse_socket_link;
use crate::platform::threads;

/// What a sweep found, and what it could not inspect.
#[derive(Debug, Default)]
pub struct Sweep {
    /// The descriptors of the sockets, ascending.
    pub found: Vec<Held>,
    /// Processes whose descriptors could not be read, ascending.
    pub unreadable: Vec<Pid>,
    /// Whether /proc hides the processes of other users (`hidepid=2`, proc(5)).
    pub others_invisible: bool,
}

impl Sweep {
    /// The processes that have the socket open.
    pub fn owners_of(&self, inode: u64) -> impl Iterator<Item = Pid> + '_ {
        let mut last = None;
        // A process may have several descriptors of it.
        self.descriptors_of(inode).map(|of| of.pid).filter(move |&pid| last.replace(pid) != Some(pid))
    }

    /// The descriptors of the socket, each with its process.
    pub fn descriptors_of(&self, inode: u64) -> impl Iterator<Item = Descriptor> + '_ {
        let start = self.found.partition_point(|&(found, ..)| found < inode);
        let own = self.found[start..].iter().take_while(move |&&(found, ..)| found == inode);
        own.map(|&(_, pid, number)| Descriptor { pid, number })
    }

    /// Adds what another sweep found.
    pub fn add(&mut self, other: Self) {
        merge(&mut self.found, other.found);
        merge(&mut self.unreadable, other.unreadable);
        self.others_invisible |= other.others_invisible;
    }

    /// Whether every process of this pid namespace was inspected.
    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty() && !self.others_invisible
    }
}

/// Adds to an ascending list what it does not have yet.
fn merge<T: Ord>(own: &mut Vec<T>, other: Vec<T>) {
    if own.is_empty() {
        *own = other;
    } else {
        own.extend(other);
    }
    own.sort_unstable();
    own.dedup();
}

/// Looks for the sockets `wanted` (ascending inodes): inside the kernel where that is faster and
/// allowed, and else by a sweep.
pub fn find(proc: &Path, wanted: &[u64]) -> Result<Sweep, Error> {
    match inside_kernel::find(proc, wanted) {
        Some(mut found) => {
            forget_ourselves(&mut found);
            Ok(Sweep { found, ..Sweep::default() })
        }
        None => sweep(proc, wanted),
    }
}

/// Looks for the sockets `wanted` (ascending inodes) in the descriptors of all processes under
/// `proc`.
///
/// Processes that end meanwhile are skipped.
pub fn sweep(proc: &Path, wanted: &[u64]) -> Result<Sweep, Error> {
    if wanted.is_empty() {
        return Ok(Sweep::default());
    }
    let read = |source: io::Error| Error::Read { path: proc.to_owned(), source };
    let root = File::open(proc).map_err(read)?;
    let pids = list_pids(&root).map_err(|errno| read(errno.into()))?;
    if pids.is_empty() {
        return Err(read(io::Error::new(io::ErrorKind::NotFound, "it lists no process: procfs is not mounted there")));
    }
    // Every pid namespace has a process 1. If it cannot be seen, others cannot either.
    let others_invisible = pids.binary_search(&1).is_err();

    let next = AtomicUsize::new(0);
    let counter = Counter::new(&root);
    let worker = || sweep_some(&root, &counter, &pids, &next, wanted);
    let threads = threads::most().min(pids.len().div_ceil(CHUNK)).max(1);
    let mut sweep = thread::scope(|scope| {
        let spawned: Vec<_> =
            (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, worker).ok()).collect();
        let mut merged = Sweep::default();
        merged.add(worker());
        for handle in spawned {
            // A worker has nothing that panics. If one did, its processes would be missing, and
            // that must not pass for "nobody".
            match handle.join() {
                Ok(part) => merged.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        merged
    });
    forget_ourselves(&mut sweep.found);
    sweep.others_invisible = others_invisible;
    Ok(sweep)
}

/// Leaves out this process where others have the socket, too. It inherited the socket from them,
/// and ends before anybody reads the answer.
pub fn forget_ourselves(found: &mut Vec<Held>) {
    let own = std::process::id();
    let is_own = |&(_, pid, _): &Held| pid == own;
    let shared: Vec<u64> = found
        .chunk_by(|a, b| a.0 == b.0)
        .filter(|owners| owners.iter().any(is_own) && !owners.iter().all(is_own))
        .map(|owners| owners[0].0)
        .collect();
    found.retain(|&(inode, pid, _)| pid != own || shared.binary_search(&inode).is_err());
}

/// How many processes a thread takes at a time. Few, since one of them may have a million
/// descriptors.
const CHUNK: usize = 8;

fn sweep_some(root: &File, counter: &Counter<'_>, pids: &[Pid], next: &AtomicUsize, wanted: &[u64]) -> Sweep {
    let mut sweep = Sweep::default();
    let mut buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER];
    loop {
        let start = next.fetch_add(CHUNK, Ordering::Relaxed);
        let Some(chunk) = pids.get(start..pids.len().min(start + CHUNK)) else { return sweep };
        for &pid in chunk {
            match sockets_of(root, &format!("{pid}/fd"), &mut buffer, |inode, number| {
                if wanted.binary_search(&inode).is_ok() {
                    sweep.found.push((inode, pid, number));
                }
            }) {
                Ok(()) => {}
                Err(errno) if is_gone(errno) => {}
                Err(_) if counter.is_empty(pid) => {}
                Err(_) => sweep.unreadable.push(pid),
            }
        }
    }
}

/// Room for about a thousand entries of a descriptor directory.
pub const DIRECTORY_BUFFER: usize = 32 * 1024;

/// Calls `each` with the inode of every socket among the descriptors in `directory` (below `root`),
/// and the number of the descriptor.
pub fn sockets_of(
    root: impl AsFd,
    directory: &str,
    buffer: &mut [MaybeUninit<u8>],
    mut each: impl FnMut(u64, u32),
) -> Result<(), Errno> {
    let descriptors = open_directory(root, directory)?;
    // `socket:[` and an inode of at most 20 digits. Anything longer is a path.
    let mut link = [MaybeUninit::uninit(); 32];
    let mut entries = RawDir::new(&descriptors, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes().first().is_none_or(|byte| !byte.is_ascii_digit()) {
            continue;
        }
        match rustix::fs::readlinkat_raw(&descriptors, name, &mut link) {
            Ok((target, _)) => {
                if let Some(inode) = parse_socket_link(target) {
                    each(inode, parse_number(name.to_bytes()));
                }
            }
            // It was closed after it was listed.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The number that the kernel has written as the name of a descriptor.
fn parse_number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number: u32, digit| number.wrapping_mul(10).wrapping_add((digit & 0xf).into()))
}

/// The inodes of all sockets that a process has descriptors of. `None` if these cannot be read.
pub fn sockets_of_process(proc: &Path, pid: Pid) -> Option<Vec<u64>> {
    let mut inodes = Vec::new();
    let mut buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER];
    let root = File::open(proc).ok()?;
    sockets_of(root, &format!("{pid}/fd"), &mut buffer, |inode, _| inodes.push(inode)).ok()?;
    Some(inodes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A /proc made by hand: two processes share a socket, one has ended between two looks.
    #[test]
    fn all_processes_with_the_socket_are_found() {
        let root = tempfile::tempdir().unwrap();
        for (pid, links) in
            [("1", vec!["socket:[7]", "/dev/null"]), ("20", vec!["socket:[7]", "socket:[8]", "socket:[7]"])]
        {
            let fd = root.path().join(pid).join("fd");
            fs::create_dir_all(&fd).unwrap();
            for (number, link) in links.iter().enumerate() {
                symlink(link, fd.join(number.to_string())).unwrap();
            }
        }
        fs::create_dir_all(root.path().join("30")).unwrap();
        fs::create_dir_all(root.path().join("sys")).unwrap();
        let sweep = sweep(root.path(), &[7, 9]).unwrap();
        assert_eq!(sweep.found, [(7, 1, 0), (7, 20, 0), (7, 20, 2)]);
        assert_eq!(sweep.owners_of(7).collect::<Vec<_>>(), [1, 20]);
        assert_eq!(sweep.owners_of(8).count(), 0);
        let descriptors: Vec<_> = sweep.descriptors_of(7).map(|of| (of.pid, of.number)).collect();
        assert_eq!(descriptors, [(1, 0), (20, 0), (20, 2)]);
        assert!(sweep.is_complete());
    }

    /// Regression: the descriptors of portcheck itself were told, though not portcheck.
    #[test]
    fn what_we_inherited_is_told_of_nobody_else() {
        let own = std::process::id();
        let mut found = vec![(7, own, 3), (7, own, 4), (7, own + 1, 3), (8, own, 5), (8, own, 6)];
        forget_ourselves(&mut found);
        assert_eq!(found, [(7, own + 1, 3), (8, own, 5), (8, own, 6)]);
    }

    #[test]
    fn a_proc_without_process_1_hides_others() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("20/fd")).unwrap();
        assert!(sweep(root.path(), &[7]).unwrap().others_invisible);
    }

    #[test]
    fn nothing_wanted_is_nothing_done() {
        assert!(sweep(Path::new("/nonexistent"), &[]).unwrap().found.is_empty());
        assert!(sweep(Path::new("/nonexistent"), &[1]).is_err());
    }
}
