//! Processes by pidfd (pidfd_open(2)), and what /proc says of them (proc_pid_stat(5)).

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use super::Seat;
pub use super::jobs::stop_command;
pub use super::unix::may_signal;
use super::unix::raw_signal;
use crate::error::Error;
use crate::model::Pid;
use crate::platform::Signal;
use crate::platform::ends::Waker;
pub use crate::platform::proc::ids_are_ours;
use crate::platform::proc::{Stat, parse_socket_link, status_field};

/// A process, even if its id is reused.
#[derive(Debug)]
pub struct Handle {
    pid: Pid,
    pidfd: OwnedFd,
    /// When it started, in clock ticks since boot: field 22 of /proc/PID/stat.
    started: u64,
}

impl Handle {
    /// Opens the process that has the id `pid` now. `None` if it has ended.
    pub fn open(pid: Pid) -> Result<Option<Self>, Error> {
        let Some(raw) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return Ok(None) };
        let Some(before) = stat(pid) else { return Ok(None) };
        let pidfd = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // EINVAL: the id now belongs to a thread.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(errno) => return Err(Error::Call { call: "pidfd_open", source: errno.into() }),
        };
        let handle = Self { pid, pidfd, started: before.started };
        if !handle.is_alive() {
            return Ok(None);
        }
        // It may have ended since. Then /proc shows -1 for the pidfd.
        if !ids_are_ours() || (!handle.is_known_to_proc() && !handle.has_ended()) {
            return Err(Error::ForeignProcesses(pid));
        }
        Ok(Some(handle))
    }

    /// Whether /proc calls the process by the same id. `Pid:` in the fdinfo of a pidfd is the id in
    /// the pid namespace for which /proc was mounted (pidfd_open(2)).
    fn is_known_to_proc(&self) -> bool {
        let info = format!("/proc/self/fdinfo/{}", self.pidfd.as_raw_fd());
        fs::read_to_string(info).is_ok_and(|info| status_field(&info, "Pid") == Some(&self.pid.to_string()))
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it still runs. Then whatever was read from /proc under its id is about this process.
    ///
    /// The kernel reuses an id only after its process has ended. So what was read before this
    /// returns true is not about a later process.
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started) && !self.has_ended()
    }

    /// Whether it has ended: then its pidfd is readable.
    pub fn has_ended(&self) -> bool {
        wait_for_exits(&[self], Some(Duration::ZERO)).is_ok_and(|ended| ended == [true])
    }

    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.state == 'T') && self.is_alive()
    }

    /// Whether it has one of the sockets `inodes` open, in any of its threads.
    pub fn has_open(&self, inodes: &[u64]) -> bool {
        let process = PathBuf::from(format!("/proc/{}", self.pid));
        let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
        let mut tables = std::iter::once(process.join("fd")).chain(threads.map(|thread| thread.path().join("fd")));
        tables.any(|table| has_open(&table, inodes)) && self.is_alive()
    }

    /// Sends a signal to this process, never to a later one with the same id.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, raw_signal(signal))?)
    }
}

fn has_open(descriptors: &Path, inodes: &[u64]) -> bool {
    let entries = fs::read_dir(descriptors).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| parse_socket_link(fs::read_link(entry.path()).ok()?.as_os_str().as_encoded_bytes()))
        .any(|inode| inodes.contains(&inode))
}

/// Waits until one of the processes has ended, at most for `timeout`. Says of each whether it has
/// ended.
pub fn wait_for_exits(handles: &[&Handle], timeout: Option<Duration>) -> Result<Vec<bool>, Error> {
    wait_for_exits_or(handles, None, timeout)
}

/// The same. It is over as well when `waker` has something to say.
pub fn wait_for_exits_or(
    handles: &[&Handle],
    waker: Option<Waker<'_>>,
    timeout: Option<Duration>,
) -> Result<Vec<bool>, Error> {
    let mut watched: Vec<PollFd<'_>> = handles.iter().map(|handle| PollFd::new(&handle.pidfd, PollFlags::IN)).collect();
    watched.extend(waker.map(|waker| PollFd::from_borrowed_fd(waker, PollFlags::IN)));
    let failed = |source: io::Error| Error::Call { call: "poll", source };
    let until = timeout.map(|timeout| std::time::Instant::now() + timeout);
    loop {
        let left = until.map(|until| until.saturating_duration_since(std::time::Instant::now()));
        let timespec =
            left.map(Timespec::try_from).transpose().map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
        match rustix::event::poll(&mut watched, timespec.as_ref()) {
            Ok(_) => {
                let ended = watched.iter().take(handles.len());
                return Ok(ended.map(|one| one.revents().contains(PollFlags::IN)).collect());
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
}

/// Makes room for one descriptor per process, as far as the limit can be raised.
pub fn allow_descriptors(count: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    /// Room for all other open descriptors.
    const OTHERS: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(count).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if limit.current.is_some_and(|current| current < wanted) {
        // If this fails, opening the last of them will fail and say so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// The place of a process in its session. `None` if it has ended.
pub fn seat(pid: Pid) -> Option<Seat> {
    let stat = stat(pid)?;
    Some(Seat { is_leader: stat.session == pid, group: stat.group, foreground: stat.foreground })
}

fn stat(pid: Pid) -> Option<Stat> {
    Stat::read(Path::new(&format!("/proc/{pid}")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_handle_knows_what_its_process_has_open_and_when_it_ended() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&listener))).unwrap();
        let inode = link.to_str().unwrap().strip_prefix("socket:[").unwrap().strip_suffix(']').unwrap();
        let own = Handle::open(std::process::id()).unwrap().unwrap();
        assert!(own.has_open(&[1, inode.parse().unwrap()]) && !own.has_open(&[1]) && !own.has_ended());

        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let handle = Handle::open(child.id()).unwrap().unwrap();
        assert!(handle.is_alive());
        handle.signal(Signal::Term).unwrap();
        assert_eq!(wait_for_exits(&[&own, &handle], None).unwrap(), [false, true]);
        // Nobody has waited for it yet, but it has ended.
        assert!(!handle.is_alive() && Handle::open(child.id()).unwrap().is_none());
        child.wait().unwrap();
        assert_eq!(handle.signal(Signal::Term).unwrap_err().raw_os_error(), Some(3));
        assert!(Handle::open(child.id()).unwrap().is_none() && Handle::open(0).unwrap().is_none());
    }
}
