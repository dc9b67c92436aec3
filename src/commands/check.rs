//! `portcheck 8080`: looks at the targets' ports, their sockets, their leases and what bind says,
//! and has them judged.

mod beyond;
mod relevant;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::diagnosis::{Diagnosis, in_order};
use crate::collect::{self, Detail, Namespaces, Scope};
use crate::commands::free::{self, Leases};
use crate::diagnose::Observed;
use crate::error::Error;
use crate::model::{Family, Namespace, Pid, Protocol, Snapshot, Socket, find_process, gap};
use crate::platform::machine;
use crate::port_set::PortSet;
use crate::probe::{self, Attempt, Spot};
use crate::request::Request;
use crate::target::{self, Target};

/// How often to look again at a port that is in use, but seems to be held by nobody.
const MOST_LOOKS: usize = 5;

/// Says of every port of the targets whether it can be bound, and why not.
pub fn check(request: &Request) -> Result<Diagnosis, Error> {
    let (mut ports, mut snapshot) = observe(request)?;
    beyond::add(request, &mut ports, &mut snapshot);
    Ok(Diagnosis::judge(request, ports, snapshot))
}

/// Looks at every port of the targets, until the holders of those in use are found.
pub fn observe(request: &Request) -> Result<(Vec<Observed>, Snapshot), Error> {
    let scope = &request.scope();
    let questions = scope.targets.iter().map(|target| target.ports().len()).sum();
    let (mut ports, mut snapshot) = look(request, scope, questions)?;
    for _ in 1..MOST_LOOKS {
        // Somebody may have taken a port between the look at the sockets and the bind. The next
        // look says who.
        let mut taken: Vec<&mut Observed> = ports.iter_mut().filter(|port| port.is_taken_by_nobody()).collect();
        if taken.is_empty() {
            break;
        }
        let targets = taken.iter().map(|port| target_of(port)).collect();
        let (again, later) = look(request, &Scope { targets, ..scope.clone() }, questions)?;
        // Each target has one port of one protocol, so they come in the same order.
        taken.iter_mut().zip(again).for_each(|(old, new)| **old = new);
        merge(&mut snapshot, later);
    }
    tell_of_each_other(&mut ports);
    Ok((ports, snapshot))
}

/// Looks at the ports of `scope`, for these `questions`.
fn look(request: &Request, scope: &Scope, questions: usize) -> Result<(Vec<Observed>, Snapshot), Error> {
    // Leases are read first: a lease daemon answers only once it has all sockets that it holds.
    let leases = leases_here(request, &target::ports_of(&scope.targets));
    let mut snapshot = collect::snapshot(scope)?;
    let leases = join_leases(request, leases, &mut snapshot);
    let mut ports = observe_all(request, &scope.targets, questions, &snapshot);
    for observed in &mut ports {
        observed.lease = leases.on(observed.port).cloned().map(Box::new);
        observed.name_taken = leases.name_taken(observed.port).cloned().map(Box::new);
    }
    Ok((ports, snapshot))
}

/// A target for this port alone.
fn target_of(port: &Observed) -> Target {
    let (addresses, zone) = (port.addresses.clone(), port.zone.clone());
    Target { first: port.port, last: port.port, protocol: Some(port.protocol), addresses, zone }
}

/// Adds what a later look has found.
fn merge(snapshot: &mut Snapshot, later: Snapshot) {
    for process in later.processes {
        if let Err(at) = snapshot.processes.binary_search_by_key(&process.pid, |known| known.pid) {
            snapshot.processes.insert(at, process);
        }
    }
    for gap in later.gaps {
        if snapshot.gaps.iter().all(|known| known.kind != gap.kind) {
            snapshot.gaps.push(gap);
        }
    }
}

/// Looks at every port of the targets, each once.
fn observe_all(request: &Request, targets: &[Target], questions: usize, snapshot: &Snapshot) -> Vec<Observed> {
    let by_port = sockets_by_port(snapshot);
    let mut asked = HashSet::new();
    let mut all = Vec::new();
    for target in targets {
        let looker = Looker { request, target, spots: spots(request, target), questions };
        for port in target.ports() {
            for &protocol in request.protocols.iter().filter(|&&protocol| target.wants(protocol)) {
                if asked.insert((port, protocol, &target.addresses, &target.zone)) {
                    let sockets: &[&Socket] =
                        by_port.get(&(port, protocol, request.namespaces.inside())).map_or(&[], Vec::as_slice);
                    let observed = looker.observe(port, protocol, sockets);
                    let elsewhere = looker.elsewhere(port, protocol, snapshot);
                    all.push(Observed { elsewhere, ..observed });
                }
            }
        }
    }
    all
}

/// The sockets of each port of a protocol in a network namespace; `None` for our own.
fn sockets_by_port(snapshot: &Snapshot) -> HashMap<(u16, Protocol, Option<&Namespace>), Vec<&Socket>> {
    let mut by_port: HashMap<_, Vec<&Socket>> = HashMap::new();
    for socket in &snapshot.sockets {
        let key = (socket.local.port(), socket.protocol, socket.namespace.as_deref());
        by_port.entry(key).or_default().push(socket);
    }
    for sockets in by_port.values_mut() {
        sockets.sort_by(|a, b| in_order(a, b));
    }
    by_port
}

/// Adds to each port what the others say: whether the other protocol is free, and whether the port
/// needs its addresses to be named.
fn tell_of_each_other(ports: &mut [Observed]) {
    let free: HashSet<(u16, Protocol, Vec<IpAddr>, Option<String>)> =
        ports.iter().filter(|port| port.is_free()).map(|port| key(port, port.protocol)).collect();
    let is_several = ports.iter().any(|port| port.place() != ports[0].place());
    for port in ports {
        port.other_is_free = free.contains(&key(port, port.protocol.other()));
        port.is_one_of_several_places = is_several;
    }
}

