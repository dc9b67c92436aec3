//! Waits for processes that are ending. A process gives up its memory before its sockets are
//! closed. In between, only root can inspect it (`task_dump_owner`, fs/proc/base.c). At the end,
//! not even root finds its sockets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::pids;
use crate::model::Pid;
use crate::platform::proc::Stat;

/// The longest wait, as a process can be stuck in the kernel forever.
const DEADLINE: Duration = Duration::from_secs(1);

/// The time between two checks.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until processes of these users that are ending now have ended. Returns whether there were
/// any.
pub fn wait(proc: &Path, users: &[u32]) -> bool {
    let mut ending = ending(proc, users);
    let any = !ending.is_empty();
    let start = Instant::now();
    while !ending.is_empty() && start.elapsed() < DEADLINE {
        thread::sleep(PAUSE);
        ending.retain(|&pid| is_ending(proc, pid));
    }
    any
}

fn ending(proc: &Path, users: &[u32]) -> Vec<Pid> {
    let Ok(root) = fs::File::open(proc) else { return Vec::new() };
    let mut pids = pids::list_pids(&root).unwrap_or_default();
    // The directory of a process belongs to its effective user, even while it ends.
    let is_theirs = |pid: Pid| fs::metadata(proc.join(pid.to_string())).is_ok_and(|it| users.contains(&it.uid()));
    pids.retain(|&pid| is_ending(proc, pid) && is_theirs(pid));
    pids
}

fn is_ending(proc: &Path, pid: Pid) -> bool {
    Stat::read(&proc.join(pid.to_string())).is_some_and(|stat| stat.is_ending)
}
