//! Leases, holds and commands on Linux.
//!
//! A lease is an abstract unix socket named after the port (unix(7)). The kernel lets nobody else have the name, whatever
//! user they are and whatever files they see; it is known in one network namespace, as the port itself; and it is gone
//! with the last process that has it open, so nothing is ever left behind.

mod keeper;
mod lock;
mod message;
mod register;
mod run;

pub use keeper::{Kept, keep, serve};
pub use lock::{Lock, lock};
pub use register::{Release, leases, reclaim, release};
pub use run::{Inheritance, Limit, become_command, make_room};

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{Pid as RawPid, PidfdFlags, getppid, pidfd_open};

use crate::model::Pid;

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
    let parent = getppid()?;
    let watched = watch(Pid::try_from(parent.as_raw_nonzero().get()).ok()?).ok()?;
    // Had it ended in between, we would have another parent by now, and the number might be anybody's.
    (getppid() == Some(parent)).then_some(watched)
}

/// The id of the process that called us; 0 if it is out of sight.
fn caller() -> Pid {
    getppid().and_then(|pid| Pid::try_from(pid.as_raw_nonzero().get()).ok()).unwrap_or(0)
}

fn name_of(pid: Pid) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned()
}

/// Names our pid namespace: the same number means the same process only within one.
fn pid_namespace() -> String {
    fs::read_link(Path::new("/proc/self/ns/pid")).unwrap_or_default().to_string_lossy().into_owned()
}
