//! Looks closer at a process that holds a port: whether it is frozen, whether its program file
//! still exists, and what it may have inherited from a parent that has ended.

use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup::{self, Hierarchy};
use super::system_call::SystemCall;
use crate::model::{Legacy, Pid};
use crate::platform::proc::{Stat, parse_socket_link};

/// A process and its directory in /proc.
#[derive(Debug)]
pub struct Holder {
    directory: PathBuf,
    pid: Pid,
}

impl Holder {
    /// Nothing is read yet.
    pub fn new(proc: &Path, pid: Pid) -> Self {
        Self { directory: proc.join(pid.to_string()), pid }
    }

    /// Whether the program file was removed or replaced. The kernel appends this to the link.
    pub fn is_exe_deleted(&self) -> bool {
        // A program that runs from memory (memfd_create(2)) was never a file that could be
        // replaced.
        fs::read_link(self.directory.join("exe")).is_ok_and(|link| {
            let link = link.as_os_str().as_encoded_bytes();
            link.ends_with(b" (deleted)") && !link.starts_with(b"/memfd:")
        })
    }

    /// The directory of the cgroup that freezes it: its own, or one above it.
    pub fn frozen_cgroup(&self, proc: &Path, hierarchy: &Hierarchy) -> Option<PathBuf> {
        // Version 2 comes first.
        hierarchy.frozen(cgroup::of_process(proc, self.pid).first()?)
    }

    /// What it may have inherited from a parent that has ended. `None` if its parent lives, or
    /// nothing tells.
    ///
    /// A child is in the session of its parent until it opens its own. If the present parent is in
    /// another session, it adopted the process when the real parent ended.
    pub fn legacy(&self, proc: &Path, sockets: &[u64]) -> Option<Legacy> {
        let own = Stat::read(&self.directory)?;
        if own.session == self.pid || Stat::read(&proc.join(own.parent.to_string()))?.session == own.session {
            return None;
        }
        Some(Legacy { survives_exec: self.survives_exec(sockets)?, serves: self.serves() })
    }

    /// Whether a descriptor of one of `sockets` survives exec. `None` if no such descriptor can be
    /// seen.
    fn survives_exec(&self, sockets: &[u64]) -> Option<bool> {
        const O_CLOEXEC: u32 = 0o2_000_000;
        let mut any = None;
        for descriptor in fs::read_dir(self.directory.join("fd")).ok()?.flatten() {
            let Ok(link) = fs::read_link(descriptor.path()) else { continue };
            if !parse_socket_link(link.as_os_str().as_encoded_bytes()).is_some_and(|inode| sockets.contains(&inode)) {
                continue;
            }
            let info = fs::read_to_string(self.directory.join("fdinfo").join(descriptor.file_name())).ok()?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
            let is_kept = u32::from_str_radix(flags, 8).ok()? & O_CLOEXEC == 0;
            any = Some(any.unwrap_or(false) || is_kept);
        }
        any
    }

    /// Whether a thread runs, or waits in a system call that a connection or datagram can end.
    /// `None` if the call cannot be read.
    fn serves(&self) -> Option<bool> {
        for thread in fs::read_dir(self.directory.join("task")).ok()?.flatten() {
            let call = SystemCall::read(&thread.path()).ok()?;
            if !call.is_some_and(|call| self.is_idle(call)) {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Whether a call waits for something other than a socket: time, a child, a signal, another
    /// thread, a file.
    fn is_idle(&self, call: SystemCall) -> bool {
        const IDLE: &[libc::c_long] = &[
            libc::SYS_nanosleep,
            libc::SYS_clock_nanosleep,
            libc::SYS_wait4,
            libc::SYS_waitid,
            libc::SYS_rt_sigsuspend,
            libc::SYS_rt_sigtimedwait,
            libc::SYS_futex,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_pause,
        ];
        let reads_a_file = || {
            let descriptor = self.directory.join("fd").join(call.first_argument.to_string());
            fs::read_link(descriptor).is_ok_and(|link| parse_socket_link(link.as_os_str().as_encoded_bytes()).is_none())
        };
        IDLE.contains(&call.number) || (call.number == libc::SYS_read && reads_a_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_serves() {
        let proc = Path::new("/proc");
        let own = Holder::new(proc, std::process::id());
        assert_eq!(own.serves(), Some(true), "this thread runs");
        assert!(!own.is_exe_deleted());
    }

    #[test]
    fn only_descriptors_of_the_socket_count() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(&listener).unwrap().st_ino;
        let own = Holder::new(Path::new("/proc"), std::process::id());
        assert_eq!(own.survives_exec(&[inode]), Some(false), "the standard library sets FD_CLOEXEC");
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        assert_eq!(own.survives_exec(&[inode]), Some(true));
        drop(listener);
        assert_eq!(own.survives_exec(&[inode]), None);
    }
}
