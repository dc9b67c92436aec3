//! Leases, holds and commands on Linux.
//!
//! A lease is an abstract unix socket named after the port (unix(7)). The kernel lets nobody else have the name, whatever
//! user they are and whatever files they see; it is known in one network namespace, as the port itself; and it is gone
//! with the last process that has it open, so nothing is ever left behind.

mod command;
mod daemon;
mod lock;
mod packets;
mod protocol;
mod registry;
mod start;

pub use command::{Inheritance, become_command};
pub use daemon::serve;
pub use lock::{Lock, lock};
pub use registry::{leases, reclaim, release};
pub use start::{Keeping, Kept, keep};

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid as RawPid, PidfdFlags, getppid, pidfd_open};

use crate::collect::Stat;
use crate::model::{Pid, name_or_stand_in};

/// Whether a bound socket can keep a port for a server that binds it too.
pub const CAN_HOLD: bool = true;

/// Whether a server on one address and one on all can have the same port: never without being seen by an exclusive bind.
pub const LETS_COEXIST: bool = false;

/// A process that is watched: a number alone may soon be another process.
#[derive(Debug)]
pub struct Watched {
    /// Its id, in our pid namespace.
    pub pid: Pid,
    /// What it calls itself.
    pub name: String,
    /// Can be polled for its end (pidfd_open(2)).
    pub descriptor: OwnedFd,
}

/// Watches the process `pid`.
///
/// # Errors
///
/// If there is none, or a sandbox forbids it.
pub fn watch(pid: Pid) -> io::Result<Watched> {
    let raw = i32::try_from(pid).ok().and_then(RawPid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let descriptor = pidfd_open(raw, PidfdFlags::empty())?;
    Ok(Watched { pid, name: name_of(pid), descriptor })
}

/// Watches the process that called us. `None` if it has ended already, or is out of sight.
#[must_use]
pub fn watch_caller() -> Option<Watched> {
    let parent = getppid();
    let watched = watch(caller()?).ok()?;
    // Had our parent ended in between, we would have another by now, and the number might be anybody's.
    (getppid() == parent).then_some(watched)
}

/// The process that called us: our parent, or if that is a subshell, the shell itself. In
/// `port=$(cd app; portcheck --free --hold)` the subshell has ended when the port is used.
fn caller() -> Option<Pid> {
    /// Nobody nests subshells deeper.
    const MOST_SUBSHELLS: usize = 16;
    let mut pid = Pid::try_from(getppid()?.as_raw_nonzero().get()).ok()?;
    for _ in 0..MOST_SUBSHELLS {
        match parent_of(pid) {
            Some(parent) if is_copy_of(pid, parent) => pid = parent,
            _ => break,
        }
    }
    Some(pid)
}

/// Whether a process was forked from another and has not become a program of its own: same file, same command line.
fn is_copy_of(pid: Pid, parent: Pid) -> bool {
    let exe = |pid: Pid| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let command_line = |pid: Pid| fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty());
    exe(pid).is_some_and(|own| exe(parent) == Some(own))
        && command_line(pid).is_some_and(|own| command_line(parent) == Some(own))
}

fn parent_of(pid: Pid) -> Option<Pid> {
    Stat::read(Path::new(&format!("/proc/{pid}"))).map(|stat| stat.parent).filter(|&parent| parent != 0)
}

fn name_of(pid: Pid) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
    name_or_stand_in(String::from_utf8_lossy(&name).trim_end_matches('\n'), exe.as_deref(), &[])
}

/// Names our pid namespace: the same number means the same process only within one.
fn pid_namespace() -> String {
    fs::read_link(Path::new("/proc/self/ns/pid")).unwrap_or_default().to_string_lossy().into_owned()
}
