//! What besides sockets decides whether a bind works: the addresses of this machine, and what this
//! process may do.

use std::net::IpAddr;

use super::Protocol;

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// The interface that has it.
    pub interface: String,
    /// Whether it cannot be used yet: the machine still checks whether another one has it (RFC
    /// 4862, section 5.4), or another one has.
    pub is_tentative: bool,
}

/// What may keep this process from binding a port that nobody holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Whether it can gain no more privileges (`NoNewPrivs`, proc_pid_status(5)). A process under
    /// Landlock usually cannot.
    pub no_new_privileges: Option<bool>,
    /// Whether seccomp filters its system calls (`Seccomp: 2`).
    pub is_filtered: Option<bool>,
    /// How many BPF programs of its cgroup, and of those above, decide about its binds. `None` if
    /// that cannot be seen.
    pub bind_programs: Option<u32>,
    /// Whether SELinux is present and enforcing.
    pub selinux_enforces: bool,
}

/// A range of ports that Windows lets nobody bind by number. Hyper-V, WinNAT (which Docker and WSL
/// use) and others take such ranges, and administrators set some up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcludedRange {
    /// The protocol.
    pub protocol: Protocol,
    /// The first port.
    pub first: u16,
    /// The last port, inclusive.
    pub last: u16,
    /// Whether an administrator set it up, so that it stays after a restart.
    pub is_administered: bool,
}

/// What besides sockets decides whether a bind works. Read only if bind(2) gives a reason to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The addresses of this machine; empty if nobody asked, or they cannot be listed.
    pub addresses: Vec<InterfaceAddress>,
    /// The setting that turns IPv6 off, by its name in sysctl(8).
    pub ipv6_disabled_by: Option<&'static str>,
    /// Set if bind(2) was refused.
    pub sandbox: Option<Sandbox>,
    /// The ranges that cannot be bound. Set if bind was refused on a system that has such ranges.
    pub excluded_ranges: Option<Vec<ExcludedRange>>,
}
