//! The lock on a port: an abstract unix socket that only one can have.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

/// What stands before the port in the name. Every version of this program must use the same.
pub(super) const PREFIX: &str = "portcheck.lease.";

/// What stands before the port in the name by which the lock of a command is marked.
pub(super) const COMMAND_PREFIX: &str = "portcheck.command.";

/// A lock that we hold.
#[derive(Debug)]
pub struct Lock {
    /// The port.
    pub port: u16,
    /// The socket that has the name. It listens if somebody is there to answer.
    pub socket: OwnedFd,
}

impl Lock {
    /// Marks it as that of a command, which does not know of it and answers nobody: for as long as the command has the
    /// descriptor that this returns.
    pub fn mark(&self) -> io::Result<OwnedFd> {
        let mark = socket(SocketFlags::NONBLOCK)?;
        bind(&mark, &named(COMMAND_PREFIX, self.port)?)?;
        Ok(mark)
    }
}

/// The address by which the lock of `port` is known.
pub(super) fn address(port: u16) -> io::Result<SocketAddrUnix> {
    named(PREFIX, port)
}

fn named(prefix: &str, port: u16) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new_abstract_name(format!("{prefix}{port}").as_bytes())?)
}

/// A socket of the kind that locks are, and those who ask them.
pub(super) fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    // Packets, so that neither side has to put pieces together.
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
