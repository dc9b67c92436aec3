//! The processes and threads that /proc lists.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::model::Pid;

/// Opens a directory below `root` (/proc) to list it.
pub fn open_directory(root: impl AsFd, path: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(root, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The threads of a process in `root`, ascending. The main thread is one of them, and its number is
/// that of the process.
pub fn list_threads(root: impl AsFd, pid: Pid) -> Result<Vec<Pid>, Errno> {
    list_pids(open_directory(root, &format!("{pid}/task"))?)
}

/// The processes listed in /proc, ascending.
pub fn list_pids(root: impl AsFd) -> Result<Vec<Pid>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(root, &mut buffer);
    let mut pids = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if let Some(pid) = std::str::from_utf8(entry.file_name().to_bytes()).ok().and_then(|name| name.parse().ok()) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

/// The two errors by which /proc says that a process has ended.
pub fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::SRCH)
}
