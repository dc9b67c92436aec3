//! `portcheck connections`: who is connected to whom, each connection once, with both ends where
//! both are on this machine.

mod names;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

use super::diagnosis::Diagnosis;
use crate::collect::{self, Scope};
use crate::error::Error;
use crate::model::{Namespace, Process, Protocol, Snapshot, Socket, State, find_process};
use crate::request::{Arrangement, By, ConnectionColumn, Filter, Request};

/// The connections that were asked about.
#[derive(Debug, Clone)]
pub struct Report {
    /// The machine, the processes at both ends, and what could not be looked at.
    pub diagnosis: Diagnosis,
    /// All sockets, of which [`pairs`](Self::pairs) are made.
    sockets: Vec<Socket>,
    /// In the order that was asked for.
    pairs: Vec<Pair>,
    /// What they are counted by, if they are.
    pub groups: Option<Vec<Group>>,
    /// How many remnants in TIME_WAIT fit as well, and are not shown.
    pub time_waits: usize,
    /// What other machines are called, if that was asked for.
    pub names: HashMap<IpAddr, String>,
}

impl Report {
    /// The connections, in the order that was asked for.
    pub fn connections(&self) -> impl ExactSizeIterator<Item = Connection<'_>> {
        self.pairs.iter().map(|pair| pair.of(&self.sockets))
    }
}

/// A connection, by the places of its ends among the sockets. There may be very many.
#[derive(Debug, Clone, Copy)]
struct Pair {
    own: usize,
    peer: Option<usize>,
    direction: Option<Direction>,
}

impl Pair {
    fn of(self, sockets: &[Socket]) -> Connection<'_> {
        let peer = self.peer.map(|peer| &sockets[peer]);
        Connection { own: &sockets[self.own], peer, direction: self.direction }
    }
}

/// A connection, from its end on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'a> {
    /// That end: the server's, if both are here.
    pub own: &'a Socket,
    /// The other end, if it is on this machine as well.
    pub peer: Option<&'a Socket>,
    /// Who opened it; `None` if that cannot be told, as nobody listens for it any more.
    pub direction: Option<Direction>,
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Direction {
    /// The other end: somebody listens here.
    Incoming,
    /// This end.
    Outgoing,
}

/// Connections that have something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What they have in common.
    pub name: String,
    /// How many they are.
    pub count: usize,
}

