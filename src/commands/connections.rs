//! `portcheck connections`: who is connected to whom, each connection once, with both ends where
//! both are on this machine.

mod names;
mod pairs;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use pairs::Pair;

use super::diagnosis::Diagnosis;
use super::exit::Command;
use super::hint::{Hint, hint};
use super::unseen::{is_connection_asked, misses_wanted};
use crate::collect::{self, Scope};
use crate::error::Error;
use crate::model::{Owners, Process, Snapshot, Socket, State, find_process};
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
    /// What there is besides, if nothing fits.
    pub hint: Option<Hint>,
    /// What other machines are called, if that was asked for.
    pub names: HashMap<IpAddr, String>,
}

impl Report {
    /// The connections, in the order that was asked for.
    pub fn connections(&self) -> impl ExactSizeIterator<Item = Connection<'_>> {
        self.pairs.iter().map(|pair| pair.of(&self.sockets))
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
    /// The socket that listens for it, if it is incoming and somebody still does.
    pub listener: Option<&'a Socket>,
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
    let is_asked = |socket: &Socket| request.concerns(socket) && is_connection_asked(filter, socket);
    let misses_wanted = misses_wanted(filter, &snapshot, is_asked);
    let mut sockets = std::mem::take(&mut snapshot.sockets);
    let mut pairs = pairs::join(&sockets, snapshot.host.ephemeral_range);
    mark_published(&pairs, &mut sockets);
    pairs.retain(|pair| {
        let connection = pair.of(&sockets);
        request.concerns(connection.own) && is_wanted(connection, filter, &snapshot)
    });
    let all = pairs.len();
    if !request.connections && !filter.states.contains(&State::TimeWait) {
        pairs.retain(|pair| pair.of(&sockets).own.state != State::TimeWait);
    }
    let time_waits = all - pairs.len();
    let groups = arrangement.by.map(|by| count(pairs.iter().map(|pair| pair.of(&sockets)), by, &snapshot.processes));
    sort(&mut pairs, &sockets, arrangement.order.column, &snapshot.processes);
    if arrangement.order.is_reversed {
        pairs.reverse();
    }
    // No port is judged, so none of the processes would be kept.
    let processes = std::mem::take(&mut snapshot.processes);
    let mut diagnosis = Diagnosis { misses_wanted, ..Diagnosis::judge(request, Vec::new(), snapshot) };
    diagnosis.processes = processes;
    let pids: HashSet<u32> = pairs.iter().flat_map(|pair| pair.of(&sockets).pids()).collect();
    diagnosis.processes.retain(|process| pids.contains(&process.pid));
    let far = pairs.iter().map(|pair| pair.of(&sockets)).filter(|connection| connection.peer.is_none());
    let addresses = || far.filter_map(|connection| Some(connection.own.remote?.ip())).collect();
    let names = if arrangement.with_names { names::of(addresses()) } else { HashMap::new() };
    let hint = pairs.is_empty().then(|| hint(request, filter, Command::Connections)).flatten();
    Ok(Report { diagnosis, sockets, pairs, groups, time_waits, hint, names })
}

impl<'a> Connection<'a> {
    /// The ends that are on this machine.
    pub fn here(self) -> impl Iterator<Item = &'a Socket> {
        std::iter::once(self.own).chain(self.peer)
    }

    /// The listener in whose queue it waits to be accepted.
    pub fn waits_for(self) -> Option<&'a Socket> {
        let is_nobodys = self.own.state == State::Established && self.own.owners == Owners::None;
        self.listener.filter(|_| is_nobodys)
    }

    /// The processes at both ends, and those that are to accept it.
    pub fn pids(self) -> impl Iterator<Item = u32> {
        self.here().chain(self.waits_for()).flat_map(|socket| socket.owners.pids()).copied()
    }

    /// The states of its ends: of both if they differ, as in `fin-wait-2/close-wait`.
    pub fn states(self) -> String {
        each_once(self.in_order().filter(|end| !end.state.is_waiting()).map(|end| end.state.to_string()))
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

    /// The ends that are on this machine, the client's first.
    fn in_order(self) -> impl Iterator<Item = &'a Socket> {
        let (client, server) = self.client_and_server();
        client.into_iter().chain(server)
    }

    /// The network namespaces of its ends: of both if they differ, as in `here/blue`. Empty if it is
    /// in ours alone.
    pub fn namespaces(self) -> String {
        if self.here().all(|end| end.namespace.is_none()) {
            return String::new();
        }
        let title = |end: &Socket| end.namespace.as_ref().map_or_else(|| "here".to_owned(), |space| space.title());
        each_once(self.in_order().map(title))
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

    /// Bytes in the queues of both ends: on their way, or not yet read.
    pub fn queued(self) -> Option<u64> {
        let of = |socket: &Socket| Some(u64::from(socket.send_queue?) + u64::from(socket.receive_queue?));
        let ends = self.here().filter(|socket| !socket.state.is_waiting() && socket.state != State::TimeWait);
        ends.map(of).reduce(|sum, more| Some(sum? + more?)).flatten()
    }
}

