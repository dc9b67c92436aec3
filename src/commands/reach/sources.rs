//! Which packets are tried for a port: from where, and to which address of this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::diagnose::Observed;
use crate::model::{Family, Origin, Place, Question, Socket};

/// Addresses for documentation (RFC 5737, RFC 3849): nobody has them.
const ELSEWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// What questions are made from.
#[derive(Debug)]
pub struct Asker<'a> {
    /// The sources that were named; the usual ones if there are none.
    pub from: &'a [IpAddr],
    /// The addresses of this machine.
    pub places: &'a [Place],
    /// The only family that is asked about.
    pub family: Option<Family>,
    /// Whether only other machines elsewhere count.
    pub is_audit: bool,
}

impl Asker<'_> {
    /// The packets to try for one port.
    pub fn questions(&self, port: &Observed) -> Vec<Question> {
        let found = if self.from.is_empty() { self.usual(port) } else { self.named(port) };
        found.into_iter().filter(|question| Family::fits(self.family, question.to.ip())).collect()
    }

    fn usual(&self, port: &Observed) -> Vec<Question> {
        let mut found = Vec::new();
        if !self.is_audit {
            found.extend(self.here(port));
            found.extend(self.networks(port));
        }
        for from in ELSEWHERE {
            found.extend(self.question(port, from, &Origin::Elsewhere, self.main_place(from)));
        }
        found
    }

    /// From this machine: to loopback, or to where the server is.
    fn here(&self, port: &Observed) -> Vec<Question> {
        let to = |loopback: IpAddr| {
            let family = Family::of(loopback);
            let asked = port.addresses.iter().copied().find(|&address| Family::fits(Some(family), address));
            let mut serving = waiting(port).filter(|socket| socket.serves(Some(family))).peekable();
            let is_any = serving.peek().is_some() || (family == Family::Ipv4 && !waiting(port).any(|_| true));
            let own = serving.map(|socket| socket.local.ip().to_canonical());
            let own = own.map(|address| if address.is_unspecified() { loopback } else { address }).min();
            match (asked, port.addresses.is_empty()) {
                (Some(asked), _) => Some(asked),
                (None, true) if is_any => Some(own.unwrap_or(loopback)),
                (None, _) => None,
            }
        };
        let loopbacks = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let question = |to: IpAddr| self.local(port, to);
        loopbacks.into_iter().filter_map(to).map(question).collect()
    }

    fn local(&self, port: &Observed, to: IpAddr) -> Question {
        // Traffic to an own address stays on loopback, with that address as its source.
        Question {
            protocol: port.protocol,
            from: to,
            origin: Origin::Here,
            to: SocketAddr::new(to, port.port),
            through: self.places.first().map_or(0, |place| place.index),
        }
    }

    /// From a neighbour in each network that this machine is connected to.
    fn networks(&self, port: &Observed) -> Vec<Question> {
        let mut found: Vec<Question> = Vec::new();
        let mut told = Vec::new();
        for place in self.places.iter().filter(|place| !is_link_local(place.address)) {
            let Some((network, neighbour)) = neighbour(place) else { continue };
            let name = format!("{network}/{}", place.prefix);
            if told.contains(&(name.clone(), place.index)) {
                continue;
            }
            told.push((name.clone(), place.index));
            let origin = Origin::Network(name, place.interface.clone());
            found.extend(self.question(port, neighbour, &origin, Some(place)));
        }
        found
    }

    fn named(&self, port: &Observed) -> Vec<Question> {
        let is_own =
            |address: IpAddr| address.is_loopback() || self.places.iter().any(|place| place.address == address);
        let mut found = Vec::new();
        for &from in self.from {
            if is_own(from) {
                let asked = port.addresses.iter().copied().find(|asked| asked.is_ipv4() == from.is_ipv4());
                found.push(Question { from, ..self.local(port, asked.unwrap_or(from)) });
            } else {
                let near = self.places.iter().find(|place| contains(place, from));
                found.extend(self.question(port, from, &Origin::Named, near.or_else(|| self.main_place(from))));
            }
        }
        found
    }

    /// The address that machines elsewhere know: that of the interface of the default route.
    fn main_place(&self, from: IpAddr) -> Option<&Place> {
        let mut fitting: Vec<&Place> = self.places.iter().filter(|place| is_usable(place, from)).collect();
        fitting.sort_by_key(|place| !place.is_default);
        fitting.first().copied()
    }

    /// To `place`, or to the addresses that were asked about.
    fn question(&self, port: &Observed, from: IpAddr, origin: &Origin, place: Option<&Place>) -> Vec<Question> {
        let asked: Vec<IpAddr> =
            port.addresses.iter().copied().filter(|address| address.is_ipv4() == from.is_ipv4()).collect();
        let through = place.or_else(|| self.places.first()).map_or(0, |place| place.index);
        let to: Vec<IpAddr> = match (place, port.addresses.is_empty()) {
            (_, false) => asked,
            (Some(place), true) => vec![place.address],
            // A machine without an address in any network is asked by its loopback address.
            (None, true) if from.is_ipv4() || !self.from.is_empty() => vec![loopback(from)],
            (None, true) => Vec::new(),
        };
        let question = |to| Question {
            protocol: port.protocol,
            from,
            origin: origin.clone(),
            to: SocketAddr::new(to, port.port),
            through,
        };
        to.into_iter().map(question).collect()
    }
}

