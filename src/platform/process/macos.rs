//! Processes by their ids and the second in which they started. macOS has nothing like a pidfd, and
//! reuses an id only after all others were used.

use std::io;

use rustix::process::kill_process;
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

pub use super::not_linux::{ids_are_ours, seat, stop_command};
pub use super::polling::wait_for_exits;
pub use super::unix::may_signal;

use super::unix::raw_signal;
use crate::error::Error;
use crate::model::Pid;
use crate::platform::Signal;

/// A process, recognised by its start.
#[derive(Debug)]
pub struct Handle {
    pid: Pid,
    /// In seconds since 1970.
    started: u64,
}

impl Handle {
    /// Remembers the process that has the id `pid` now. `None` if it has ended.
    pub fn open(pid: Pid) -> Result<Option<Self>, Error> {
        Ok(look(pid)?.map(|(started, _)| Self { pid, started }))
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.status().is_some()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        !self.is_alive()
    }

    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.status() == Some(ProcessStatus::Stop)
    }

    /// Whether it has one of these sockets open. Only the socket table tells that on macOS.
    #[expect(clippy::unused_self, reason = "other systems ask the handle")]
    pub fn has_open(&self, _inodes: &[u64]) -> bool {
        false
    }

    /// Sends a signal to this process. Between the check of its start and the signal, the id could
    /// go to another process only if all other ids were used in that moment.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let raw = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        let pid = raw.filter(|_| self.is_alive()).ok_or(rustix::io::Errno::SRCH)?;
        Ok(kill_process(pid, raw_signal(signal))?)
    }

    fn status(&self) -> Option<ProcessStatus> {
        let (started, status) = look(self.pid).ok()??;
        (started == self.started).then_some(status)
    }
}

/// When a process started, and its state. `None` if it has ended, even if nobody has waited for it
/// yet.
fn look(pid: Pid) -> Result<Option<(u64, ProcessStatus)>, Error> {
    let failed = |error: String| Error::Call { call: "sysinfo's start", source: io::Error::other(error) };
    let mut system = System::new().map_err(|error| failed(error.to_string()))?;
    let pid = sysinfo::Pid::from_u32(pid);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    let found = system.process(pid).filter(|process| process.status() != ProcessStatus::Zombie);
    Ok(found.map(|process| (process.start_time(), process.status())))
}

/// A process needs no descriptor on macOS.
pub fn allow_descriptors(_count: usize) {}
