//! Joins the two ends of each connection, where both are on this machine.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use super::{Connection, Direction};
use crate::model::{Namespace, Protocol, Socket};

/// A place among the sockets. There may be very many, and never four billion.
type Place = u32;

/// A connection, by the places of its ends.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The server's end, if both are here.
    pub own: Place,
    /// The other end, if it is here.
    pub peer: Option<Place>,
    /// Who opened it.
    pub direction: Option<Direction>,
    /// Who listens for it.
    pub listener: Option<Place>,
}

impl Pair {
    /// The connection, of the sockets that were joined.
    pub fn of(self, sockets: &[Socket]) -> Connection<'_> {
        let at = |place: Place| &sockets[place as usize];
        Connection {
            own: at(self.own),
            peer: self.peer.map(at),
            direction: self.direction,
            listener: self.listener.map(at),
        }
    }
}

/// One end of a connection, as both its ends see it. A namespace is no part of it: two of them are
/// joined by an interface in each.
type Ends = (Protocol, SocketAddr, SocketAddr);

/// Both ends, from that of `socket`; `None` if it is not connected.
fn ends(socket: &Socket) -> Option<Ends> {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Some((socket.protocol, plain(socket.local), plain(socket.remote?)))
}

/// Joins the two ends of each connection. `picked` are the ports that the kernel picks for clients.
pub fn join(sockets: &[Socket], picked: Option<(u16, u16)>) -> Vec<Pair> {
    let listeners = Listeners::among(sockets);
    let socket = |at: Place| &sockets[at as usize];
    let is_connected = |&at: &Place| !socket(at).state.is_waiting() && socket(at).remote.is_some();
    let mut connected: Vec<Place> = (0..).zip(sockets).map(|(at, _)| at).filter(is_connected).collect();
    // Both ends of a connection have the same hash, so they come next to each other.
    let hasher = RandomState::new();
    connected.sort_by_cached_key(|&at| {
        hasher.hash_one(ends(socket(at)).map(|(protocol, a, b)| (protocol, a.min(b), a.max(b))))
    });
    let role = |at: Place| {
        let listener = listeners.of(socket(at));
        (direction(socket(at), listener.is_some(), picked), listener)
    };
    let mut pairs = Vec::new();
    let is_together = |&a: &Place, &b: &Place| {
        let (a, b) = (socket(a), socket(b));
        ends(a) == ends(b) || is_mirrored(a, b)
    };
    for group in connected.chunk_by(is_together) {
        let mut left: Vec<Place> = group.to_vec();
        left.reverse();
        while let Some(at) = left.pop() {
            let server = || listeners.shared_by(socket(at));
            pairs.push(match take_peer(sockets, at, &mut left) {
                None if let Some(server) = server() => {
                    Pair { own: at, peer: Some(server), direction: Some(Direction::Outgoing), listener: None }
                }
                peer => joined(at, peer, role),
            });
        }
    }
    pairs
}

/// Whether two sockets are the ends of one connection, by their addresses.
fn is_mirrored(a: &Socket, b: &Socket) -> bool {
    ends(a).map(|(protocol, local, remote)| (protocol, remote, local)) == ends(b)
}

/// Takes the other end of a connection out of `left`. Several namespaces may have the same addresses:
/// the own one comes first.
fn take_peer(sockets: &[Socket], at: Place, left: &mut Vec<Place>) -> Option<Place> {
    let own = &sockets[at as usize];
    let distance = |other: Place| {
        let other = &sockets[other as usize];
        let is_far = other.namespace != own.namespace;
        (is_mirrored(own, other) && (!is_far || !is_within(own))).then_some(is_far)
    };
    let candidates = left.iter().enumerate().rev().filter_map(|(place, &other)| Some((distance(other)?, place)));
    let nearest = candidates.min_by_key(|&(is_far, _)| is_far);
    nearest.map(|(_, place)| left.remove(place))
}

/// The server's end tells more, so it is the own one.
fn joined(at: Place, peer: Option<Place>, role: impl Fn(Place) -> (Option<Direction>, Option<Place>)) -> Pair {
    let (direction, listener) = role(at);
    let is_incoming = |direction| direction == Some(Direction::Incoming);
    if let Some(peer) = peer.filter(|_| !is_incoming(direction))
        && let (direction, listener) = role(peer)
        && is_incoming(direction)
    {
        return Pair { own: peer, peer: Some(at), direction, listener };
    }
    Pair { own: at, peer, direction, listener }
}

