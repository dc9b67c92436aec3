//! Processes by their handles. While a handle is open, Windows does not reuse the id.

use std::fmt;
use std::io;

use winsafe::guard::CloseHandleGuard;
use winsafe::{HPROCESS, co};

pub use super::not_linux::{ids_are_ours, seat, stop_command};
pub use super::polling::wait_for_exits;

use crate::error::Error;
use crate::model::Pid;
use crate::platform::Signal;

/// The exit code of a process that is ended from outside, as `taskkill /F` sets it.
const ENDED: u32 = 1;

/// A process, even if it ends.
pub struct Handle {
    pid: Pid,
    /// `None` if this user may not even query it.
    process: Option<CloseHandleGuard<HPROCESS>>,
    /// Whether this user may end it.
    is_ours: bool,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("pid", &self.pid).field("is_ours", &self.is_ours).finish_non_exhaustive()
    }
}

impl Handle {
    /// Opens the process that has the id `pid` now. `None` if it has ended.
    pub fn open(pid: Pid) -> Result<Option<Self>, Error> {
        let ask = co::PROCESS::QUERY_LIMITED_INFORMATION | co::PROCESS::SYNCHRONIZE;
        let handle = match HPROCESS::OpenProcess(ask | co::PROCESS::TERMINATE, false, pid) {
            // Windows rounds any id down to a multiple of four.
            Ok(process) if process.GetProcessId().is_ok_and(|id| id != pid) => return Ok(None),
            Ok(process) => Self { pid, process: Some(process), is_ours: true },
            Err(co::ERROR::ACCESS_DENIED) => {
                Self { pid, process: HPROCESS::OpenProcess(ask, false, pid).ok(), is_ours: false }
            }
            // No process has the id, or it is 0.
            Err(co::ERROR::INVALID_PARAMETER) => return Ok(None),
            Err(error) => return Err(Error::Call { call: "OpenProcess", source: to_io(error) }),
        };
        Ok((!handle.has_ended()).then_some(handle))
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        !self.has_ended()
    }

    /// Whether it has ended: then its handle is signalled.
    pub fn has_ended(&self) -> bool {
        match &self.process {
            Some(process) => process.WaitForSingleObject(Some(0)).is_ok_and(|what| what == co::WAIT::OBJECT_0),
            // If we may not query it, we know only whether a process with its id exists.
            None => {
                let again = HPROCESS::OpenProcess(co::PROCESS::SYNCHRONIZE, false, self.pid);
                again.is_err_and(|error| error == co::ERROR::INVALID_PARAMETER)
            }
        }
    }

    /// Whether it is stopped. Windows does not report that.
    #[expect(clippy::unused_self, reason = "other systems ask the handle")]
    pub fn is_stopped(&self) -> bool {
        false
    }

    /// Whether it has one of these sockets open. Only the socket table tells that on Windows.
    #[expect(clippy::unused_self, reason = "other systems ask the handle")]
    pub fn has_open(&self, _inodes: &[u64]) -> bool {
        false
    }

    /// Ends this process, never a later one with the same id. Windows has no signals, so each of
    /// them does this.
    pub fn signal(&self, _signal: Signal) -> io::Result<()> {
        match &self.process {
            Some(process) if self.is_ours => process.TerminateProcess(ENDED).map_err(to_io),
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

fn to_io(error: co::ERROR) -> io::Error {
    io::Error::from_raw_os_error(error.raw().cast_signed())
}

/// Handles are not scarce on Windows.
pub fn allow_descriptors(_count: usize) {}

/// An attempt to end it will say so.
pub fn may_signal(_pid: Pid) -> bool {
    true
}
