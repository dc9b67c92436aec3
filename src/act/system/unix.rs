//! What processes of all Unix systems have in common.

use rustix::process::Signal as Raw;

use crate::act::Signal;

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
