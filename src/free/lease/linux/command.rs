//! Becoming the command that the ports are for, with locks and holds as its own, for exactly as long as it runs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use socket2::Socket;

use super::lock::Lock;
use crate::free::limit::Limit;
use crate::free::names;

/// What a command gets besides its arguments.
#[derive(Debug)]
pub struct Inheritance {
    /// The variables' names, in the order of the ports.
    pub names: Vec<String>,
    /// The ports.
    pub ports: Vec<u16>,
    /// Kept for as long as it runs. It need not know of them.
    pub locks: Vec<Lock>,
    /// The same.
    pub holds: Vec<Socket>,
    /// Sockets that serve, from descriptor 3 on, as sd_listen_fds(3) has it.
    pub servers: Vec<Socket>,
    /// The limit of open files that it is to have.
    pub limit: Option<Limit>,
}

/// The first descriptor that sd_listen_fds(3) looks at.
const FIRST_SERVER: RawFd = 3;

/// Where descriptors are out of the way: scripts write `exec 3>file`, bash itself uses 10 and above, and 255.
const OUT_OF_THE_WAY: RawFd = 300;

/// Replaces this process by `command`. Returns only if that fails.
#[must_use]
pub fn become_command(command: &[OsString], inheritance: Inheritance) -> io::Error {
    let Inheritance { names, ports, locks, holds, servers, limit } = inheritance;
    let mut arguments = command.iter().map(|argument| filled(argument, &ports));
    let Some(program) = arguments.next() else { return io::ErrorKind::NotFound.into() };
    let mut command = Command::new(program);
    command.args(arguments).envs(names.iter().zip(&ports).map(|(name, port)| (name, port.to_string())));
    let mut kept = locks.iter().map(|lock| lock.socket.as_fd()).chain(holds.iter().map(AsFd::as_fd));
    if let Err(error) = kept.try_for_each(leave_open) {
        return error;
    }
    if !servers.is_empty() {
        // A port can have several sockets, one for each address.
        let name_of = |socket: &Socket| {
            let port = socket.local_addr().ok()?.as_socket()?.port();
            names.get(ports.iter().position(|&own| own == port)?).cloned()
        };
        let socket_names: Vec<String> = servers.iter().map(|socket| name_of(socket).unwrap_or_default()).collect();
        command
            .env("LISTEN_FDS", servers.len().to_string())
            .env("LISTEN_PID", std::process::id().to_string())
            .env("LISTEN_FDNAMES", socket_names.join(":"));
        let mapping = |(child_fd, socket): (RawFd, Socket)| FdMapping { parent_fd: socket.into(), child_fd };
        let mappings = (FIRST_SERVER..).zip(servers).map(mapping).collect();
        if let Err(error) = command.fd_mappings(mappings) {
            return io::Error::other(error);
        }
    }
    if let Some(limit) = limit {
        limit.restore();
    }
    // The standard library undoes what it did to SIGPIPE at the start.
    command.exec()
}

fn filled(argument: &OsStr, ports: &[u16]) -> OsString {
    OsString::from_vec(names::fill(argument.as_bytes(), ports))
}

/// Makes a descriptor that the command inherits.
fn leave_open(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // Numbers that high may be beyond the limit of open files.
    match fcntl_dupfd_cloexec(descriptor, OUT_OF_THE_WAY) {
        Ok(copy) => {
            fcntl_setfd(&copy, FdFlags::empty())?;
            // Not ours to close any more.
            let _ = copy.into_raw_fd();
        }
        Err(_) => fcntl_setfd(descriptor, FdFlags::empty())?,
    }
    Ok(())
}
