//! The lock on a port: the name of an abstract unix socket, which only one socket can have.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

/// The prefix of the name. All versions of this program must use the same.
pub(super) const PREFIX: &str = "portcheck.lease.";

/// The prefix of the name that marks the lock of a command.
pub(super) const COMMAND_PREFIX: &str = "portcheck.command.";

/// A lock that we have.
#[derive(Debug)]
pub struct Lock {
    /// The port.
    pub port: u16,
    /// The socket that has the name. It listens if a process answers on it.
    pub socket: OwnedFd,
}

impl Lock {
    /// Marks it as the lock of a command, which answers nobody. The mark lasts as long as the
    /// returned descriptor.
    pub fn mark(&self) -> io::Result<OwnedFd> {
        let mark = socket(SocketFlags::NONBLOCK)?;
        bind(&mark, &named(COMMAND_PREFIX, self.port)?)?;
        Ok(mark)
    }
}

/// The address of the lock of `port`.
pub(super) fn address(port: u16) -> io::Result<SocketAddrUnix> {
    named(PREFIX, port)
}

fn named(prefix: &str, port: u16) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new_abstract_name(format!("{prefix}{port}").as_bytes())?)
}

/// A socket of the type that locks have, and those who ask them.
pub(super) fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    // With packets, neither side has to join pieces.
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | flags, None)?)
}

/// Locks `port`. `None` if somebody else has it.
pub fn lock(port: u16) -> io::Result<Option<Lock>> {
    let socket = socket(SocketFlags::NONBLOCK)?;
    match bind(&socket, &address(port)?) {
        Ok(()) => Ok(Some(Lock { port, socket })),
        Err(Errno::ADDRINUSE) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that `--free` never picks by itself, and no other test uses: the kernel's own.
    #[test]
    fn one_has_it_and_nobody_else() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mine = lock(port).unwrap().unwrap();
        assert!(lock(port).unwrap().is_none());
        drop(mine);
        assert!(lock(port).unwrap().is_some());
    }
}
