//! Recognises processes without descriptors, such as kernel threads and zombies. Their number of
//! descriptors is 0, and reading it needs no permission.
//!
//! Since Linux 6.2 the size of /proc/PID/fd is the number of open descriptors (`proc_fd_getattr`,
//! fs/proc/fd.c). Only finding the directory needs permission. Before 6.2 the size is always 0.

use std::fs::File;
use std::sync::OnceLock;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::pids;
use crate::model::Pid;

/// Whether this kernel counts descriptors.
#[derive(Debug)]
pub struct Counter<'a> {
    root: &'a File,
    counts: OnceLock<bool>,
}

impl<'a> Counter<'a> {
    /// Counts for the processes in `root`, which is /proc.
    pub fn new(root: &'a File) -> Self {
        Self { root, counts: OnceLock::new() }
    }

    /// Whether it is certain that no thread of `pid` has a descriptor.
    pub fn is_empty(&self, pid: Pid) -> bool {
        // Most processes have descriptors, and need only this check.
        if self.count(&format!("{pid}/fd")) != Ok(0) || !self.counts() {
            return false;
        }
        // A main thread that has ended leaves its descriptors to the others, and a thread may have
        // descriptors of its own. The main thread is counted again after the threads were listed:
        // by execve, another thread may have taken its place meanwhile.
        let Ok(threads) = pids::list_threads(self.root, pid) else { return false };
        !threads.is_empty() && threads.iter().all(|thread| self.count(&format!("{pid}/task/{thread}/fd")) == Ok(0))
    }

    /// Whether the size is the number. We have a descriptor open ourselves, so ours is not 0.
    fn counts(&self) -> bool {
        *self.counts.get_or_init(|| self.count("self/fd").is_ok_and(|count| count > 0))
    }

    fn count(&self, directory: &str) -> Result<i64, Errno> {
        rustix::fs::statat(self.root, directory, AtFlags::empty()).map(|stat| stat.st_size)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::testing::skip;

    fn proc() -> File {
        File::open("/proc").unwrap()
    }

    #[test]
    fn who_has_descriptors_is_not_empty() {
        let root = proc();
        assert!(!Counter::new(&root).is_empty(std::process::id()));
    }

    #[test]
    fn a_thread_of_the_kernel_is_empty() {
        let root = proc();
        let counter = Counter::new(&root);
        if !counter.counts() || std::fs::read_to_string("/proc/2/comm").map_or(true, |name| name != "kthreadd\n") {
            return skip("no counting kernel, or none of its threads in this pid namespace");
        }
        assert!(counter.is_empty(2));
    }

    #[test]
    fn who_has_ended_is_empty_until_nothing_is_left() {
        let root = proc();
        let counter = Counter::new(&root);
        if !counter.counts() {
            return skip("this kernel, older than Linux 6.2, does not count descriptors");
        }
        let mut child = std::process::Command::new("true").spawn().unwrap();
        // A zombie.
        rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .unwrap();
        assert!(counter.is_empty(child.id()));
        child.wait().unwrap();
        assert!(!counter.is_empty(child.id()), "nothing is known of who is gone");
    }

    /// A kernel older than Linux 6.2.
    #[test]
    fn a_size_of_nothing_says_nothing_where_nothing_is_counted() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(proc.path().join("42/task/42")).unwrap();
        std::fs::create_dir(proc.path().join("self")).unwrap();
        // Files instead of directories, since the size of a file can be chosen on every file
        // system.
        let count = |path: &str, size: usize| std::fs::write(proc.path().join(path), "x".repeat(size)).unwrap();
        count("42/fd", 0);
        count("42/task/42/fd", 0);
        count("self/fd", 0);
        let is_empty = |path: &Path| Counter::new(&File::open(path).unwrap()).is_empty(42);
        assert!(!is_empty(proc.path()));
        count("self/fd", 3);
        assert!(is_empty(proc.path()));
        // A thread that outlives the main thread.
        std::fs::create_dir(proc.path().join("42/task/43")).unwrap();
        assert!(!is_empty(proc.path()), "what cannot be counted");
        count("42/task/43/fd", 3);
        assert!(!is_empty(proc.path()));
        count("42/task/43/fd", 0);
        assert!(is_empty(proc.path()));
    }
}
