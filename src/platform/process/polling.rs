//! Waiting for ends where nothing tells of several at once: by looking again and again.

use std::time::{Duration, Instant};

use super::Handle;
use crate::error::Error;

/// How often processes are looked at while waiting for one of them.
const TICK: Duration = Duration::from_millis(10);

/// Waits until one of the processes has ended, or `timeout` is over, or for ever without one. Which have ended.
pub fn wait_for_exits(handles: &[&Handle], timeout: Option<Duration>) -> Result<Vec<bool>, Error> {
    let until = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let ended: Vec<bool> = handles.iter().map(|handle| handle.has_ended()).collect();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if ended.contains(&true) || left == Some(Duration::ZERO) {
            return Ok(ended);
        }
        std::thread::sleep(left.unwrap_or(TICK).min(TICK));
    }
}