fn key(port: &Observed, protocol: Protocol) -> (u16, Protocol, Vec<IpAddr>, Option<String>) {
    (port.port, protocol, port.addresses.clone(), port.zone.clone())
}

/// Looks at the ports of one target.
struct Looker<'a> {
    request: &'a Request,
    target: &'a Target,
    /// Where to try bind.
    spots: Vec<Spot>,
    /// How many ports all targets have.
    questions: usize,
}

impl Looker<'_> {
    /// Looks at one port of one protocol: which of its `sockets` count for the target, and what
    /// bind says.
    fn observe(&self, port: u16, protocol: Protocol, sockets: &[&Socket]) -> Observed {
        let Self { request, target, .. } = self;
        let asked = relevant::Asked { target, family: request.family, spots: &self.spots };
        let attempts = self.bind(port, protocol, sockets.iter().any(|socket| asked.covers(socket)));
        let observed = Observed {
            namespace: request.namespaces.inside().cloned().map(Box::new),
            addresses: target.addresses.clone(),
            zone: target.zone.clone(),
            sockets: asked.relevant(sockets, request.probe.then_some(&attempts)),
            attempts,
            ..Observed::of(port, protocol)
        };
        let attempts_elsewhere = self.bind_elsewhere(&observed);
        Observed { attempts_elsewhere, ..observed }
    }

    /// The sockets that wait on the port in other network namespaces, if these were looked at.
    fn elsewhere(&self, port: u16, protocol: Protocol, snapshot: &Snapshot) -> Vec<Socket> {
        if self.request.namespaces != Namespaces::All {
            return Vec::new();
        }
        let is_it = |socket: &&Socket| {
            (socket.local.port(), socket.protocol) == (port, protocol)
                && socket.namespace.is_some()
                && socket.state.is_waiting()
                && socket.serves(self.request.family)
        };
        let mut found: Vec<Socket> = snapshot.sockets.iter().filter(is_it).cloned().collect();
        found.sort_by(|a, b| (&a.namespace, a.local, a.inode).cmp(&(&b.namespace, b.local, b.inode)));
        found
    }

    /// Tries bind: everywhere and in every way, unless there are many ports.
    fn bind(&self, port: u16, protocol: Protocol, is_covered: bool) -> Vec<Attempt> {
        let Self { request, target, .. } = self;
        let is_thorough = self.questions <= MOST_THOROUGH_PROBES
            || !target.addresses.is_empty()
            || (request.reuse_address && is_covered);
        match (request.probe, is_thorough) {
            (true, true) => probe::probe(port, protocol, &self.spots),
            (true, false) if !is_covered => probe::probe_briefly(port, protocol, request.family),
            _ => Vec::new(),
        }
    }

    /// Where else the port can be bound, if not on the addresses asked about.
    fn bind_elsewhere(&self, observed: &Observed) -> Vec<Attempt> {
        if observed.addresses.is_empty() || !observed.is_in_use() {
            return Vec::new();
        }
        let others = probe::usual_spots(self.request.family).into_iter().filter(|spot| !self.spots.contains(spot));
        probe::probe(observed.port, observed.protocol, &others.collect::<Vec<_>>())
    }
}

/// The leases on `ports`, joined with the snapshot. Without ports, no lease daemon is asked.
pub fn leases_on(request: &Request, ports: &PortSet, snapshot: &mut Snapshot) -> Leases {
    join_leases(request, leases_here(request, ports), snapshot)
}

/// The leases on `ports`, if the kernel can be asked for them in the network namespace in question.
fn leases_here(request: &Request, ports: &PortSet) -> Result<Leases, Error> {
    let is_asked = !ports.is_empty() && request.namespaces.can_be_asked();
    if is_asked { free::leases(ports) } else { Ok(Leases::default()) }
}

/// Joins the leases with the snapshot: adds the processes that keep them or their names, or a gap.
fn join_leases(request: &Request, leases: Result<Leases, Error>, snapshot: &mut Snapshot) -> Leases {
    let (leases, unread) = match leases {
        Ok(mut leases) => {
            let unasked = leases.unasked.take();
            (leases, unasked.map(|error| format!("the lease daemon could not be asked: {error}")))
        }
        Err(error) => (Leases::default(), Some(error.to_string())),
    };
    let gap = |reason| gap::LEASES_UNREAD.gap(format!("whether ports are leased could not be seen: {reason}"));
    snapshot.gaps.extend(unread.map(gap));
    let daemons = leases.leases.iter().flat_map(|lease| &lease.pids);
    let found = daemons.chain(leases.taken.iter().flat_map(|taken| &taken.pids)).copied();
    let unknown: Vec<Pid> = found.filter(|&pid| find_process(&snapshot.processes, pid).is_none()).collect();
    if request.detail > Detail::Nothing && !unknown.is_empty() {
        // The answer is complete without them, so a failure here is ignored.
        snapshot.processes.extend(collect::describe(unknown, request.detail).unwrap_or_default());
        snapshot.processes.sort_by_key(|process| process.pid);
    }
    leases
}

/// Up to this many ports are tried in every way. Of more ports, those that look free are tried in
/// one way.
pub const MOST_THOROUGH_PROBES: usize = 64;

/// Where to try bind(2) for a target.
pub fn spots(request: &Request, target: &Target) -> Vec<Spot> {
    match &target.addresses[..] {
        [] => probe::usual_spots(request.family),
        addresses => {
            let scope = target.zone.as_deref().map_or(0, machine::interface_index);
            addresses
                .iter()
                .filter(|&&address| Family::fits(request.family, address))
                .map(|&address| probe::spot_of(address, scope))
                .collect()
        }
    }
}
