//! Platforms on which processes cannot be held on to, so that nothing is signalled or watched there.

use std::io;
use std::time::Duration;

use super::Seat;
use crate::error::Error;
use crate::model::{Pid, Process};
use crate::platform::Signal;

/// There is none.
#[derive(Debug)]
pub enum Handle {}

impl Handle {
    /// Fails.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn open(_pid: Pid) -> Result<Option<Self>, Error> {
        Err(Error::NoActions(std::env::consts::OS))
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        match *self {}
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match *self {}
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match *self {}
    }

    /// Whether it is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        match *self {}
    }

    /// Whether it has one of these sockets open.
    #[must_use]
    pub fn has_open(&self, _inodes: &[u64]) -> bool {
        match *self {}
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// Never: there is no handle.
    pub fn signal(&self, _signal: Signal) -> io::Result<()> {
        match *self {}
    }
}

/// No tool is asked here.
#[must_use]
pub fn stop_command(_kind: &str, _daemon: &Process, _started: &[Pid]) -> Option<Vec<String>> {
    None
}

/// Nothing is known of sessions here.
#[must_use]
pub fn seat(_pid: Pid) -> Option<Seat> {
    None
}

/// Ids mean one thing here.
#[must_use]
pub fn ids_are_ours() -> bool {
    true
}

/// Waits for `timeout`.
///
/// # Errors
///
/// Without one, as nothing could end the wait.
pub fn wait_for_exits(_handles: &[&Handle], timeout: Option<Duration>) -> Result<Vec<bool>, Error> {
    std::thread::sleep(timeout.ok_or(Error::NoActions(std::env::consts::OS))?);
    Ok(Vec::new())
}

/// Nothing is to be held on to here.
pub fn allow_descriptors(_count: usize) {}

/// Who may not be ended is told when it is tried.
#[must_use]
pub fn may_signal(_pid: Pid) -> bool {
    true
}