fn waiting(port: &Observed) -> impl Iterator<Item = &Socket> {
    port.sockets.iter().filter(|socket| socket.state.is_listening())
}

fn loopback(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn is_usable(place: &Place, from: IpAddr) -> bool {
    place.address.is_ipv4() == from.is_ipv4() && (!is_link_local(place.address) || is_link_local(from))
}

/// The bits of an address, and how many it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

fn network_of(place: &Place) -> (u128, u32) {
    let (bits, width) = bits(place.address);
    let free = width.saturating_sub(place.prefix.into());
    (bits.checked_shr(free).and_then(|bits| bits.checked_shl(free)).unwrap_or_default(), free)
}

fn contains(place: &Place, address: IpAddr) -> bool {
    let (base, free) = network_of(place);
    let other = Place { address, ..place.clone() };
    place.address.is_ipv4() == address.is_ipv4() && (base, free) == network_of(&other) && is_usable(place, address)
}

/// A network, and an address in it that is not ours. `None` if it has no other.
fn neighbour(place: &Place) -> Option<(IpAddr, IpAddr)> {
    let ((base, free), (own, width)) = (network_of(place), bits(place.address));
    let address = |bits: u128| match width {
        32 => Some(IpAddr::V4(u32::try_from(bits).ok()?.into())),
        _ => Some(IpAddr::V6(bits.into())),
    };
    let other = (1..=2).map(|host| base + host).find(|&bits| bits != own);
    if free == 1 {
        return Some((address(base)?, address(own ^ 1)?));
    }
    if free == 0 { None } else { Some((address(base)?, address(other?)?)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;
    use crate::testing::listener;

    fn place(address: &str, prefix: u8) -> Place {
        let address = address.parse().unwrap();
        Place { interface: "eth0".to_owned(), index: 2, address, prefix, is_default: true }
    }

    fn asked(from: &[&str], sockets: &[&str], places: &[Place]) -> Vec<String> {
        let from: Vec<IpAddr> = from.iter().map(|from| from.parse().unwrap()).collect();
        let asker = Asker { from: &from, places, family: None, is_audit: false };
        let sockets = sockets.iter().map(|local| listener(local)).collect();
        let port = Observed { sockets, ..Observed::of(80, Protocol::Tcp) };
        asker.questions(&port).iter().map(|question| format!("{} {}", question.from, question.to)).collect()
    }

    #[test]
    fn every_network_and_elsewhere_are_asked_without_from() {
        let places = [place("10.77.0.1", 24), place("fd00::5", 64), place("fe80::1", 64), place("192.0.2.1", 32)];
        let expected = [
            "127.0.0.1 127.0.0.1:80",
            "10.77.0.2 10.77.0.1:80",
            "fd00::1 [fd00::5]:80",
            "203.0.113.1 10.77.0.1:80",
            "2001:db8::1 [fd00::5]:80",
        ];
        assert_eq!(asked(&[], &["0.0.0.0:80"], &places), expected);
        assert_eq!(asked(&[], &["10.77.0.1:80"], &places)[0], "10.77.0.1 10.77.0.1:80");
        assert_eq!(asked(&[], &[], &[]), ["127.0.0.1 127.0.0.1:80", "203.0.113.1 127.0.0.1:80"]);
    }

    #[test]
    fn a_named_source_connects_to_the_address_next_to_it() {
        let places = [place("10.77.0.1", 24), Place { is_default: false, ..place("10.88.0.1", 24) }];
        assert_eq!(
            asked(&["10.88.0.9", "8.8.8.8"], &["0.0.0.0:80"], &places),
            ["10.88.0.9 10.88.0.1:80", "8.8.8.8 10.77.0.1:80"]
        );
        assert_eq!(asked(&["10.77.0.1"], &["0.0.0.0:80"], &places), ["10.77.0.1 10.77.0.1:80"]);
        assert_eq!(asked(&["2001:db8::7"], &["0.0.0.0:80"], &places), ["2001:db8::7 [::1]:80"]);
    }

    #[test]
    fn a_network_of_two_has_one_neighbour() {
        assert_eq!(asked(&[], &[], &[place("10.0.0.1", 31)])[1], "10.0.0.0 10.0.0.1:80");
        assert_eq!(asked(&[], &[], &[place("0.0.0.0", 0)]).len(), 3);
    }
}
