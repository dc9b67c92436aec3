//! Chains of rules as far as they matter for DNAT, and the way of a new connection through them.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::{Destination, Protocol};
use crate::port_set::PortSet;

/// The chains of one table, by name.
pub type Chains = HashMap<String, Chain>;

/// A chain.
#[derive(Debug, Default)]
pub struct Chain {
    /// Whether what arrives from other machines enters here.
    pub is_entry: bool,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What has to fit.
    pub matches: Match,
    /// What happens then.
    pub action: Action,
    /// Its place in the chain, counted from 1.
    pub position: usize,
}

/// What has to fit, where it is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// The protocol; any if `None`.
    pub protocol: Option<Protocol>,
    /// The ports; any if `None`.
    pub ports: Option<PortSet>,
    /// The destination, as an address and the length of its prefix.
    pub destination: Option<(IpAddr, u8)>,
    /// Whether there are conditions besides, such as the interface or the source.
    pub has_more: bool,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It goes on in another chain.
    Jump(String),
    /// It sends the connection elsewhere.
    Divert(Option<Destination>),
    /// It ends the chain.
    Return,
    /// It decides otherwise: accept, drop.
    End,
    /// It goes on with the next rule: counters, logs, marks.
    Next,
}

/// More jumps than this are a circle, which the kernel does not load (16, `NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 16;

/// What arrives for a port of this machine.
pub struct Packet<'a> {
    /// Its protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// The addresses of this machine.
    pub local: &'a [IpAddr],
}

/// The rule that diverts a packet, and its chain. Rules that have more conditions count as if these were met.
pub fn diverting<'a>(chains: &'a Chains, packet: &Packet<'_>) -> Option<(&'a str, &'a Rule)> {
    let mut entries: Vec<&'a String> =
        chains.iter().filter(|(_, chain)| chain.is_entry).map(|(name, _)| name).collect();
    entries.sort_unstable();
    entries.into_iter().find_map(|name| packet.through(chains, name, DEEPEST).ok().flatten())
}

/// That a rule has decided.
struct Decided;

impl Packet<'_> {
    fn through<'a>(
        &self,
        chains: &'a Chains,
        name: &'a str,
        deeper: usize,
    ) -> Result<Option<(&'a str, &'a Rule)>, Decided> {
        let Some(chain) = chains.get(name).filter(|_| deeper > 0) else { return Ok(None) };
        for rule in chain.rules.iter().filter(|rule| self.fits(&rule.matches)) {
            match &rule.action {
                Action::Divert(_) => return Ok(Some((name, rule))),
                Action::Jump(target) => {
                    let found = self.through(chains, target, deeper - 1)?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                Action::Return if !rule.matches.has_more => return Ok(None),
                Action::End if !rule.matches.has_more => return Err(Decided),
                Action::Return | Action::End | Action::Next => {}
            }
        }
        Ok(None)
    }

    fn fits(&self, matches: &Match) -> bool {
        matches.protocol.is_none_or(|protocol| protocol == self.protocol)
            && matches.ports.as_ref().is_none_or(|ports| ports.contains(self.port))
            && matches.destination.is_none_or(|(net, length)| self.local.iter().any(|&own| is_within(own, net, length)))
    }
}

fn is_within(address: IpAddr, net: IpAddr, length: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let ((address, width), (net, net_width)) = (bits(address), bits(net));
    let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
    width == net_width && address & mask == net & mask
}
