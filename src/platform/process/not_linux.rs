//! What only Linux tells of processes, as the other systems answer it.

use super::Seat;
use crate::model::{Pid, Process};

/// No tool is asked here.
pub fn stop_command(_kind: &str, _daemon: &Process, _started: &[Pid]) -> Option<Vec<String>> {
    None
}

/// Nothing is known of sessions here.
pub fn seat(_pid: Pid) -> Option<Seat> {
    None
}

/// Ids mean one thing here.
pub fn ids_are_ours() -> bool {
    true
}