/// Looks for the connections that `request` and `filter` ask for.
pub fn connections(request: &Request, filter: &Filter, arrangement: Arrangement) -> Result<Report, Error> {
    // Either end may have the port, so all have to be read.
    let scope = Request { targets: Vec::new(), connections: true, ..request.clone() }.scope();
    let scope = Scope { tcp_info: true, ..scope };
    let mut snapshot = collect::snapshot(&scope)?;
    let sockets = std::mem::take(&mut snapshot.sockets);
    let mut pairs = pair(&sockets, snapshot.host.ephemeral_range);
    pairs.retain(|pair| {
        let connection = pair.of(&sockets);
        request.concerns(connection.own) && is_wanted(connection, filter, &snapshot)
    });
    let all = pairs.len();
    if !request.connections && !filter.states.contains(&State::TimeWait) {
        pairs.retain(|pair| sockets[pair.own].state != State::TimeWait);
    }
    let time_waits = all - pairs.len();
    let groups = arrangement.by.map(|by| count(pairs.iter().map(|pair| pair.of(&sockets)), by, &snapshot.processes));
    sort(&mut pairs, &sockets, arrangement.order.column, &snapshot.processes);
    if arrangement.order.is_reversed {
        pairs.reverse();
    }
    // No port is judged, so none of the processes would be kept.
    let processes = std::mem::take(&mut snapshot.processes);
    let mut diagnosis = Diagnosis::judge(request, Vec::new(), snapshot);
    diagnosis.processes = processes;
    let pids: HashSet<u32> = pairs.iter().flat_map(|pair| pair.of(&sockets).pids()).collect();
    diagnosis.processes.retain(|process| pids.contains(&process.pid));
    let far = pairs.iter().map(|pair| pair.of(&sockets)).filter(|connection| connection.peer.is_none());
    let addresses = || far.filter_map(|connection| Some(connection.own.remote?.ip())).collect();
    let names = if arrangement.with_names { names::of(addresses()) } else { HashMap::new() };
    Ok(Report { diagnosis, sockets, pairs, groups, time_waits, names })
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
fn pair(sockets: &[Socket], picked: Option<(u16, u16)>) -> Vec<Pair> {
    let listeners = Listeners::of(sockets);
    let is_connected = |&at: &usize| !sockets[at].state.is_waiting() && sockets[at].remote.is_some();
    let mut connected: Vec<usize> = (0..sockets.len()).filter(is_connected).collect();
    // Both ends of a connection have the same hash, so they come next to each other.
    let hasher = RandomState::new();
    connected.sort_by_cached_key(|&at| {
        hasher.hash_one(ends(&sockets[at]).map(|(protocol, a, b)| (protocol, a.min(b), a.max(b))))
    });
    let is_mirrored = |a: usize, b: usize| {
        let mirrored = ends(&sockets[a]).map(|(protocol, local, remote)| (protocol, remote, local));
        mirrored == ends(&sockets[b])
    };
    let is_same = |a: usize, b: usize| ends(&sockets[a]) == ends(&sockets[b]);
    let role = |at: usize| direction(&sockets[at], listeners.serve(&sockets[at]), picked);
    let mut pairs = Vec::new();
    for group in connected.chunk_by(|&a, &b| is_same(a, b) || is_mirrored(a, b)) {
        let mut left: Vec<usize> = group.to_vec();
        left.reverse();
        while let Some(at) = left.pop() {
            // Several namespaces may have the same addresses: the own one comes first.
            let distance = |other: usize| {
                let is_far = sockets[other].namespace != sockets[at].namespace;
                (is_mirrored(at, other) && (!is_far || !is_within(&sockets[at]))).then_some(is_far)
            };
            let candidates =
                left.iter().enumerate().rev().filter_map(|(place, &other)| Some((distance(other)?, place)));
            let nearest = candidates.min_by_key(|&(is_far, _)| is_far);
            let peer = nearest.map(|(_, place)| left.remove(place));
            pairs.push(joined(at, peer, role));
        }
    }
    pairs
}

/// The server's end tells more, so it is the own one.
fn joined(at: usize, peer: Option<usize>, role: impl Fn(usize) -> Option<Direction>) -> Pair {
    let direction = role(at);
    match peer {
        Some(peer) if direction != Some(Direction::Incoming) && role(peer) == Some(Direction::Incoming) => {
            Pair { own: peer, peer: Some(at), direction: Some(Direction::Incoming) }
        }
        _ => Pair { own: at, peer, direction },
    }
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

/// Where somebody listens.
struct Listeners<'a>(HashMap<(Protocol, u16, Option<&'a Namespace>), Vec<&'a Socket>>);

impl<'a> Listeners<'a> {
    fn of(sockets: &'a [Socket]) -> Self {
        let mut listeners: HashMap<_, Vec<&Socket>> = HashMap::new();
        for socket in sockets.iter().filter(|socket| socket.state.is_listening()) {
            let place = (socket.protocol, socket.local.port(), socket.namespace.as_deref());
            listeners.entry(place).or_default().push(socket);
        }
        Self(listeners)
    }

    /// Whether a connection came to one of them.
    fn serve(&self, socket: &Socket) -> bool {
        let place = (socket.protocol, socket.local.port(), socket.namespace.as_deref());
        self.0.get(&place).into_iter().flatten().any(|listener| listener.overlaps(socket.local.ip()))
    }
}

impl<'a> Connection<'a> {
    /// The ends that are on this machine.
    pub fn here(self) -> impl Iterator<Item = &'a Socket> {
        std::iter::once(self.own).chain(self.peer)
    }

    /// The processes at both ends.
    pub fn pids(self) -> impl Iterator<Item = u32> {
        self.here().flat_map(|socket| socket.owners.pids()).copied()
    }

    /// The addresses of the client and of the server, as far as that is known: else of this end and
    /// of the other.
    pub fn addresses(self) -> (SocketAddr, Option<SocketAddr>) {
        match (self.direction, self.own.remote) {
            (Some(Direction::Incoming), Some(remote)) => (remote, Some(self.own.local)),
            (_, remote) => (self.own.local, remote),
        }
    }

    /// The sockets of the client and of the server, in the same order.
    pub fn client_and_server(self) -> (Option<&'a Socket>, Option<&'a Socket>) {
        match self.direction {
            Some(Direction::Incoming) => (self.peer, Some(self.own)),
            _ => (Some(self.own), self.peer),
        }
    }

    /// What the client has sent and received, as far as that is counted.
    pub fn client_bytes(self) -> (Option<u64>, Option<u64>) {
        let by = |socket: &Socket| socket.tcp_info.map(|info| (info.bytes_sent, info.bytes_received));
        let counted = match self.client_and_server() {
            (Some(client), _) => by(client),
            (None, Some(server)) => by(server).map(|(sent, received)| (received, sent)),
            (None, None) => None,
        };
        counted.unwrap_or_default()
    }

    /// Both together.
    pub fn bytes(self) -> Option<u64> {
        let (sent, received) = self.client_bytes();
        Some(sent?.saturating_add(received?))
    }

    /// Bytes in the queues of this end.
    pub fn queued(self) -> Option<u64> {
        let (send, receive) = (self.own.send_queue?, self.own.receive_queue?);
        Some(u64::from(send) + u64::from(receive))
    }
}