/// `a/b`, or `a` if both are the same.
fn each_once(texts: impl Iterator<Item = String>) -> String {
    let mut texts: Vec<String> = texts.collect();
    texts.dedup();
    texts.join("/")
}

/// A connection to a published port is for the container, as the port is.
fn mark_published(pairs: &[Pair], sockets: &mut [Socket]) {
    for pair in pairs {
        let forward = pair.of(sockets).listener.and_then(|listener| listener.forward.as_ref());
        if let Some(forward) = forward.filter(|forward| forward.container.is_some()).cloned() {
            sockets[pair.own as usize].forward = Some(forward);
        }
    }
}

/// Whether one of its ends fits everything that was asked for. While it waits to be accepted, it
/// belongs to who listens.
fn is_wanted(connection: Connection<'_>, filter: &Filter, snapshot: &Snapshot) -> bool {
    let own = connection.own;
    let is_waited_for = |listener: &Socket| {
        filter.has_state(own)
            && filter.has_ends(own.local, own.remote)
            && filter.has_owner(listener, &snapshot.processes)
    };
    connection.here().any(|end| filter.fits(end, &snapshot.processes))
        || connection.waits_for().is_some_and(is_waited_for)
}

/// Counts them by what they have in common, the most frequent first.
fn count<'a>(connections: impl Iterator<Item = Connection<'a>>, by: By, processes: &[Process]) -> Vec<Group> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for connection in connections {
        for name in names_of(connection, by, processes) {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut groups: Vec<Group> = counts.into_iter().map(|(name, count)| Group { name, count }).collect();
    groups.sort_by(|a, b| (b.count, &a.name).cmp(&(a.count, &b.name)));
    groups
}

/// The groups that a connection is in: two if its ends belong to two processes.
fn names_of(connection: Connection<'_>, by: By, processes: &[Process]) -> Vec<String> {
    let own = connection.own;
    match by {
        By::State => vec![connection.states()],
        By::Peer => vec![own.remote.map(|remote| remote.ip().to_canonical().to_string()).unwrap_or_default()],
        By::Port => {
            let (from, to) = connection.addresses();
            vec![format!("{}/{}", to.unwrap_or(from).port(), own.protocol)]
        }
        By::Process => {
            let mut names: Vec<String> = connection.here().map(|end| holder(end, processes)).collect();
            names.dedup();
            names
        }
    }
}

/// `node (4242)`, or what is known of a holder that could not be inspected.
fn holder(socket: &Socket, processes: &[Process]) -> String {
    match process_of(socket, processes) {
        Some(process) => format!("{} ({})", process.name, process.pid),
        None => no_process(socket),
    }
}

/// `(hidden) of root`, or why no process has the socket.
pub fn no_process(socket: &Socket) -> String {
    match (&socket.owners, &socket.user) {
        (Owners::Kernel, _) => "(kernel)".to_owned(),
        (Owners::None, _) if socket.state == State::Established => "(not accepted)".to_owned(),
        (owners, _) if !owners.is_unsure() => "(nobody)".to_owned(),
        (_, Some(user)) => format!("(hidden) of {user}"),
        (_, None) => "(hidden)".to_owned(),
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
        Column::State => pairs.sort_by_cached_key(|it| at(it).states()),
        Column::Local => pairs.sort_by_key(|it| at(it).own.local),
        Column::Peer => pairs.sort_by_key(|it| at(it).own.remote),
        Column::From => pairs.sort_by_key(|it| at(it).addresses().0),
        Column::To => pairs.sort_by_key(|it| at(it).addresses().1),
        Column::Process => pairs.sort_by_cached_key(|it| name(Some(at(it).own))),
        Column::Client => pairs.sort_by_cached_key(|it| name(at(it).client_and_server().0)),
        Column::Server => pairs.sort_by_cached_key(|it| name(at(it).client_and_server().1)),
        Column::Namespace => pairs.sort_by_cached_key(|it| at(it).namespaces()),
        Column::Sent => pairs.sort_by_key(|it| at(it).client_bytes().0),
        Column::Received => pairs.sort_by_key(|it| at(it).client_bytes().1),
        Column::Bytes => pairs.sort_by_key(|it| at(it).bytes()),
        Column::Queued => pairs.sort_by_key(|it| at(it).queued()),
        Column::Rtt => pairs.sort_by_key(|it| at(it).own.tcp_info.map(|info| info.rtt_us)),
        Column::Retransmits => pairs.sort_by_key(|it| at(it).own.tcp_info.map(|info| info.retransmits)),
        Column::Idle => pairs.sort_by_key(|it| at(it).own.tcp_info.map(|info| info.idle_ms)),
    }
}
