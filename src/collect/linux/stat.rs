//! /proc/PID/stat (proc_pid_stat(5)): what anybody may read of a process.

use std::fs;
use std::path::Path;

use crate::model::Pid;

/// The fields that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `T`, `Z` and the like.
    pub state: char,
    /// The process that started it, or adopted it.
    pub parent: Pid,
    /// The process that opened its session.
    pub session: Pid,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

impl Stat {
    /// Of the process with this directory below /proc. `None` if it has ended.
    pub fn read(directory: &Path) -> Option<Self> {
        Self::parse(&fs::read(directory.join("stat")).ok()?)
    }

    /// The name of a process may contain anything, closing brackets and half of a character too: what comes after the
    /// last bracket counts.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let name_end = line.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(line.get(name_end + 1..)?).ok()?;
        // Fields are numbered from 1: state 3, parent 4, group 5, session 6, start 22.
        let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
        let number = |field: usize| fields.get(field - 3)?.parse().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: Pid::try_from(number(4)?).ok()?,
            session: Pid::try_from(number(6)?).ok()?,
            started: number(22)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_hostile_name() {
        let line = b"42 (a) S 1 (x\xff) T 7 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'T', parent: 7, session: 39, started: 98765 }));
        for broken in ["", "42", "42 (x", "42 (x)", "42 (x) S 1"] {
            assert_eq!(Stat::parse(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn this_test_has_its_parent() {
        let own = Stat::read(Path::new("/proc/self")).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
    }
}
