//! Rules of the firewall that send what arrives for a port elsewhere (DNAT).

use super::{Forward, Protocol};

/// A rule of the firewall that diverts a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diversion {
    /// The port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it leads.
    pub forward: Forward,
    /// What keeps the rule: `nftables`, `iptables`, `iptables-legacy`.
    pub backend: &'static str,
    /// The family of the table: `ip`, `ip6`, `inet`.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain that has the rule.
    pub chain: String,
    /// Its place in the chain, counted from 1.
    pub position: usize,
}
