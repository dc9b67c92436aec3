//! Running the command that the ports are for: on Unix this process becomes it and leaves it the locks, on Windows it waits for it.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use super::{Inheritance, Limit, Lock, filled, record_command};

/// Runs `command` in place of this process. Returns only if it cannot be started.
#[must_use]
pub fn become_command(command: &[OsString], inheritance: Inheritance) -> io::Error {
    let Inheritance { names, ports, locks, servers, limit, .. } = inheritance;
    if !servers.is_empty() {
        return io::Error::new(io::ErrorKind::Unsupported, "sockets can be passed on (--pass-fds) on Linux only");
    }
    let mut arguments = command.iter().map(|argument| filled(argument, &ports));
    let Some(program) = arguments.next() else { return io::ErrorKind::NotFound.into() };
    let mut command = command_of(&program);
    command.args(arguments).envs(names.iter().zip(&ports).map(|(name, port)| (name, port.to_string())));
    record_command(&locks);
    replace(command, &locks, limit)
}

#[cfg(unix)]
fn command_of(program: &std::ffi::OsStr) -> Command {
    Command::new(program)
}

#[cfg(not(unix))]
use crate::child::command as command_of;

#[cfg(unix)]
fn replace(mut command: Command, locks: &[Lock], limit: Option<Limit>) -> io::Error {
    use std::os::unix::process::CommandExt;
    for lock in locks {
        // The lock belongs to the open file (flock(2)), which the command inherits.
        if let Err(errno) = rustix::io::fcntl_setfd(&lock.file, rustix::io::FdFlags::empty()) {
            return errno.into();
        }
    }
    if let Some(limit) = limit {
        limit.restore();
    }
    command.exec()
}

/// The locks are this process's own for as long as it waits, and it ends as the command does.
#[cfg(not(unix))]
fn replace(command: Command, locks: &[Lock], _limit: Option<Limit>) -> io::Error {
    match crate::child::run(command) {
        Ok(code) => {
            for Lock { port, .. } in locks {
                let _ = super::record::Record::remove(&super::directory(), *port);
            }
            std::process::exit(code)
        }
        Err(error) => error,
    }
}
