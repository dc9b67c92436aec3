//! What /proc says of a process: /proc/PID/stat (proc_pid_stat(5)), which anyone may read, status,
//! and the links of its descriptors.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::model::Pid;

/// The fields that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `T`, `Z` and the like.
    pub state: char,
    /// Whether it is ending: its sockets are about to be closed.
    pub is_ending: bool,
    /// The process that started it, or adopted it.
    pub parent: Pid,
    /// Its process group. A shell with job control makes one for each job.
    pub group: Pid,
    /// The process that opened its session.
    pub session: Pid,
    /// The foreground process group of its terminal. `None` without a terminal.
    pub foreground: Option<Pid>,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

impl Stat {
    /// Reads the process with this directory below /proc. `None` if it has ended.
    pub fn read(directory: &Path) -> Option<Self> {
        Self::parse(&fs::read(directory.join("stat")).ok()?)
    }

    /// The name of a process may contain anything, even closing brackets and invalid UTF-8. So the
    /// fields are read after the last bracket.
    pub fn parse(line: &[u8]) -> Option<Self> {
        /// include/linux/sched.h
        const PF_EXITING: u64 = 4;
        let name_end = line.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(line.get(name_end + 1..)?).ok()?;
        // Fields are numbered from 1: state 3, parent 4, group 5, session 6, foreground 8, flags 9,
        // start 22.
        let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
        let number = |field: usize| fields.get(field - 3)?.parse().ok();
        let pid = |field: usize| Pid::try_from(number(field)?).ok();
        let state = fields.first()?.chars().next()?;
        Some(Self {
            state,
            // A zombie has ended.
            is_ending: number(9)? & PF_EXITING != 0 && !matches!(state, 'Z' | 'X'),
            parent: pid(4)?,
            group: pid(5)?,
            session: pid(6)?,
            // -1 without a terminal.
            foreground: pid(8),
            started: number(22)?,
        })
    }

    /// When it started. At most a tick late, and never early, as the kernel truncates to a tick.
    pub fn started_at(&self) -> Option<SystemTime> {
        /// `USER_HZ` is 100 on every architecture that Rust builds for.
        const TICK: Duration = Duration::from_millis(10);
        let ticks = u32::try_from(self.started.checked_add(1)?).ok()?;
        let start = booted_at()?.checked_add(TICK.checked_mul(ticks)?)?;
        Some(start.min(SystemTime::now()))
    }
}

/// Whether the ids in /proc are those of our pid namespace. After `unshare --pid --fork`, /proc
/// still shows the outer namespace.
pub fn ids_are_ours() -> bool {
    let own = std::process::id().to_string();
    // A process has an id in the pid namespace of /proc, and in each one below it, down to its own
    // (proc_pid_status(5)). A kernel without pid namespaces prints only `Pid:`.
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status_field(&status, "NSpid").or_else(|| status_field(&status, "Pid")) == Some(&own))
}

/// The value of a line `NAME:\tVALUE`.
pub fn status_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The inode in `socket:[42380]`.
pub fn parse_socket_link(link: &[u8]) -> Option<u64> {
    parse_inode(link.strip_prefix(b"socket:[")?)
}

/// The inode in `net:[4026531840]`, the link to a network namespace (namespaces(7)).
pub fn parse_namespace_link(link: &[u8]) -> Option<u64> {
    parse_inode(link.strip_prefix(b"net:[")?)
}

/// The number in front of the closing bracket.
fn parse_inode(rest: &[u8]) -> Option<u64> {
    let digits = rest.strip_suffix(b"]")?;
    // There is no UTF-8 validation, as this runs once for each socket descriptor of the machine.
    digits.iter().try_fold(0u64, |inode, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        inode.checked_mul(10)?.checked_add(digit.into())
    })
}

/// When the machine started. Unlike `btime` in /proc/stat, this has the fraction of the second.
fn booted_at() -> Option<SystemTime> {
    let look = || {
        let uptime = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
        let now = SystemTime::now();
        let after = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
        Some((after.checked_sub(uptime)?, now.checked_sub(uptime)?))
    };
    // We may be interrupted between reading two clocks, so the fastest reading counts.
    std::iter::repeat_with(look).take(3).flatten().min().map(|(_, boot)| boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_links() {
        assert_eq!(parse_socket_link(b"socket:[42380]"), Some(42380));
        assert_eq!(parse_socket_link(b"socket:[18446744073709551615]"), Some(u64::MAX));
        for other in
            ["socket:[18446744073709551616]", "socket:[]x", "socket:[4 2]", "pipe:[1]", "/dev/null", "socket:[12"]
        {
            assert_eq!(parse_socket_link(other.as_bytes()), None, "{other}");
        }
        assert_eq!(parse_namespace_link(b"net:[4026531840]"), Some(4_026_531_840));
        assert_eq!((parse_namespace_link(b"mnt:[1]"), parse_namespace_link(b"net:[1")), (None, None));
    }

    #[test]
    fn a_line_with_a_hostile_name() {
        let line = b"42 (a) S 1 (x\xff) T 7 40 39 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        let expected =
            Stat { state: 'T', is_ending: false, parent: 7, group: 40, session: 39, foreground: None, started: 98765 };
        assert_eq!(Stat::parse(line), Some(expected));
        let is_ending = |state: &str, flags: u32| {
            let line = format!("42 (x) {state} 7 40 39 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2");
            Stat::parse(line.as_bytes()).unwrap().is_ending
        };
        assert!(is_ending("R", 4_194_308) && !is_ending("R", 4_194_304) && !is_ending("Z", 4_194_308));
        for broken in ["", "42", "42 (x", "42 (x)", "42 (x) S 1"] {
            assert_eq!(Stat::parse(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_process_starts_when_it_does() {
        for _ in 0..20 {
            let before = SystemTime::now();
            let mut child = std::process::Command::new("true").spawn().unwrap();
            let stat = Stat::read(Path::new(&format!("/proc/{}", child.id()))).unwrap();
            let started = stat.started_at().unwrap();
            assert!(before <= started && started <= SystemTime::now(), "{before:?} {started:?}");
            child.wait().unwrap();
        }
    }

    #[test]
    fn this_test_has_its_parent() {
        let own = Stat::read(Path::new("/proc/self")).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
    }
}