/// Whether it fits everything that was asked for. For that, either end may belong to somebody.
fn is_wanted(connection: Connection<'_>, filter: &Filter, snapshot: &Snapshot) -> bool {
    let (own, peer) = (connection.own.local, connection.own.remote);
    // Seen from the other end, both are exchanged.
    let is_mirrored = || connection.peer.is_some() && peer.is_some_and(|peer| filter.has_ends(peer, Some(own)));
    filter.has_state(connection.own)
        && (filter.has_ends(own, peer) || is_mirrored())
        && connection.here().any(|socket| filter.has_owner(socket, &snapshot.processes))
}

/// Counts them by what they have in common, the most frequent first.
fn count<'a>(connections: impl Iterator<Item = Connection<'a>>, by: By, processes: &[Process]) -> Vec<Group> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for connection in connections {
        *counts.entry(name_of(connection, by, processes)).or_default() += 1;
    }
    let mut groups: Vec<Group> = counts.into_iter().map(|(name, count)| Group { name, count }).collect();
    groups.sort_by(|a, b| (b.count, &a.name).cmp(&(a.count, &b.name)));
    groups
}

fn name_of(connection: Connection<'_>, by: By, processes: &[Process]) -> String {
    let own = connection.own;
    match by {
        By::State => own.state.to_string(),
        By::Peer => own.remote.map(|remote| remote.ip().to_canonical().to_string()).unwrap_or_default(),
        By::Port => {
            let (from, to) = connection.addresses();
            format!("{}/{}", to.unwrap_or(from).port(), own.protocol)
        }
        By::Process => process_of(own, processes)
            .map_or_else(|| "(unknown)".to_owned(), |process| format!("{} ({})", process.name, process.pid)),
    }
}

fn process_of<'a>(socket: &Socket, processes: &'a [Process]) -> Option<&'a Process> {
    find_process(processes, *socket.owners.pids().first()?)
}

fn sort(pairs: &mut [Pair], sockets: &[Socket], column: ConnectionColumn, processes: &[Process]) {
    use ConnectionColumn as Column;
    let name = |socket: Option<&Socket>| {
        let name = socket.and_then(|socket| process_of(socket, processes)).map(|process| process.name.to_lowercase());
        (name.is_none(), name)
    };
    let at = |pair: &Pair| pair.of(sockets);
    pairs.sort_by_cached_key(|pair| {
        let (from, to) = at(pair).addresses();
        (to.unwrap_or(from).port(), from)
    });
    match column {
        Column::Port => {}
        Column::Protocol => pairs.sort_by_key(|it| at(it).own.protocol),
        Column::State => pairs.sort_by_key(|it| at(it).own.state.into_str()),
        Column::Local => pairs.sort_by_key(|it| at(it).own.local),
        Column::Peer => pairs.sort_by_key(|it| at(it).own.remote),
        Column::From => pairs.sort_by_key(|it| at(it).addresses().0),
        Column::To => pairs.sort_by_key(|it| at(it).addresses().1),
        Column::Process => pairs.sort_by_cached_key(|it| name(Some(at(it).own))),
        Column::Client => pairs.sort_by_cached_key(|it| name(at(it).client_and_server().0)),
        Column::Server => pairs.sort_by_cached_key(|it| name(at(it).client_and_server().1)),
        Column::Sent => pairs.sort_by_key(|it| at(it).client_bytes().0),
        Column::Received => pairs.sort_by_key(|it| at(it).client_bytes().1),
        Column::Bytes => pairs.sort_by_key(|it| at(it).bytes()),
        Column::Queued => pairs.sort_by_key(|it| at(it).queued()),
        Column::Rtt => pairs.sort_by_key(|it| at(it).own.tcp_info.map(|info| info.rtt_us)),
        Column::Retransmits => pairs.sort_by_key(|it| at(it).own.tcp_info.map(|info| info.retransmits)),
        Column::Idle => pairs.sort_by_key(|it| at(it).own.tcp_info.map(|info| info.idle_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::testing::{connection as end, namespace};

    fn away(socket: Socket) -> Socket {
        Socket { namespace: Some(Box::new(namespace("blue"))), ..socket }
    }

    fn found(sockets: &[Socket]) -> Vec<(u16, bool, Option<Direction>)> {
        let mut pairs = pair(sockets, Some((32768, 60999)));
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
