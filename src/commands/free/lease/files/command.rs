//! Runs the command that the ports are for. On Unix this process becomes the command and leaves it
//! the locks. On Windows it waits for the command.

use std::ffi::OsString;
use std::io;

use super::{Inheritance, filled, record_command};
use crate::platform;

/// Runs `command` in place of this process. Returns only if it cannot be started.
pub fn become_command(command: &[OsString], inheritance: Inheritance) -> io::Error {
    let Inheritance { names, ports, locks, servers, limit, .. } = inheritance;
    if !servers.is_empty() {
        return io::Error::new(io::ErrorKind::Unsupported, "sockets can be passed on (--pass-fds) on Linux only");
    }
    let words: Vec<OsString> = command.iter().map(|argument| filled(argument, &ports)).collect();
    let variables: Vec<(String, String)> = names.into_iter().zip(ports.iter().map(ToString::to_string)).collect();
    record_command(&locks);
    #[cfg(unix)]
    for lock in &locks {
        // The lock belongs to the open file (flock(2)), which the command inherits.
        if let Err(errno) = rustix::io::fcntl_setfd(&lock.file, rustix::io::FdFlags::empty()) {
            return errno.into();
        }
    }
    if let Some(limit) = limit {
        limit.restore();
    }
    platform::exec(&words, &variables)
}
