//! Finds the processes that have sockets open by a program inside the kernel, which walks all
//! descriptors: the iterator `task_file`.
//!
//! It has the result of the sweep for a tenth of the time, but only root may use it. Wherever
//! anything of it fails, nothing is said, and the sweep runs.

pub mod btf;
mod calls;
mod program;
mod types;

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, SecureComputingMode, capabilities, secure_computing_mode};

use self::btf::Layout;
use self::program::{FEW, RECORD};
use self::types::Types;
use super::host;
use crate::model::Pid;

/// Fewer open files are swept faster than the kernel's types are read.
const WORTHWHILE: u64 = 4_000;

/// The sockets `wanted` (ascending inodes), each with the processes that have it open and the
/// numbers of their descriptors, ascending. `None` if the sweep is faster, or this way is closed.
pub fn find(proc: &Path, wanted: &[u64]) -> Option<Vec<(u64, Pid, u32)>> {
    (!wanted.is_empty() && is_worthwhile(proc) && is_possible(proc)).then(|| walk(wanted))?
}

fn is_worthwhile(proc: &Path) -> bool {
    let open = std::fs::read_to_string(proc.join("sys/fs/file-nr")).ok();
    let open = open.and_then(|text| text.split_ascii_whitespace().next()?.parse().ok());
    open.is_some_and(|open: u64| open >= WORTHWHILE)
}

/// Whether the numbers of processes are those in `proc`, nothing there is hidden, and the call is
/// likely to be allowed.
fn is_possible(proc: &Path) -> bool {
    cfg!(all(target_pointer_width = "64", target_endian = "little"))
        && rustix::process::geteuid().is_root()
        // A filter may end a process for a call.
        && secure_computing_mode() == Ok(SecureComputingMode::Disabled)
        // What the sweep could not read must not pass for read.
        && capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
        // Before, the walk could stall at tasks without descriptors.
        && host::release().is_some_and(|release| host::is_at_least(&release, (5, 11)))
        && host::sees_every_pid_namespace(proc)
        && proc.join("1").exists()
}

fn walk(wanted: &[u64]) -> Option<Vec<(u64, Pid, u32)>> {
    let (layout, operations) = kernel()?;
    let program = calls::load(&program::program(&layout, operations, wanted), layout.function).ok()?;
    let mut found = Vec::new();
    read(&calls::iterate(&program).ok()?, |pid, number, inode| {
        if wanted.len() <= FEW || wanted.binary_search(&inode).is_ok() {
            found.push((inode, pid, number));
        }
    })?;
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// What the program has to know of the kernel: its types, and the address of `socket_file_ops`
/// (net/socket.c). They stay the same, so they are read once.
fn kernel() -> Option<(Layout, u64)> {
    static KERNEL: OnceLock<Option<(Layout, u64)>> = OnceLock::new();
    *KERNEL.get_or_init(|| {
        let types = Types::open()?;
        // To read the types takes longest. So this is known first.
        let layout = if may_load() { types.look(btf::find)? } else { return None };
        Some((layout, socket_operations(&layout)?))
    })
}

/// Learns the address from a socket of our own.
fn socket_operations(layout: &Layout) -> Option<u64> {
    let (socket, _) = UnixStream::pair().ok()?;
    let (process, number) = (std::process::id(), u32::try_from(socket.as_raw_fd()).ok()?);
    let program = calls::load(&program::learning(layout, process), layout.function).ok()?;
    // Where one process alone cannot be asked for, the program passes over the others.
    let iterator = calls::iterate_process(&program, process).or_else(|_| calls::iterate(&program)).ok()?;
    let mut operations = None;
    read(&iterator, |_, of, address| operations = operations.or((of == number).then_some(address)))?;
    operations
}

/// Whether the kernel would load a program. It refuses a type that is no function, but only if it
/// allows this process to load anything.
fn may_load() -> bool {
    const NO_FUNCTION: u32 = 1;
    calls::load(&program::EMPTY, NO_FUNCTION).is_err_and(|errno| errno == Errno::INVAL)
}

/// Runs the program, and calls `each` with the process, the descriptor and the rest of each record.
fn read(iterator: &OwnedFd, mut each: impl FnMut(Pid, u32, u64)) -> Option<()> {
    // After a million descriptors without a record, the kernel lets others run.
    const PAUSES: u32 = 10_000;
    // The kernel hands out no more at a time.
    let mut buffer = vec![0; 2048 * RECORD];
    let mut pauses = 0;
    loop {
        let records = match rustix::io::read(iterator, &mut buffer[..]) {
            Ok(0) => return Some(()),
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
            let rest = u64::from_ne_bytes(*rest.first_chunk()?);
            each(u32::from_ne_bytes(*pid), u32::from_ne_bytes(*number), rest);
        }
    }
}

#[cfg(test)]
#[path = "task_file/tests.rs"]
mod tests;
