//! Signals that can end a process, by their names in signal(7).

use std::fmt;

use crate::platform::machine::IS_WINDOWS;

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP.
    Hup,
    /// SIGINT, as Ctrl-C sends it.
    Int,
    /// SIGQUIT: ends with a core dump.
    Quit,
    /// SIGABRT.
    Abrt,
    /// SIGKILL: cannot be caught.
    Kill,
    /// SIGALRM.
    Alrm,
    /// SIGTERM: asks to end.
    Term,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGCONT: lets a stopped process run. Nobody can ask for it, as it ends no process.
    Cont,
}

impl Default for Signal {
    /// The same as [`Signal::USUAL`].
    fn default() -> Self {
        if IS_WINDOWS { Self::Kill } else { Self::Term }
    }
}

impl Signal {
    /// The signal that is used by default. Windows cannot ask a process to end, only end it
    /// (TerminateProcess), as SIGKILL does.
    pub const USUAL: &str = if IS_WINDOWS { "KILL" } else { "TERM" };

    /// The signals that can be asked for, with the numbers that POSIX fixes for kill(1). Other
    /// numbers differ between architectures.
    const BY_NAME: [(Self, Option<u8>); 9] = [
        (Self::Hup, Some(1)),
        (Self::Int, Some(2)),
        (Self::Quit, Some(3)),
        (Self::Abrt, Some(6)),
        (Self::Kill, Some(9)),
        (Self::Alrm, Some(14)),
        (Self::Term, Some(15)),
        (Self::Usr1, None),
        (Self::Usr2, None),
    ];

    /// Reads `TERM`, `SIGTERM`, `term` or `15`.
    pub fn parse(typed: &str) -> Result<Self, String> {
        let upper = typed.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let fits = |&&(signal, number): &&(Self, Option<u8>)| {
            signal.name() == name || number.is_some_and(|number| number.to_string() == name)
        };
        match Self::BY_NAME.iter().find(fits) {
            Some((signal, _)) if IS_WINDOWS && *signal != Self::Kill => {
                Err("is not known to Windows, which ends processes at once: write KILL, or leave it out".to_owned())
            }
            Some((signal, _)) => Ok(*signal),
            None => {
                let names: Vec<&str> = Self::BY_NAME.iter().map(|(signal, _)| signal.name()).collect();
                Err(format!("is not a signal that ends a process: write one of {}", names.join(", ")))
            }
        }
    }

    /// The names of those that can be asked for.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "shells ask for them"))]
    pub fn names() -> impl Iterator<Item = &'static str> {
        let is_known = |signal: &Self| !IS_WINDOWS || *signal == Self::Kill;
        Self::BY_NAME.into_iter().map(|(signal, _)| signal).filter(is_known).map(Self::name)
    }

    /// Its name without `SIG`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Abrt => "ABRT",
            Self::Kill => "KILL",
            Self::Alrm => "ALRM",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Cont => "CONT",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIG{}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (typed, signal) in [
            ("TERM", Signal::Term),
            ("SIGTERM", Signal::Term),
            ("15", Signal::Term),
            ("int", Signal::Int),
            ("sigkill", Signal::Kill),
            ("9", Signal::Kill),
            ("USR1", Signal::Usr1),
        ] {
            let is_known = signal == Signal::Kill || !IS_WINDOWS;
            assert_eq!(Signal::parse(typed).ok(), is_known.then_some(signal), "{typed}");
        }
        for typed in ["", "SIG", "CONT", "STOP", "0", "19", "TERMS", "-9"] {
            assert!(Signal::parse(typed).is_err(), "{typed}");
        }
    }
}
