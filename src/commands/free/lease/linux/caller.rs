//! The caller: for whom a lease is made, and whether it is the one who asks.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::str::FromStr;

use rustix::process::{Pid as RawPid, PidfdFlags, getppid, pidfd_open};

use crate::model::Pid;
use crate::platform::proc::{Stat, ids_are_ours};

/// More subshells and wrappers than anybody nests.
const MOST_STEPS: usize = 16;

/// A watched process. Its id alone could soon be another process.
#[derive(Debug)]
pub struct Watched {
    /// Its id, in our pid namespace.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// Becomes readable when it ends (pidfd_open(2)).
    pub descriptor: OwnedFd,
    /// `None` if /proc does not show it.
    pub identity: Option<Identity>,
}

/// Identifies a process forever. Two processes with the same id differ in pid namespace or start.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// `pid:[4026531836]`.
    namespace: String,
    pid: Pid,
    /// In clock ticks since boot.
    started: u64,
}

impl Identity {
    /// Identifies the process that now has the id `pid` in our pid namespace.
    fn of(pid: Pid) -> Option<Self> {
        let started = stat(pid)?.started;
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned();
        ids_are_ours().then_some(Self { namespace, pid, started })
    }

    /// Its id, if it still runs in our pid namespace.
    pub fn pid(&self) -> Option<Pid> {
        (Self::of(self.pid).as_ref() == Some(self)).then_some(self.pid)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.namespace, self.pid, self.started)
    }
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<&str> = text.split(' ').collect();
        let [namespace, pid, started] = words[..] else { return Err(()) };
        match (pid.parse(), started.parse()) {
            (Ok(pid), Ok(started)) => Ok(Self { namespace: namespace.to_owned(), pid, started }),
            _ => Err(()),
        }
    }
}

/// Watches the process `pid`.
pub fn watch(pid: Pid) -> io::Result<Watched> {
    let raw = i32::try_from(pid).ok().and_then(RawPid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    // Read before the pidfd is opened, and checked while it is open: the id is not reused
    // meanwhile, so both are of the same process.
    let identity = Identity::of(pid);
    let descriptor = pidfd_open(raw, PidfdFlags::empty())?;
    let identity = identity.filter(|before| Identity::of(pid).as_ref() == Some(before));
    Ok(Watched { pid, name: name_of(pid), descriptor, identity })
}

/// Watches the process that called us. `None` if it has ended, or cannot be seen.
pub fn watch_caller() -> Option<Watched> {
    let parent = getppid();
    let watched = watch(caller()?).ok()?;
    // If our parent had ended meanwhile, we would have another one, and the id could be any
    // process.
    (getppid() == parent).then_some(watched)
}

/// The process that called us, as far as it can be seen.
pub fn identify_caller() -> Option<Identity> {
    Identity::of(caller()?)
}

/// Whether `client` called us, or is an ancestor of ours. The first process of the machine started
/// everything, so it does not count.
pub fn descends_from(client: &Identity) -> bool {
    /// `PROC_PID_INIT_INO`, include/linux/proc_ns.h.
    const FIRST_NAMESPACE: &str = "pid:[4026531836]";
    let is_first = client.namespace == FIRST_NAMESPACE && client.pid == 1;
    !is_first && client.pid().is_some_and(|pid| ancestors().any(|ancestor| ancestor == pid))
}

/// Our parent, the parent of that one, and so on.
pub fn ancestors() -> impl Iterator<Item = Pid> {
    std::iter::successors(parent(), |&pid| parent_of(pid))
}

fn parent() -> Option<Pid> {
    Pid::try_from(getppid()?.as_raw_nonzero().get()).ok()
}

/// The process that called us: our parent, unless that one ends with us. A subshell does so in
/// `port=$(cd app; portcheck free --hold)`, a wrapper in `$(timeout 5 portcheck free --hold)`. Then
/// it is whoever started that one.
fn caller() -> Option<Pid> {
    let mut pid = parent()?;
    if !ids_are_ours() {
        return Some(pid);
    }
    let own = command_line("self")?;
    for _ in 0..MOST_STEPS {
        match parent_of(pid) {
            Some(parent) if is_copy_of(pid, parent) || is_wrapper(&command_line(pid).unwrap_or_default(), &own) => {
                pid = parent;
            }
            _ => break,
        }
    }
    Some(pid)
}

/// Whether a process was forked from another one and runs the same program, with the same command
/// line.
fn is_copy_of(pid: Pid, parent: Pid) -> bool {
    let exe = |pid: Pid| fs::read_link(format!("/proc/{pid}/exe")).ok();
    exe(pid).is_some_and(|own| exe(parent) == Some(own))
        && command_line(pid).is_some_and(|own| command_line(parent) == Some(own))
}

/// Whether a command line ends with `own`, the command that it runs: `timeout 5 portcheck free`,
/// `sudo -u ada portcheck free`, `sh -c 'cd app; portcheck free'`. A program may be run by its path
/// although its name was typed.
fn is_wrapper(command_line: &[String], own: &[String]) -> bool {
    let [program, arguments @ ..] = own else { return false };
    let name = program.rsplit('/').next().unwrap_or(program);
    let tail = [&[name.to_owned()], arguments].concat().join(" ");
    let words = command_line.join(" ");
    words.strip_suffix(&tail).is_some_and(|head| head.ends_with([' ', '/', ';', '&', '(']))
}

fn command_line(pid: impl fmt::Display) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
    let words = line.strip_suffix(b"\0").unwrap_or(&line).split(|&byte| byte == 0);
    Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

fn stat(pid: Pid) -> Option<Stat> {
    Stat::read(Path::new(&format!("/proc/{pid}")))
}

fn parent_of(pid: Pid) -> Option<Pid> {
    stat(pid).map(|stat| stat.parent).filter(|&parent| parent != 0)
}

/// The name of a process in our pid namespace.
pub fn name_of(pid: Pid) -> String {
    if !ids_are_ours() {
        return String::new();
    }
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let own = Identity::of(std::process::id()).unwrap();
        assert_eq!(own.to_string().parse(), Ok(own.clone()));
        assert_eq!(own.pid(), Some(std::process::id()));
        let later = Identity { started: own.started + 1, ..own.clone() };
        let elsewhere = Identity { namespace: "pid:[1]".to_owned(), ..own };
        assert_eq!((later.pid(), elsewhere.pid()), (None, None));
        for nonsense in ["", "pid:[1]", "pid:[1] x 1", "pid:[1] 1 -1", "pid:[1] 1 1 1"] {
            assert!(nonsense.parse::<Identity>().is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn wrappers_end_with_what_they_run() {
        let words = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
        let own = words("/usr/bin/portcheck|--free|--hold");
        for wrapper in [
            "timeout|5|portcheck|--free|--hold",
            "sudo|-u|ada|/usr/bin/portcheck|--free|--hold",
            "sh|-c|cd app;portcheck --free --hold",
            "npm exec portcheck --free --hold",
        ] {
            assert!(is_wrapper(&words(wrapper), &own), "{wrapper}");
        }
        for other in [
            "sh",
            "bash|-c|portcheck --free --hold; serve",
            "xportcheck|--free|--hold",
            "portcheck|--free|--hold",
            "make",
        ] {
            assert!(!is_wrapper(&words(other), &own), "{other}");
        }
    }
}
