//! Forwards: where a holder passes on what arrives at a port.

use std::net::SocketAddr;

use super::{Engine, EngineContainer, Pid};

/// Where what arrives at a port goes on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// How it goes on.
    pub kind: ForwardKind,
    /// The engine or program that passes it on: `docker`, `ssh`, `socat`.
    pub by: String,
    /// Where it goes. `None` if that cannot be seen.
    pub to: Option<Destination>,
    /// The container that it goes to.
    pub container: Option<Box<EngineContainer>>,
    /// Who listens at the destination.
    pub ends_at: Vec<Server>,
    /// How sure all this is.
    pub confidence: Confidence,
    /// What could not be told, if anything.
    pub untold: Option<Untold>,
}

/// How a forward works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum ForwardKind {
    /// A container engine publishes a port of a container.
    Published,
    /// `ssh -L`: from here to a place that the ssh server reaches.
    LocalForward,
    /// `ssh -R`: from the ssh server to a place that the client reaches.
    RemoteForward,
    /// `ssh -D`: a SOCKS proxy.
    DynamicForward,
    /// A program that connects on: socat, `kubectl port-forward`.
    Proxy,
    /// DNAT in the firewall, without any socket.
    Rule,
}

/// How sure a forward is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Confidence {
    /// The engine, the program's arguments or the kernel say so.
    Known,
    /// It was deduced.
    Likely,
    /// The destination cannot be seen.
    Unknown,
}

/// Where a forward leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The address, or the name that the program was given.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// The inode of the network namespace that the address belongs to; `None` if unknown.
    pub namespace: Option<u64>,
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port(), namespace: None }
    }
}

/// A process that listens at the end of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its id, in our pid namespace.
    pub pid: Pid,
    /// Its name.
    pub name: String,
}

/// What could not be told of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// The engine that knows, if there is one.
    pub engine: Option<Engine>,
    /// Why it could not be told, as a sentence without its full stop.
    pub reason: String,
}

impl Forward {
    /// Whether another one leads to the same place.
    pub fn leads_where(&self, other: &Self) -> bool {
        match (&self.container, &other.container) {
            (Some(own), Some(others)) => {
                let port = |forward: &Self| forward.to.as_ref().map(|to| to.port);
                own.id == others.id && port(self) == port(other)
            }
            _ if self.to.is_some() => self.to == other.to,
            _ => self == other,
        }
    }

    /// The container, if its engine or the engine's own process vouches for it.
    pub fn confirmed_container(&self) -> Option<&EngineContainer> {
        self.container.as_deref().filter(|_| self.untold.is_none())
    }
}
