//! `--summary`: how many sockets there are, of what kind and whose, and how many ports are left for
//! outgoing connections.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::diagnosis::Diagnosis;
use super::unseen::misses_wanted;
use crate::collect;
use crate::error::Error;
use crate::model::{Host, Namespace, Pid, Process, Protocol, Snapshot, Socket, State};
use crate::request::{Filter, Request};

/// The sockets of this machine, counted.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The machine, the processes that are counted, and what could not be looked at.
    pub diagnosis: Diagnosis,
    /// How many sockets are in each state, the most frequent first.
    pub states: Vec<(Protocol, State, usize)>,
    /// How many sockets each process has open, the most first. Those shared by several count for each.
    pub processes: Vec<(Pid, usize)>,
    /// How many sockets no process was found for.
    pub unowned: usize,
    /// The ports for outgoing connections to the destination that takes most of them. `None` if the
    /// kernel does not tell its range.
    pub outgoing: Option<Outgoing>,
}

/// The ports that the kernel can still pick for connections to one destination. Each destination has
/// all of them (`__inet_hash_connect`, net/ipv4/inet_hashtables.c).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The first and the last port that the kernel picks.
    pub range: (u16, u16),
    /// How many of them it may pick at all: others are reserved, or bound by servers.
    pub available: usize,
    /// The destination, and the address of this machine that it is reached from. `None` if there is
    /// no outgoing connection.
    pub busiest: Option<(IpAddr, SocketAddr)>,
    /// How many connections to it, remnants included, have such a port.
    pub used: usize,
}

impl Outgoing {
    /// How many more connections to the destination are possible at this moment.
    pub const fn left(&self) -> usize {
        self.available.saturating_sub(self.used)
    }
}

/// Counts the sockets that `request` and `filter` ask for.
pub fn summary(request: &Request, filter: &Filter) -> Result<Summary, Error> {
    // Either end may have the port, so all have to be read.
    let scope = Request { targets: Vec::new(), connections: true, ..request.clone() }.scope();
    let mut snapshot = collect::snapshot(&scope)?;
    let is_asked = |socket: &Socket| request.concerns(socket) && filter.has_ends(socket.local, socket.remote);
    let misses_wanted = misses_wanted(filter, &snapshot, is_asked);
    let Snapshot { host, sockets, processes, .. } = &mut snapshot;
    let outgoing = outgoing(host, request.namespaces.inside(), sockets);
    sockets.retain(|socket| request.concerns(socket) && filter.fits(socket, processes));
    let (mut states, mut pids) = (BTreeMap::new(), HashMap::new());
    for socket in &*sockets {
        *states.entry((socket.protocol, socket.state.into_str(), socket.state)).or_insert(0) += 1;
        for &pid in socket.owners.pids() {
            *pids.entry(pid).or_insert(0) += 1;
        }
    }
    let is_unowned = |socket: &&Socket| socket.inode.is_some() && socket.owners.pids().is_empty();
    let unowned = sockets.iter().filter(is_unowned).count();
    let mut states: Vec<_> = states.into_iter().map(|((protocol, _, state), count)| (protocol, state, count)).collect();
    states.sort_by_key(|&(.., count)| std::cmp::Reverse(count));
    let mut counted: Vec<(Pid, usize)> = pids.into_iter().collect();
    counted.sort_by_key(|&(pid, count)| (std::cmp::Reverse(count), pid));
    let processes: Vec<Process> = std::mem::take(processes);
    let mut diagnosis = Diagnosis { misses_wanted, ..Diagnosis::judge(request, Vec::new(), snapshot) };
    diagnosis.processes = processes;
    diagnosis.processes.retain(|process| counted.iter().any(|&(pid, _)| pid == process.pid));
    Ok(Summary { diagnosis, states, processes: counted, unowned, outgoing })
}

/// The destination of TCP that takes most ports for outgoing connections. Other network namespaces
/// than that which is looked at have ports of their own.
fn outgoing(host: &Host, inside: Option<&Namespace>, sockets: &[Socket]) -> Option<Outgoing> {
    let range @ (first, last) = host.ephemeral_range?;
    let is_picked = |port: u16| (first..=last).contains(&port) && !host.reserved_ports.contains(port);
    let own = sockets.iter().filter(|it| it.protocol == Protocol::Tcp && it.namespace.as_deref() == inside);
    let picked = own.filter(|socket| is_picked(socket.local.port()));
    let (mut bound, mut taken) = (HashSet::new(), HashMap::<_, HashSet<u16>>::new());
    for socket in picked {
        match socket.remote {
            Some(remote) => {
                let ends = (socket.local.ip().to_canonical(), remote);
                taken.entry(ends).or_default().insert(socket.local.port());
            }
            None => {
                bound.insert(socket.local.port());
            }
        }
    }
    let all = (first..=last).filter(|&port| is_picked(port)).count();
    let busiest = taken.into_iter().max_by_key(|(ends, ports)| (ports.len(), std::cmp::Reverse(*ends)));
    let (busiest, used) = busiest.map_or((None, 0), |(ends, ports)| (Some(ends), ports.difference(&bound).count()));
    Some(Outgoing { range, available: all - bound.len(), busiest, used })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{connection, listener};

    fn host() -> Host {
        Host { ephemeral_range: Some((40000, 40009)), ..crate::testing::host() }
    }

    #[test]
    fn the_busiest_destination_is_that_with_most_ports() {
        let sockets = [
            connection("10.0.0.1:40000", "10.0.0.2:5432"),
            connection("10.0.0.1:40001", "10.0.0.2:5432"),
            connection("10.0.0.1:40000", "10.0.0.3:5432"),
            // Not of our picking, and not for outgoing connections.
            connection("10.0.0.1:80", "10.0.0.4:40001"),
            listener("0.0.0.0:40005"),
        ];
        let outgoing = outgoing(&host(), None, &sockets).unwrap();
        let busiest = Some(("10.0.0.1".parse().unwrap(), "10.0.0.2:5432".parse().unwrap()));
        assert_eq!(outgoing, Outgoing { range: (40000, 40009), available: 9, busiest, used: 2 });
        assert_eq!(outgoing.left(), 7);
    }

    /// Regression: of another namespace, no connection counted.
    #[test]
    fn the_namespace_that_is_looked_at_counts() {
        let blue = crate::testing::namespace("blue");
        let away = Socket { namespace: Some(Box::new(blue.clone())), ..connection("10.0.0.1:40000", "10.0.0.2:5432") };
        let used = |inside| outgoing(&host(), inside, std::slice::from_ref(&away)).unwrap().used;
        assert_eq!((used(Some(&blue)), used(None)), (1, 0));
    }

    #[test]
    fn a_machine_without_connections_has_all_ports_left() {
        let outgoing = outgoing(&host(), None, &[]).unwrap();
        assert_eq!((outgoing.busiest.is_none(), outgoing.left()), (true, 10));
        let closed = Host { ephemeral_range: None, ..host() };
        assert_eq!(super::outgoing(&closed, None, &[]), None);
    }
}
