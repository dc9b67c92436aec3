//! What Windows, macOS and systems without a backend answer alike. They have no inodes, cgroups or
//! units, and no program may drop the sockets of others.

use std::io;
use std::time::{Duration, SystemTime};

use super::{BindFailure, Detail, Inside, Missed, Namespaces, Scope, native};
use crate::error::Error;
use crate::model::{
    Backend, Circumstances, Diversion, Gap, InterfaceAddress, Namespace, Pid, Place, Protocol, Question, Replay,
    Snapshot, Socket, gap,
};
use crate::platform::ends::{Ends, Waker, Woken};
use crate::port_set::PortSet;
use crate::supervisor::Supervisor;
use crate::target::Target;

/// Looks for listeners again and again. Nothing stays open here.
#[derive(Debug)]
pub struct Watch;

impl Watch {
    /// Opens nothing.
    pub fn open() -> Self {
        Self
    }

    /// Nothing is reported here.
    #[allow(clippy::unused_self, reason = "other systems keep something open")]
    pub fn report_closings(&mut self) {}

    /// Nothing wakes early here.
    #[allow(clippy::unused_self, reason = "other systems keep something open")]
    pub fn waker(&self) -> Option<Waker<'_>> {
        None
    }

    /// Nothing is reported here.
    #[allow(clippy::unused_self, reason = "other systems keep something open")]
    pub fn has_closed(&mut self) -> bool {
        false
    }

    /// The sockets of `protocol` on `ports` that wait for peers.
    #[allow(clippy::unused_self, reason = "other systems keep something open")]
    pub fn listeners(&mut self, protocol: Protocol, ports: &PortSet) -> Result<Vec<Socket>, Error> {
        let (mut sockets, _) = waiting(&[protocol], ports)?;
        sockets.retain(|socket| socket.state.is_listening());
        Ok(sockets)
    }
}

/// Follows the sockets of this machine from look to look: each takes a whole snapshot here.
#[derive(Debug)]
pub struct Follower(Scope);

impl Follower {
    /// Prepares to look at what `scope` asks for.
    pub fn new(scope: Scope) -> Self {
        Self(scope)
    }

    /// Waits for so long: nothing is reported here.
    #[allow(clippy::unused_self, reason = "other systems keep something open")]
    pub fn wait(&mut self, ends: &Ends, timeout: Duration) -> Result<Woken, Error> {
        ends.wait(None, timeout)
    }

    /// What is there now. Nothing tells what was missed.
    pub fn look(&mut self) -> Result<(Snapshot, Missed), Error> {
        let mut snapshot = super::snapshot(&self.0)?;
        snapshot.sockets.retain(|socket| self.0.connections || socket.state.is_waiting());
        Ok((snapshot, Missed::default()))
    }
}

/// See [`super::waiting`].
pub fn waiting(protocols: &[Protocol], ports: &PortSet) -> Result<(Vec<Socket>, Vec<Gap>), Error> {
    let target =
        |&(first, last): &(u16, u16)| Target { first, last, protocol: None, addresses: Vec::new(), zone: None };
    let scope = Scope {
        backend: Backend::Portable,
        protocols: protocols.to_vec(),
        targets: ports.ranges().iter().map(target).collect(),
        connections: false,
        tcp_info: false,
        detail: Detail::Nothing,
        quick: false,
        family: None,
        namespaces: Namespaces::Own,
    };
    let mut snapshot = native::snapshot(&scope)?;
    snapshot.sockets.retain(|socket| socket.state.is_waiting());
    Ok((snapshot.sockets, snapshot.gaps))
}

/// See [`super::circumstances`].
pub fn circumstances(_failure: BindFailure, addresses: Vec<InterfaceAddress>) -> Circumstances {
    Circumstances { addresses, ..Circumstances::default() }
}

/// See [`super::diversions`]. Other firewalls are not read.
pub fn diversions(_ports: &[(u16, Protocol)]) -> (Vec<Diversion>, Option<Gap>) {
    (Vec::new(), None)
}

/// See [`super::places`].
pub fn places() -> Vec<Place> {
    Vec::new()
}

/// See [`super::replay`]. Only Linux has network namespaces.
pub fn replay(_listeners: &[&Socket], questions: &[Question]) -> Replay {
    let gap = gap::REACH_UNTRIED.gap("who can reach the port: portcheck tries this on Linux only");
    Replay { trials: vec![None; questions.len()], gaps: vec![gap], has_ufw: false }
}

/// See [`super::owners_of`]. These systems have no inodes.
pub fn owners_of(_inodes: &[u64]) -> Vec<(u64, Pid)> {
    Vec::new()
}

/// When a process started, more precisely than sysinfo reports it. Not known here.
pub fn started_at(_pid: Pid) -> Option<SystemTime> {
    None
}

/// See [`super::supervisor_of`]. None is known.
pub fn supervisor_of(_pid: Pid) -> Supervisor {
    Supervisor::default()
}

/// See [`super::enter`]. These systems have one network namespace.
pub fn enter(_typed: &str) -> Result<Option<Inside>, String> {
    Err("--in works on Linux only: this system has no network namespaces".to_owned())
}

/// See [`super::namespaces`].
pub fn namespaces() -> Vec<Namespace> {
    Vec::new()
}

/// See [`super::drop_remnants`].
pub fn drop_remnants(sockets: Vec<Socket>) -> Vec<(Socket, io::Result<()>)> {
    sockets.into_iter().map(|socket| (socket, Err(io::ErrorKind::Unsupported.into()))).collect()
}

/// See [`super::is_container`]. None is known.
pub fn is_container(_typed: &str) -> bool {
    false
}
