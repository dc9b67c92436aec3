//! What the actions ask for, on platforms that have no backend of their own.

use std::io;

use crate::error::Error;
use crate::model::{Backend, Pid, Protocol, Socket};
use crate::port_set::PortSet;
use crate::supervisor::Supervisor;

/// Nothing that could stay open.
#[derive(Debug)]
pub struct Watch;

impl Watch {
    /// Opens nothing.
    #[must_use]
    pub fn open() -> Self {
        Self
    }

    /// The sockets of `protocol` on `ports` that wait for peers.
    ///
    /// # Errors
    ///
    /// If the sockets cannot be listed.
    pub fn listeners(&mut self, protocol: Protocol, ports: &PortSet) -> Result<Vec<Socket>, Error> {
        let mut sockets = super::snapshot(&crate::collect::Scope {
            backend: Backend::Portable,
            protocols: vec![protocol],
            targets: Vec::new(),
            connections: false,
            detail: crate::collect::Detail::Nothing,
        })?
        .sockets;
        sockets.retain(|socket| socket.state.is_listening() && ports.contains(socket.local.port()));
        Ok(sockets)
    }
}

/// Nothing is known of supervisors here.
pub fn supervisor_of(_pid: Pid) -> Supervisor {
    Supervisor::default()
}

/// No system but Linux lets a program do that.
pub fn drop_remnants(sockets: Vec<Socket>) -> Vec<(Socket, io::Result<()>)> {
    sockets.into_iter().map(|socket| (socket, Err(io::ErrorKind::Unsupported.into()))).collect()
}
