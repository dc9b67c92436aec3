//! What processes of all Unix systems have in common.

use rustix::io::Errno;
use rustix::process::{Signal as Raw, test_kill_process};

use crate::model::Pid;
use crate::platform::Signal;

/// The signal as the system knows it.
pub fn raw_signal(signal: Signal) -> Raw {
    match signal {
        Signal::Hup => Raw::HUP,
        Signal::Int => Raw::INT,
        Signal::Quit => Raw::QUIT,
        Signal::Abrt => Raw::ABORT,
        Signal::Kill => Raw::KILL,
        Signal::Alrm => Raw::ALARM,
        Signal::Term => Raw::TERM,
        Signal::Usr1 => Raw::USR1,
        Signal::Usr2 => Raw::USR2,
        Signal::Cont => Raw::CONT,
    }
}

/// Whether this user may send signals to a process. True if the process has ended.
pub fn may_signal(pid: Pid) -> bool {
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    raw.is_none_or(|raw| test_kill_process(raw) != Err(Errno::PERM))
}
