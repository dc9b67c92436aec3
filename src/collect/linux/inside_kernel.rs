//! Finds the processes that have sockets open by a program inside the kernel, which walks all
//! descriptors: the iterators `task` and `task_file` (kernel/bpf/task_iter.c).
//!
//! It has the result of the sweep for a small part of the time, but only root may use it. Wherever
//! anything of it fails, the sweep runs instead, without a message.

pub mod btf;
mod calls;
mod instructions;
mod programs;
mod types;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, SecureComputingMode, capabilities, secure_computing_mode};

use self::btf::Layout;
use self::programs::{RECORD, UNSURE};
use self::types::Types;
use super::host;
use crate::model::Pid;

/// The inode of a socket, a process that has it open, and the number of its descriptor.
pub type Held = (u64, Pid, u32);

/// The sockets `wanted` (ascending inodes), each with the processes that have it open and the
/// numbers of their descriptors, ascending. `None` if the sweep is faster, or this way is closed.
pub fn find(proc: &Path, wanted: &[u64]) -> Option<Vec<Held>> {
    let release = host::release()?;
    let is_worthwhile = || open_files(proc).is_some_and(|open| open >= worthwhile(&release));
    if wanted.is_empty() || !is_worthwhile() || !is_possible(proc, &release) {
        return None;
    }
    let mut found = walk(kernel()?, wanted)?;
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// Fewer open files are swept faster than the kernel's types are looked through, which takes
/// longer where they cannot be mapped.
fn worthwhile(release: &str) -> u64 {
    if host::is_at_least(release, (6, 16)) { 1_000 } else { 4_000 }
}

fn open_files(proc: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(proc.join("sys/fs/file-nr")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Whether the numbers of processes are those in `proc`, nothing there is hidden, and the call is
/// likely to be allowed.
fn is_possible(proc: &Path, release: &str) -> bool {
    // Where the order of reads in the programs is known to be kept.
    cfg!(all(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"), target_endian = "little"))
        && rustix::process::geteuid().is_root()
        // A filter may end a process for a call.
        && secure_computing_mode() == Ok(SecureComputingMode::Disabled)
        // What the sweep could not read must not pass for read.
        && capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
        // Before Linux 5.11 the walk could stall at tasks without descriptors.
        && host::is_at_least(release, (5, 11))
        && host::sees_every_pid_namespace(proc)
        && proc.join("1").exists()
}

/// What the programs have to know of the kernel stays the same, so it is read once.
fn kernel() -> Option<&'static Layout> {
    static KERNEL: OnceLock<Option<Layout>> = OnceLock::new();
    let read = || {
        let types = Types::open()?;
        // To look through the types takes longest, so it is asked first whether they are of use.
        if may_load() { types.look(btf::find) } else { None }
    };
    KERNEL.get_or_init(read).as_ref()
}

/// Whether the kernel would load a program. An empty one for a type that is no function is always
/// refused; the error tells whether that is the reason.
fn may_load() -> bool {
    const NO_FUNCTION: u32 = 1;
    calls::load(&programs::empty(), NO_FUNCTION).is_err_and(|errno| errno == Errno::INVAL)
}

fn walk(layout: &Layout, wanted: &[u64]) -> Option<Vec<Held>> {
    let Some((mut found, mut unsure)) = walk_tasks(layout, wanted) else {
        return walk_descriptors(layout, wanted);
    };
    if !unsure.is_empty() {
        unsure.sort_unstable();
        found.retain(|(_, pid, _)| unsure.binary_search(pid).is_err());
        found.extend(walk_processes(layout, wanted, &unsure)?);
    }
    Some(found)
}

/// Lets a program read the descriptors of each task, since Linux 6.9. Gives also the processes
/// that were not seen whole.
fn walk_tasks(layout: &Layout, wanted: &[u64]) -> Option<(Vec<Held>, Vec<Pid>)> {
    let program = calls::load(&programs::of_task(layout, wanted)?, layout.tasks).ok()?;
    read(&calls::iterate(&program).ok()?, wanted)
}

/// Lets the kernel show each descriptor to a program. It takes seven times as long, as the kernel
/// counts each use of a file.
fn walk_descriptors(layout: &Layout, wanted: &[u64]) -> Option<Vec<Held>> {
    let program = calls::load(&programs::of_descriptor(layout, wanted), layout.descriptors).ok()?;
    read(&calls::iterate(&program).ok()?, wanted).map(|(found, _)| found)
}

/// The same for the descriptors of these processes alone, since Linux 6.1.
fn walk_processes(layout: &Layout, wanted: &[u64], pids: &[Pid]) -> Option<Vec<Held>> {
    let program = calls::load(&programs::of_descriptor(layout, wanted), layout.descriptors).ok()?;
    let mut all = Vec::new();
    for &pid in pids {
        let (found, _) = read(&calls::iterate_process(&program, pid).ok()?, wanted)?;
        all.extend(found);
    }
    Some(all)
}

/// Runs the program of an iterator to its end. Gives what was found, and the processes that were
/// not seen whole.
fn read(iterator: &OwnedFd, wanted: &[u64]) -> Option<(Vec<Held>, Vec<Pid>)> {
    // After a million objects without a record, the kernel lets others run.
    const PAUSES: u32 = 10_000;
    // With pages of 4 KiB, the kernel hands out no more at a time.
    let mut buffer = vec![0; 2048 * RECORD];
    let (mut found, mut unsure, mut pauses) = (Vec::new(), Vec::new(), 0);
    loop {
        let records = match rustix::io::read(iterator, &mut buffer[..]) {
            Ok(0) => return Some((found, unsure)),
            Ok(length) => buffer[..length].as_chunks::<RECORD>(),
            Err(Errno::AGAIN | Errno::INTR) if pauses < PAUSES => {
                pauses += 1;
                continue;
            }
            Err(_) => return None,
        };
        // The kernel writes whole records.
        let (records, []) = records else { return None };
        for record in records {
            let (pid, rest) = record.split_first_chunk()?;
            let (number, rest) = rest.split_first_chunk()?;
            let (pid, number) = (u32::from_ne_bytes(*pid), u32::from_ne_bytes(*number));
            let inode = u64::from_ne_bytes(*rest.first_chunk()?);
            if number == UNSURE {
                unsure.push(pid);
            } else if wanted.binary_search(&inode).is_ok() {
                found.push((inode, pid, number));
            }
        }
    }
}

#[cfg(test)]
#[path = "inside_kernel/tests.rs"]
mod tests;
