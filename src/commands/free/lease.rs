//! Leases: how a picked port is kept for its caller.
//!
//! On Linux they are sockets (`linux`). On other systems they are files (`files`), and there are no
//! holds.

use std::io;
use std::time::Duration;

use crate::model::{Client, Lease, LeaseKind, NameTaken, Pid};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(not(target_os = "linux"))]
mod files;
#[cfg(not(target_os = "linux"))]
pub use files::*;

/// How a lease is kept in the background.
#[derive(Debug)]
pub struct Terms {
    /// How long, at most.
    pub ttl: Duration,
    /// Whether the port stays bound as well.
    pub hold: bool,
    /// For whom.
    pub client: Option<Watched>,
    /// Whether it ends with the client.
    pub ends_with_client: bool,
    /// The key of a sticky pick. The same pick gets the same port again.
    pub key: Option<u64>,
}

impl Terms {
    const fn kind(&self) -> LeaseKind {
        if self.hold { LeaseKind::Held } else { LeaseKind::Reserved }
    }

    /// The lease on `port` that the process `daemon` keeps.
    pub(super) fn lease(&self, port: u16, daemon: Option<Pid>) -> Lease {
        Lease {
            port,
            kind: self.kind(),
            uid: None,
            user: None,
            pids: daemon.into_iter().collect(),
            client: self.client.as_ref().map(|client| Client {
                name: client.name.clone(),
                pid: Some(client.pid),
                ends_lease: self.ends_with_client,
            }),
            expires_in: Some(self.ttl),
            is_own: self.client.is_some(),
        }
    }
}

/// All leases that were found.
#[derive(Debug, Default)]
pub struct Leases {
    /// The leases, by ascending port.
    pub leases: Vec<Lease>,
    /// Processes that have the name of a lease without being a lease daemon, by ascending port.
    pub taken: Vec<NameTaken>,
    /// Why lease daemons could not be asked.
    pub unasked: Option<io::Error>,
}

impl Leases {
    /// The lease on a port.
    pub fn on(&self, port: u16) -> Option<&Lease> {
        self.leases.binary_search_by_key(&port, |lease| lease.port).ok().map(|index| &self.leases[index])
    }

    /// The process that has the name of the lease on a port without being a lease daemon.
    pub fn name_taken(&self, port: u16) -> Option<&NameTaken> {
        self.taken.binary_search_by_key(&port, |taken| taken.port).ok().map(|index| &self.taken[index])
    }
}

/// The result of releasing a port.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "files of leases are in the user's own directory"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// It is released.
    Done(Lease),
    /// It was not leased.
    NotLeased,
    /// It belongs to another user.
    NotOurs(Lease),
    /// A command has it, and it ends with the command.
    OfCommand(Lease),
    /// A process that is no lease daemon has the name of its lease.
    NameTaken(NameTaken),
    /// The lease daemon did not answer, or did not release it.
    Unanswered,
}

/// Ports that were just leased. The leases can still be called off. By default nothing is leased.
#[derive(Debug, Default)]
pub struct Leased {
    /// The leases.
    pub leases: Vec<Lease>,
    pub(super) keeping: Option<Keeping>,
}

impl Leased {
    /// Ends the leases again, before anybody knows of them.
    pub fn call_off(self) {
        if let Some(keeping) = self.keeping {
            keeping.call_off();
        }
    }
}
