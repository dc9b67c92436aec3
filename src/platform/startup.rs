//! What our caller gave us, noted before `main`. Rust's runtime ignores SIGPIPE, opens /dev/null in
//! place of closed standard streams, and does not remember what was there before.

use std::sync::atomic::{AtomicU8, Ordering};

/// A bit for each standard stream that was closed, and one for SIGPIPE.
static NOTED: AtomicU8 = AtomicU8::new(0);

#[cfg(target_os = "linux")]
const SIGPIPE_IS_IGNORED: u8 = 1 << 3;

const STDOUT: u8 = 1;

fn is_noted(bit: u8) -> bool {
    NOTED.load(Ordering::Relaxed) & bit != 0
}

/// Whether our caller closed standard output. Then writes succeed, but nobody gets them.
pub fn is_stdout_closed() -> bool {
    is_noted(1 << STDOUT)
}

/// The standard streams that our caller closed.
#[cfg(target_os = "linux")]
pub fn closed_streams() -> impl Iterator<Item = std::os::fd::RawFd> {
    (0..3).filter(|&stream| is_noted(1 << stream))
}

/// Whether our caller made us ignore SIGPIPE.
#[cfg(target_os = "linux")]
pub fn ignores_sigpipe() -> bool {
    is_noted(SIGPIPE_IS_IGNORED)
}

// Only in the command. A library notes nothing about the program that uses it.
#[cfg(all(unix, feature = "cli"))]
ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn note() {
        use rustix::stdio::{stderr, stdin, stdout};
        let mut noted = 0;
        for (stream, descriptor) in [stdin(), stdout(), stderr()].into_iter().enumerate() {
            if rustix::io::fcntl_getfd(descriptor).is_err() {
                noted |= 1 << stream;
            }
        }
        #[cfg(target_os = "linux")]
        if finds_sigpipe_ignored() {
            noted |= SIGPIPE_IS_IGNORED;
        }
        NOTED.store(noted, Ordering::Relaxed);
    }
}

/// Asks /proc (`SigIgn:`, proc_pid_status(5)), which works without `unsafe`. Allocates nothing, as
/// the runtime is not set up yet.
#[cfg(target_os = "linux")]
fn finds_sigpipe_ignored() -> bool {
    use rustix::fs::{Mode, OFlags};
    let mut buffer = [0; 4096];
    let Ok(status) = rustix::fs::open("/proc/self/status", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    let length = rustix::io::read(status, &mut buffer).unwrap_or(0);
    buffer.get(..length).is_some_and(lists_sigpipe)
}

#[cfg(target_os = "linux")]
fn lists_sigpipe(status: &[u8]) -> bool {
    const SIGPIPE: u32 = 13;
    let mut lines = status.split(|&byte| byte == b'\n');
    let ignored = lines.find_map(|line| std::str::from_utf8(line.strip_prefix(b"SigIgn:")?).ok());
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (SIGPIPE - 1) != 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::lists_sigpipe;

    #[test]
    fn a_signal_is_found_in_the_mask() {
        assert!(lists_sigpipe(b"Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0\n"));
        for other in ["", "SigIgn:\t", "SigIgn:\t0000000000000fff\n", "SigCgt:\t0000000000001000\n", "SigIgn:\tz\n"] {
            assert!(!lists_sigpipe(other.as_bytes()), "{other:?}");
        }
    }
}
