//! What ends a command that runs until somebody ends it: a signal, or a reader who has hung up.

/// Why a wait is over.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing wakes early there"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The time is over.
    InTime,
    /// What was waited for besides has something to say.
    Early,
    /// The command is to end.
    Ended,
}

pub use system::{Ends, Waker};

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::time::{Duration, Instant};

    use nix::sys::signal::{SigSet, Signal};
    use nix::sys::signalfd::{SfdFlags, SignalFd};
    use rustix::event::{PollFd, PollFlags, Timespec};
    use rustix::io::Errno;

    use super::Woken;
    use crate::error::Error;

    /// What becomes readable when there is something to do.
    pub type Waker<'a> = BorrowedFd<'a>;

    /// What ends the command. Nothing does by default.
    #[derive(Debug, Default)]
    pub struct Ends {
        signals: Option<SignalFd>,
    }

    impl Ends {
        /// SIGINT, SIGTERM and SIGHUP, and the end of the reader of standard output. From now on, these
        /// signals do nothing else. It has to be called before any thread is started.
        pub fn of_stream() -> Result<Self, Error> {
            let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
            let failed = |call| move |errno: nix::errno::Errno| Error::Call { call, source: errno.into() };
            signals.thread_block().map_err(failed("pthread_sigmask"))?;
            let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
            let signals = SignalFd::with_flags(&signals, flags).map_err(failed("signalfd"))?;
            Ok(Self { signals: Some(signals) })
        }

        /// Waits for so long, or until `waker` has something to say, or the command is to end.
        pub fn wait(&self, waker: Option<Waker<'_>>, timeout: Duration) -> Result<Woken, Error> {
            let out = io::stdout();
            let mut watched = Vec::new();
            if let Some(signals) = &self.signals {
                watched.push(PollFd::new(signals, PollFlags::IN));
                // A pipe without a reader is an error, which is reported without being asked for.
                watched.push(PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty()));
            }
            let ends = watched.len();
            watched.extend(waker.map(|waker| PollFd::from_borrowed_fd(waker, PollFlags::IN)));
            let until = Instant::now() + timeout;
            loop {
                let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
                match rustix::event::poll(&mut watched, left.as_ref()) {
                    Ok(_) => break,
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(Error::Call { call: "poll", source: errno.into() }),
                }
            }
            let is_ready = |one: &PollFd<'_>| !one.revents().is_empty();
            Ok(if watched[..ends].iter().any(is_ready) {
                Woken::Ended
            } else if watched[ends..].iter().any(is_ready) {
                Woken::Early
            } else {
                Woken::InTime
            })
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    use super::Woken;
    use crate::error::Error;

    /// Nothing wakes early here.
    pub type Waker<'a> = std::marker::PhantomData<&'a ()>;

    /// What ends the command: only what ends every program of this system.
    #[derive(Debug, Default)]
    pub struct Ends;

    impl Ends {
        /// The system ends us by itself.
        #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
        pub fn of_stream() -> Result<Self, Error> {
            Ok(Self)
        }

        /// Waits for so long.
        #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "as on Linux")]
        pub fn wait(&self, _waker: Option<Waker<'_>>, timeout: Duration) -> Result<Woken, Error> {
            std::thread::sleep(timeout);
            Ok(Woken::InTime)
        }
    }
}
