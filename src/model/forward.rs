//! Forwards: where a holder passes on what arrives at a port.

use std::fmt;
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
    /// The same where that is no port: the path of a unix socket, or the name of something that has
    /// no port of its own.
    pub to_place: Option<String>,
    /// What stands between both ends.
    pub through: Option<Through>,
    /// The container that it goes to.
    pub container: Option<Box<EngineContainer>>,
    /// Who listens at the destination.
    pub ends_at: Vec<Server>,
    /// Whether the destination is on this machine, and nobody listens there.
    pub is_dead: bool,
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

/// What stands between both ends of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Through {
    /// A server of ssh, from which the destination is reached.
    Ssh(SshServer),
    /// A proxy of SOCKS or HTTP, at this host.
    Proxy(String),
    /// A namespace of Kubernetes, in which the destination is.
    Kubernetes(String),
    /// A service on the internet.
    Cloud(&'static str),
}

/// A server of ssh, as the command line of a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshServer {
    /// The user there.
    pub user: Option<String>,
    /// Its address, or its name.
    pub host: String,
    /// The port that it is reached at.
    pub port: u16,
    /// Whether nothing stands between, so that the host is the one that this machine knows by that
    /// name.
    pub is_direct: bool,
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

impl fmt::Display for Server {
    /// `httpd (pid 9622)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
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
    /// One of which nothing else is known.
    pub fn new(kind: ForwardKind, by: &str) -> Self {
        Self {
            kind,
            by: by.to_owned(),
            to: None,
            to_place: None,
            through: None,
            container: None,
            ends_at: Vec::new(),
            is_dead: false,
            confidence: Confidence::Unknown,
            untold: None,
        }
    }

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
