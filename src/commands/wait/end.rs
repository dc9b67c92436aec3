//! What ends a wait without success: its time, and the end of processes.

use std::time::{Duration, Instant};

use super::{Options, Outcome};
use crate::error::Error;
use crate::model::Pid;
use crate::platform::ends::Waker;
use crate::platform::process::{Handle, wait_for_exits_or};

/// What ends a wait that is not met: its time, or the processes of `--pid`.
pub struct End {
    /// When it began.
    pub start: Instant,
    timeout: Option<Duration>,
    /// `None` for a process that had ended before.
    handles: Vec<(Pid, Option<Handle>)>,
}

impl End {
    /// As `options` say, from now on.
    pub fn of(options: &Options) -> Result<Self, Error> {
        let start = Instant::now();
        let handles = options.pids.iter().map(|&pid| Ok((pid, Handle::open(pid)?))).collect::<Result<_, Error>>()?;
        Ok(Self { start, timeout: options.timeout, handles })
    }

    /// How the wait ends now, if it does.
    pub fn reached(&self) -> Option<Outcome> {
        let ended = self.handles.iter().find(|(_, handle)| handle.as_ref().is_none_or(Handle::has_ended));
        let is_late = self.timeout.is_some_and(|timeout| self.start.elapsed() >= timeout);
        ended.map(|&(pid, _)| Outcome::ProcessEnded(pid)).or(is_late.then_some(Outcome::Timeout))
    }

    /// Waits for so long, or until it is reached, or until `waker` has something to say.
    pub fn wait(&self, pause: Duration, waker: Option<Waker<'_>>) -> Result<(), Error> {
        let left = self.timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(self.start.elapsed()));
        let running: Vec<&Handle> = self.handles.iter().filter_map(|(_, handle)| handle.as_ref()).collect();
        wait_for_exits_or(&running, waker, Some(pause.min(left))).map(drop)
    }
}
