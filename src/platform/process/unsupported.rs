//! Systems on which portcheck cannot hold on to a process, so it signals and watches none.

use std::io;
use std::time::Duration;

pub use super::not_linux::{ids_are_ours, seat, stop_command};
use crate::error::Error;
use crate::model::Pid;
use crate::platform::Signal;

/// A process: there is none on these systems.
#[derive(Debug)]
pub enum Handle {}

impl Handle {
    /// Always fails.
    pub fn open(_pid: Pid) -> Result<Option<Self>, Error> {
        Err(Error::NoActions(std::env::consts::OS))
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        match *self {}
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        match *self {}
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        match *self {}
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        match *self {}
    }

    /// Whether it has one of these sockets open.
    pub fn has_open(&self, _inodes: &[u64]) -> bool {
        match *self {}
    }

    /// Sends a signal.
    pub fn signal(&self, _signal: Signal) -> io::Result<()> {
        match *self {}
    }
}

/// Waits for `timeout`.
pub fn wait_for_exits(_handles: &[&Handle], timeout: Option<Duration>) -> Result<Vec<bool>, Error> {
    std::thread::sleep(timeout.ok_or(Error::NoActions(std::env::consts::OS))?);
    Ok(Vec::new())
}

/// Nothing is opened on these systems.
pub fn allow_descriptors(_count: usize) {}

/// An attempt to end it will say so.
pub fn may_signal(_pid: Pid) -> bool {
    true
}
