//! Which processes and users exist: the same on Linux and macOS.

use rustix::io::Errno;

use crate::model::Pid;
pub use crate::platform::users::is_user;

/// See [`super::is_process`].
pub fn is_process(pid: Pid) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // EPERM: the process exists and belongs to somebody else.
    pid.is_some_and(|pid| matches!(rustix::process::test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_are_there_and_that_are_not() {
        assert!(is_process(std::process::id()) && is_process(1));
        // An id above the largest pid_max, and an invalid id.
        assert!(!is_process(4_194_305) && !is_process(0) && !is_process(u32::MAX));
    }
}
