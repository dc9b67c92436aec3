//! What only Linux knows of processes, as the other systems answer it.

use super::Seat;
use crate::model::{Pid, Process};

/// No supervisor is asked on these systems.
pub fn stop_command(_kind: &str, _daemon: &Process, _started: &[Pid]) -> Option<Vec<String>> {
    None
}

/// Sessions are unknown on these systems.
pub fn seat(_pid: Pid) -> Option<Seat> {
    None
}

/// These systems have no pid namespaces.
pub fn ids_are_ours() -> bool {
    true
}
