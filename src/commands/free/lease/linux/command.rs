//! Becomes the command that the ports are for. The command has the locks and holds while it runs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Resource, getrlimit};
use socket2::Socket;

use super::lock::Lock;
use crate::commands::free::names;
use crate::platform;
use crate::platform::limits::Limit;

/// What a command gets besides its arguments.
#[derive(Debug)]
pub struct Inheritance {
    /// The variables' names, in the order of the ports.
    pub names: Vec<String>,
    /// The ports.
    pub ports: Vec<u16>,
    /// The locks, which it keeps while it runs. It need not know of them.
    pub locks: Vec<Lock>,
    /// The holds, which it keeps in the same way.
    pub holds: Vec<Socket>,
    /// Listening sockets, from descriptor 3 on, as in sd_listen_fds(3).
    pub servers: Vec<Socket>,
    /// The limit of open files to restore.
    pub limit: Option<Limit>,
}

/// The first descriptor that sd_listen_fds(3) looks at.
const FIRST_SERVER: RawFd = 3;

/// Where descriptors do not disturb the command. Scripts write `exec 3>file`, and bash itself uses
/// 10 and above, and 255.
const OUT_OF_THE_WAY: RawFd = 300;

/// Replaces this process by `command`. Returns only if that fails.
pub fn become_command(command: &[OsString], inheritance: Inheritance) -> io::Error {
    let words: Vec<OsString> = command.iter().map(|argument| filled(argument, &inheritance.ports)).collect();
    let mut variables: Vec<(String, String)> =
        inheritance.names.iter().cloned().zip(inheritance.ports.iter().map(ToString::to_string)).collect();
    if !inheritance.servers.is_empty() {
        variables.extend(activation(&inheritance));
    }
    if let Err(error) = hand_down(inheritance) {
        return error;
    }
    platform::exec(&words, &variables)
}

fn filled(argument: &OsStr, ports: &[u16]) -> OsString {
    OsString::from_vec(names::fill(argument.as_bytes(), ports))
}

/// The variables of sd_listen_fds(3).
fn activation(inheritance: &Inheritance) -> [(String, String); 3] {
    let Inheritance { names, ports, servers, .. } = inheritance;
    // A port can have several sockets, one for each address.
    let name_of = |socket: &Socket| {
        let port = socket.local_addr().ok()?.as_socket()?.port();
        names.get(ports.iter().position(|&own| own == port)?).cloned()
    };
    let names: Vec<String> = servers.iter().map(|socket| name_of(socket).unwrap_or_default()).collect();
    [
        ("LISTEN_FDS", servers.len().to_string()),
        ("LISTEN_PID", std::process::id().to_string()),
        ("LISTEN_FDNAMES", names.join(":")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// Leaves the sockets open for the command, each at its number.
fn hand_down(inheritance: Inheritance) -> io::Result<()> {
    let Inheritance { locks, holds, servers, limit, .. } = inheritance;
    let servers: Vec<OwnedFd> = servers.into_iter().map(OwnedFd::from).collect();
    let marks = locks.iter().map(Lock::mark).collect::<io::Result<Vec<OwnedFd>>>()?;
    let locks = locks.into_iter().map(|lock| lock.socket);
    let kept: Vec<OwnedFd> = locks.chain(marks).chain(holds.into_iter().map(OwnedFd::from)).collect();
    let first_free = FIRST_SERVER + RawFd::try_from(servers.len()).unwrap_or(RawFd::MAX);
    let beyond = first_beyond(first_free, kept.len() + servers.len());
    for socket in &kept {
        let moved = moved(socket.as_fd(), beyond)?;
        fcntl_setfd(&moved, FdFlags::empty())?;
        // From here on it belongs to the command.
        let _ = moved.into_raw_fd();
    }
    let moved_servers =
        servers.iter().map(|socket| moved(socket.as_fd(), beyond)).collect::<io::Result<Vec<OwnedFd>>>()?;
    // Our descriptors with low numbers must be closed before the servers are put there.
    drop((kept, servers));
    platform::place(FIRST_SERVER, &moved_servers)?;
    if let Some(limit) = limit {
        limit.restore();
    }
    Ok(())
}

/// The first number for descriptors that should not disturb the command. If the limit of open files
/// is low, at least above those of the servers.
fn first_beyond(first_free: RawFd, count: usize) -> RawFd {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| RawFd::try_from(limit).ok()).unwrap_or(RawFd::MAX);
    let count = RawFd::try_from(count).unwrap_or(RawFd::MAX);
    OUT_OF_THE_WAY.min(limit.saturating_sub(count)).max(first_free)
}

fn moved(descriptor: BorrowedFd<'_>, beyond: RawFd) -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(descriptor, beyond)?)
}
