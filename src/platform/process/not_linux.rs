//! What only Linux knows of processes, as the other systems answer it.

use std::time::Duration;

use super::{Handle, Seat, system};
use crate::error::Error;
use crate::model::{Pid, Process};
use crate::platform::ends::Waker;

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

/// Nothing wakes early on these systems.
pub fn wait_for_exits_or(
    handles: &[&Handle],
    _waker: Option<Waker<'_>>,
    timeout: Option<Duration>,
) -> Result<Vec<bool>, Error> {
    system::wait_for_exits(handles, timeout)
}