/// Who opened a connection, from the end `socket`. A listener may have been closed since. Then the
/// ports tell: the kernel picks those of clients.
fn direction(socket: &Socket, is_served: bool, picked: Option<(u16, u16)>) -> Option<Direction> {
    let is_picked = |port: u16| picked.is_some_and(|(first, last)| (first..=last).contains(&port));
    match (is_picked(socket.local.port()), is_picked(socket.remote?.port())) {
        _ if is_served => Some(Direction::Incoming),
        (false, true) => Some(Direction::Incoming),
        (true, false) => Some(Direction::Outgoing),
        _ => None,
    }
}

/// Whether a connection cannot leave its network namespace.
fn is_within(socket: &Socket) -> bool {
    let local = socket.local.ip().to_canonical();
    local.is_loopback() || socket.remote.is_some_and(|remote| remote.ip().to_canonical() == local)
}

/// Where somebody listens: the places of these sockets among all.
struct Listeners<'a> {
    sockets: &'a [Socket],
    places: HashMap<(Protocol, u16, Option<&'a Namespace>), Vec<Place>>,
}

impl<'a> Listeners<'a> {
    fn among(sockets: &'a [Socket]) -> Self {
        let mut places: HashMap<_, Vec<Place>> = HashMap::new();
        for (at, socket) in (0..).zip(sockets).filter(|(_, socket)| socket.state.is_listening()) {
            let place = (socket.protocol, socket.local.port(), socket.namespace.as_deref());
            places.entry(place).or_default().push(at);
        }
        Self { sockets, places }
    }

    /// The one to which a connection came.
    fn of(&self, socket: &Socket) -> Option<Place> {
        self.at(socket, socket.local)
    }

    /// The socket of UDP without a peer that serves a connected one: many clients share it.
    fn shared_by(&self, socket: &Socket) -> Option<Place> {
        let remote = socket.remote.filter(|_| socket.protocol == Protocol::Udp && is_within(socket))?;
        self.at(socket, remote)
    }

    fn at(&self, socket: &Socket, end: SocketAddr) -> Option<Place> {
        let place = (socket.protocol, end.port(), socket.namespace.as_deref());
        self.places.get(&place)?.iter().copied().find(|&at| self.sockets[at as usize].overlaps(end.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, State};
    use crate::testing::{connection as end, namespace};

    fn away(socket: Socket) -> Socket {
        Socket { namespace: Some(Box::new(namespace("blue"))), ..socket }
    }

    fn found(sockets: &[Socket]) -> Vec<(u16, bool, Option<Direction>)> {
        let mut pairs = join(sockets, Some((32768, 60999)));
        pairs.sort_by_key(|pair| pair.own.min(pair.peer.unwrap_or(pair.own)));
        let found = pairs.iter().map(|pair| pair.of(sockets));
        found.map(|found| (found.own.local.port(), found.peer.is_some(), found.direction)).collect()
    }

    #[test]
    fn only_what_can_leave_a_namespace_is_joined_with_another() {
        let incoming = Some(Direction::Incoming);
        let ends = |client: &str, server: &str| (end(client, server), end(server, client));
        let (client, server) = ends("127.0.0.1:40000", "127.0.0.1:80");
        assert_eq!(found(&[client.clone(), server.clone()]), [(80, true, incoming)]);
        let apart = [(40000, false, Some(Direction::Outgoing)), (80, false, incoming)];
        assert_eq!(found(&[client, away(server)]), apart);
        let (client, server) = ends("10.0.0.1:40000", "10.0.0.1:80");
        assert_eq!(found(&[client, away(server)]), apart, "its own address");
        let (client, server) = ends("10.0.0.1:40000", "10.0.0.2:80");
        assert_eq!(found(&[client.clone(), away(server.clone())]), [(80, true, incoming)]);
        // Of two with the same addresses, that in the own namespace is meant.
        let all = found(&[client, away(server.clone()), server]);
        assert_eq!(all, [(80, true, incoming), (80, false, incoming)]);
    }

    #[test]
    fn without_a_listener_the_ports_tell_who_connected() {
        let alone = |local: &str, remote: &str| found(&[end(local, remote)])[0].2;
        assert_eq!(alone("10.0.0.1:80", "10.0.0.2:40000"), Some(Direction::Incoming));
        assert_eq!(alone("10.0.0.1:40000", "10.0.0.2:80"), Some(Direction::Outgoing));
        assert_eq!(alone("10.0.0.1:40000", "10.0.0.2:40001"), None);
        assert_eq!(alone("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:81"), None);
        let listener = Socket::new(Protocol::Tcp, Family::Ipv4, State::Listen, "0.0.0.0:40000".parse().unwrap());
        assert_eq!(found(&[listener, end("10.0.0.1:40000", "10.0.0.2:80")])[0].2, Some(Direction::Incoming));
    }
}
