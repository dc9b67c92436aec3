//! Waits for ends of processes by checking again and again, where the system cannot report several
//! at once.

use std::time::{Duration, Instant};

use super::Handle;
use crate::error::Error;

/// How often to check.
const TICK: Duration = Duration::from_millis(10);

/// Waits until one of the processes has ended, at most for `timeout`. Says of each whether it has
/// ended.
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
