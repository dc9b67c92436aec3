//! Leases: ports that `portcheck free` keeps for somebody who may not have bound them yet.

use std::time::Duration;

use super::Pid;

/// A port that is kept for somebody, whether or not a socket is bound to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The port, of both protocols.
    pub port: u16,
    /// How it is kept.
    pub kind: LeaseKind,
    /// The user who took it, if the kernel tells.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<String>,
    /// The processes that keep it, in our pid namespace; empty if they cannot be seen.
    pub pids: Vec<Pid>,
    /// For whom it is kept: the caller of `portcheck free`, or the process of `--pid`.
    pub client: Option<Client>,
    /// How long it still lasts. `None` if only the end of a process ends it.
    pub expires_in: Option<Duration>,
    /// Whether it was made for the one who asks: the process that called us, or one that this
    /// descends from.
    pub is_own: bool,
}

/// Who has the name of a port's lease without being a lease daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTaken {
    /// The port.
    pub port: u16,
    /// The processes; empty if they cannot be seen.
    pub pids: Vec<Pid>,
    /// Their user, where the kernel tells.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<String>,
}

/// How a lease is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum LeaseKind {
    /// A process in the background keeps it from other callers of `portcheck free`. Anybody else
    /// may bind the port.
    Reserved,
    /// A process in the background has bound the port as well. Only a server that sets SO_REUSEADDR
    /// gets it.
    Held,
    /// The command that `portcheck free` has become keeps it while it runs.
    Command,
}

/// For whom a port is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name when the lease was taken (`comm`).
    pub name: String,
    /// Its id, if it is valid in our pid namespace.
    pub pid: Option<Pid>,
    /// Whether the lease ends with it.
    pub ends_lease: bool,
}
