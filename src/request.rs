//! What was asked, in the program's own terms: what the command line means, without any trace of
//! it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::classify::Class;
use crate::collect::{Detail, Namespaces, Scope};
use crate::model::{Backend, Family, Pid, Protocol, State};
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
            detail: self.detail,
            quick: self.quick,
            family: self.family,
            namespaces: self.namespaces.clone(),
        }
    }
}

/// What a listing is narrowed to. Every field that is set must fit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Owned by one of these processes; any if empty.
    pub pids: Vec<Pid>,
    /// Owned by a process with this text in its name or command line, in whatever case.
    pub process: Option<String>,
    /// Created by this user, or owned by a process of this user, by name or id.
    pub user: Option<String>,
    /// On a port of this class.
    pub class: Option<Class>,
    /// Reachable from beyond this machine.
    pub exposed: bool,
}

/// What a listing is ordered by; ties by port and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Sort {
    /// The port number.
    #[default]
    Port,
    /// TCP before UDP.
    Protocol,
    /// The name of the service.
    Service,
    /// The lowest address.
    Address,
    /// What can be reached from the farthest first.
    Exposure,
    /// The name of the first owner; unknown ones last.
    Process,
    /// The pid of the first owner; unknown ones last.
    Pid,
    /// The name of the user; unknown ones last.
    User,
}

/// What connections are narrowed to, and how they are shown. Every field that is set must fit.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Whose one of the ends is.
    pub filter: Filter,
    /// In one of these states; any if empty.
    pub states: Vec<State>,
    /// With an end of this machine at one of these places; anywhere if empty.
    pub local: Vec<AddressPattern>,
    /// With the other end at one of these places; anywhere if empty.
    pub peer: Vec<AddressPattern>,
    /// What they are counted by.
    pub by: Option<By>,
    /// What comes first.
    pub order: Order,
    /// Whether that comes last.
    pub is_reversed: bool,
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

/// What connections are ordered by; the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Order {
    /// The port of the server, then the client.
    #[default]
    Port,
    /// The name of the process.
    Process,
    /// The other end.
    Peer,
    /// The state.
    State,
    /// Bytes sent.
    Sent,
    /// Bytes received.
    Received,
    /// The round-trip time.
    Rtt,
    /// How long ago data was last sent or received.
    Idle,
}

/// Some addresses, and a port of them or all: `10.0.0.0/8`, `192.0.2.1:443`, `:5432`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern {
    network: Option<IpNet>,
    port: Option<u16>,
}

impl AddressPattern {
    /// Whether an end of a connection is there.
    pub fn has(&self, end: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == end.port())
            && self.network.is_none_or(|network| network.contains(&end.ip().to_canonical()))
    }
}

impl FromStr for AddressPattern {
    type Err = &'static str;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "is no place: write an address such as 10.0.0.5, 10.0.0.0/8, [fe80::1]:22, 10.0.0.5:443 or :443";
        // An address of IPv6 without a port has colons, too.
        let network = |text: &str| {
            let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))
        };
        if let Some(network) = network(typed) {
            return Ok(Self { network: Some(network), port: None });
        }
        let (address, port) = typed.rsplit_once(':').ok_or(EXPECTED)?;
        let port = Some(port.parse().map_err(|_| EXPECTED)?);
        match address {
            "" | "*" => Ok(Self { network: None, port }),
            address => Ok(Self { network: Some(network(address).ok_or(EXPECTED)?), port }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_people_write_them() {
        let has = |place: &str, end: &str| place.parse::<AddressPattern>().unwrap().has(end.parse().unwrap());
        for (place, end) in [
            ("10.0.0.0/8", "10.1.2.3:5"),
            ("10.1.2.3", "10.1.2.3:5"),
            ("10.1.2.3:5", "10.1.2.3:5"),
            (":5", "10.1.2.3:5"),
            ("*:5", "[::1]:5"),
            ("::1", "[::1]:5"),
            ("[::1]:5", "[::1]:5"),
            ("fe80::/10", "[fe80::7]:5"),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]:5"),
        ] {
            assert!(has(place, end), "{place} {end}");
        }
        for (place, end) in [("10.0.0.0/8", "11.1.2.3:5"), (":6", "10.1.2.3:5"), ("10.1.2.3:6", "10.1.2.3:5")] {
            assert!(!has(place, end), "{place} {end}");
        }
        for wrong in ["", "x", "10.0.0.0/99", "10.1.2.3:x", "10.1.2.3:70000", "a:1"] {
            assert!(wrong.parse::<AddressPattern>().is_err(), "{wrong}");
        }
    }
}
