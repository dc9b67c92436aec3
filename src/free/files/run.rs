//! Running the command that the ports are for: on Unix this process becomes it and leaves it the locks, on Windows it waits for it.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use super::{Inheritance, Lock, filled, record_command};

/// Runs `command` in place of this process. Returns only if it cannot be started.
#[must_use]
pub fn become_command(command: &[OsString], inheritance: Inheritance) -> io::Error {
    let Inheritance { names, ports, locks, servers, .. } = inheritance;
    if !servers.is_empty() {
        return io::Error::new(io::ErrorKind::Unsupported, "sockets can be passed on (--pass-fds) on Linux only");
    }
    let mut arguments = command.iter().map(|argument| filled(argument, &ports));
    let Some(program) = arguments.next() else { return io::ErrorKind::NotFound.into() };
    let mut command = Command::new(program);
    command.args(arguments).envs(names.iter().zip(&ports).map(|(name, port)| (name, port.to_string())));
    record_command(&locks);
    replace(command, &locks)
}

#[cfg(unix)]
fn replace(mut command: Command, locks: &[Lock]) -> io::Error {
    use std::os::unix::process::CommandExt;
    for lock in locks {
        // The lock belongs to the open file (flock(2)), which the command inherits.
        if let Err(errno) = rustix::io::fcntl_setfd(&lock.file, rustix::io::FdFlags::empty()) {
            return errno.into();
        }
    }
    command.exec()
}

/// The locks are this process's own for as long as it waits, and it ends as the command does.
#[cfg(not(unix))]
fn replace(mut command: Command, locks: &[Lock]) -> io::Error {
    match command.status() {
        Ok(status) => {
            for Lock { port, .. } in locks {
                let _ = super::record::Record::remove(&super::directory(), *port);
            }
            std::process::exit(status.code().unwrap_or(1))
        }
        Err(error) => error,
    }
}
