//! What decides about a bind besides sockets: the addresses of this machine, and what this process may do.

use std::net::IpAddr;

use super::Protocol;

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// The interface that has it.
    pub interface: String,
    /// Whether it may not be used yet: whether another machine has it is still being found out (RFC 4862, section
    /// 5.4), or one has.
    pub is_tentative: bool,
}

/// What may keep this process from binding a port that nobody holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Whether it gave up gaining privileges (`NoNewPrivs`, proc_pid_status(5)), as one under Landlock mostly has.
    pub no_new_privileges: Option<bool>,
    /// Whether seccomp filters its system calls (`Seccomp: 2`).
    pub is_filtered: Option<bool>,
    /// How many BPF programs of its cgroup and those above decide about its binds. `None` if that may not be seen.
    pub bind_programs: Option<u32>,
    /// Whether SELinux is there and enforces its policy.
    pub selinux_enforces: bool,
}

/// A range of ports that Windows gives to nobody who asks for one of them: taken by Hyper-V, WinNAT (which Docker and WSL use) and
/// others, or set up by an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcludedRange {
    /// The protocol.
    pub protocol: Protocol,
    /// The first port.
    pub first: u16,
    /// The last port, which belongs to it.
    pub last: u16,
    /// Whether an administrator set it up, so that it stays after a restart.
    pub is_administered: bool,
}

/// Looked at only where bind(2) gives a reason to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The addresses of this machine; empty if nobody asked, or they cannot be listed.
    pub addresses: Vec<InterfaceAddress>,
    /// The setting that switches IPv6 off, by its name in sysctl(8).
    pub ipv6_disabled_by: Option<&'static str>,
    /// Set if bind(2) was refused.
    pub sandbox: Option<Sandbox>,
    /// The ranges that may not be bound, set if bind was refused on a system that has such.
    pub excluded_ranges: Option<Vec<ExcludedRange>>,
}
