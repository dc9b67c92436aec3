//! What was asked, in the program's own terms: what the command line means, without any trace of
//! it.

mod address_pattern;
mod columns;
mod filter;

use std::net::{IpAddr, SocketAddr};

pub use address_pattern::AddressPattern;
pub use columns::{Column, ConnectionColumn, Order};
pub use filter::Filter;

use crate::collect::{Detail, Namespaces, Scope};
use crate::model::{Backend, Family, Protocol, Socket};
use crate::target::Target;

/// A question about ports.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice by itself")]
#[derive(Debug, Clone)]
pub struct Request {
    /// The ports asked about; all that are in use, if there are none.
    pub targets: Vec<Target>,
    /// The protocols to look at, in the order of the answer.
    pub protocols: Vec<Protocol>,
    /// Only what this family reaches; both if `None`.
    pub family: Option<Family>,
    /// Whether to show connections too.
    pub connections: bool,
    /// How much to learn about the owners.
    pub detail: Detail,
    /// Whether the first holder of a socket is enough.
    pub quick: bool,
    /// What to read the facts with.
    pub backend: Backend,
    /// Whether to ask bind(2) as well.
    pub probe: bool,
    /// Whether to judge for a server that sets SO_REUSEADDR.
    pub reuse_address: bool,
    /// In which network namespaces to look.
    pub namespaces: Namespaces,
    /// What this program is called by, for remedies that call it again.
    pub program: String,
}

impl Request {
    /// What is to be read of the machine. The tables of protocols that nobody asks about are not.
    pub fn scope(&self) -> Scope {
        let targets = &self.targets;
        let is_asked = |protocol: &Protocol| targets.is_empty() || targets.iter().any(|target| target.wants(*protocol));
        Scope {
            backend: self.backend,
            protocols: self.protocols.iter().copied().filter(is_asked).collect(),
            targets: targets.clone(),
            connections: self.connections,
            tcp_info: false,
            detail: self.detail,
            quick: self.quick,
            family: self.family,
            namespaces: self.namespaces.clone(),
        }
    }

    /// Whether a socket, or one of the ends of a connection, is at a target, and of a family that is
    /// asked about.
    pub fn concerns(&self, socket: &Socket) -> bool {
        let is_at = |target: &Target, end: SocketAddr| {
            let is_there = |address: &IpAddr| address.to_canonical() == end.ip().to_canonical();
            target.ports().contains(&end.port())
                && (target.addresses.is_empty() || target.addresses.iter().any(is_there))
        };
        let is_target = |target: &Target| match socket.remote {
            Some(remote) => is_at(target, socket.local) || is_at(target, remote),
            None => target.ports().contains(&socket.local.port()) && target.covers(socket),
        };
        let is_asked = |target: &Target| target.wants(socket.protocol) && is_target(target);
        socket.serves(self.family) && (self.targets.is_empty() || self.targets.iter().any(is_asked))
    }
}

/// How connections are shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrangement {
    /// What they are counted by, if they are.
    pub by: Option<By>,
    /// What comes first.
    pub order: Order<ConnectionColumn>,
    /// Whether the names of other machines are asked for.
    pub with_names: bool,
}

/// What connections are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum By {
    /// The process at the end of this machine.
    Process,
    /// The address of the other end.
    Peer,
    /// The state.
    State,
    /// The port of the server.
    Port,
}
