//! The facts as plain data: what was seen of sockets, processes and the host, and what could not be
//! seen.
//!
//! Nothing here does I/O, and nothing here judges. Collectors fill these types, rules and renderers
//! read them, and tests make them by hand.

mod circumstances;
mod container;
mod diversion;
mod forward;
mod forwarder;
pub mod gap;
mod identified;
mod lease;
mod namespace;
mod owners;
mod process;
mod project;
mod reach;
mod socket;
mod tcp_info;
mod virtual_host;

use std::fmt;

use crate::port_set::PortSet;

pub use circumstances::{Circumstances, ExcludedRange, InterfaceAddress, Sandbox};
pub use container::{Compose, Engine, EngineContainer, PublishedPort};
pub use diversion::Diversion;
pub use forward::{Confidence, Destination, Forward, ForwardKind, Server, SshServer, Through, Untold};
pub use forwarder::{Forwarder, Proxied};
pub use gap::{Gap, Hides, ShownBy};
pub use identified::{Asked, Certificate, Identified, Spoken, Tls};
pub use lease::{Client, Lease, LeaseKind, NameTaken};
pub use namespace::{Namespace, NamespaceName};
pub use owners::{Owners, Via};
pub use process::{Ancestor, Container, Legacy, Manager, Process, Runtime, Unit, name_or_stand_in};
pub use project::{Project, ProjectKind, Runner, Task};
pub use reach::{
    By, Doubt, Frontend, Origin, Place, Question, Reach, Reached, Replay, Reply, RuleText, Stopper, Trial,
};
pub use socket::{Descriptor, Family, KernelUser, PortProxy, Socket, State, Timer, TimerKind};
pub use tcp_info::TcpInfo;
pub use virtual_host::VirtualHost;

/// A process id, in the pid namespace of this process.
pub type Pid = u32;

/// The transport protocol. TCP and UDP ports are separate spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Protocol {
    /// RFC 9293. MPTCP sockets count as TCP: they take their port from the same space.
    Tcp,
    /// RFC 768.
    Udp,
}

impl Protocol {
    /// Both protocols, in the order in which they are reported.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// The other protocol.
    pub const fn other(self) -> Self {
        match self {
            Self::Tcp => Self::Udp,
            Self::Udp => Self::Tcp,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.into_str())
    }
}

/// What the facts were read with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Backend {
    /// The kernel's own interfaces (Linux: sock_diag(7) and proc(5)).
    Native,
    /// netstat2 and sysinfo, on every platform they know.
    Portable,
}

/// The machine, as far as the answer depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// `linux`, `macos`, `windows`.
    pub os: &'static str,
    /// The kernel's release (`uname -r`).
    pub release: Option<String>,
    /// What the facts were read with.
    pub backend: Backend,
    /// The effective user id of this process.
    pub euid: Option<u32>,
    /// First and last port that the kernel picks by itself (`ip_local_port_range`).
    pub ephemeral_range: Option<(u16, u16)>,
    /// Ports that the kernel never picks by itself (`ip_local_reserved_ports`).
    pub reserved_ports: PortSet,
    /// The first port that may be bound without privilege (`ip_unprivileged_port_start`).
    pub unprivileged_start: Option<u16>,
}

impl Host {
    /// Whether the kernel may give `port` to an outgoing connection.
    pub fn picks_by_itself(&self, port: u16) -> bool {
        self.ephemeral_range.is_some_and(|(first, last)| (first..=last).contains(&port))
            && !self.reserved_ports.contains(port)
    }

    /// The same machine without the limits on ports, which each network namespace has for itself.
    pub fn without_limits(&self) -> Self {
        Self { ephemeral_range: None, reserved_ports: PortSet::default(), unprivileged_start: None, ..self.clone() }
    }
}

/// Finds a process in a list that is ordered by pid.
pub fn find_process(processes: &[Process], pid: Pid) -> Option<&Process> {
    processes.binary_search_by_key(&pid, |process| process.pid).ok().map(|index| &processes[index])
}

/// All that was seen at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The machine.
    pub host: Host,
    /// The sockets that were asked for.
    pub sockets: Vec<Socket>,
    /// Their owners, by ascending pid, without duplicates.
    pub processes: Vec<Process>,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
}
