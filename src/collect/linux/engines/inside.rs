//! Where a published port ends: the network namespace of its container, and who listens there.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::super::namespaces::Neighbour;
use super::super::proc_net::Table;
use super::super::{namespaces, owners, proc_net};
use crate::model::{
    Confidence, Container, Destination, EngineContainer, Family, Forward, Pid, Protocol, Server, Socket,
};
use crate::port_set::PortSet;

/// Adds to forwards the namespaces that they lead to, and who listens there.
pub fn find_ends<'a>(proc: &Path, forwards: impl Iterator<Item = (Protocol, &'a mut Forward)>) {
    let mut all = None;
    let is_open = |forward: &Forward| forward.to.as_ref().is_none_or(|to| to.namespace.is_none());
    for (protocol, forward) in forwards.filter(|(_, forward)| is_open(forward)) {
        let all = all.get_or_insert_with(|| namespaces::find(proc).unwrap_or_default());
        let mut fitting = all.iter().map(Inside::from).filter(|inside| inside.has(proc, forward));
        // Two engines may give out the same addresses.
        if let (Some(inside), None) = (fitting.next(), fitting.next()) {
            inside.complete(proc, forward, protocol);
        }
    }
}

/// The network namespace of a container.
pub struct Inside<'a> {
    /// The processes in it, ascending.
    pub pids: &'a [Pid],
    /// Its inode, if that is told.
    inode: Option<u64>,
}

impl<'a> From<&'a Neighbour> for Inside<'a> {
    fn from(neighbour: &'a Neighbour) -> Self {
        Self { pids: neighbour.pids(), inode: neighbour.namespace.inode }
    }
}

impl<'a> Inside<'a> {
    /// The namespace of a process that is the one.
    pub fn around(all: &'a [Neighbour], mut is_it: impl FnMut(Pid) -> bool) -> Option<Self> {
        all.iter().map(Self::from).find(|inside| inside.pids.iter().any(|&pid| is_it(pid)))
    }

    /// Whether a forward leads here: to an address that is local here, and to the container of a process here, as far as both
    /// are known.
    fn has(&self, proc: &Path, forward: &Forward) -> bool {
        let address = forward.to.as_ref().and_then(|to| to.host.parse::<IpAddr>().ok());
        let id = forward.container.as_ref().map(|container| &*container.id);
        (address.is_some() || id.is_some())
            && address.is_none_or(|address| self.addresses(proc).contains(&address))
            && id.is_none_or(|id| self.containers(proc).any(|own| own.id == id))
    }

    /// The containers that processes here are in.
    fn containers(&self, proc: &Path) -> impl Iterator<Item = Container> {
        self.pids.iter().filter_map(move |&pid| namespaces::container(proc, pid))
    }

    /// Its own addresses: of IPv4 by the table of routes (`fib_trie_seq_show`, net/ipv4/fib_trie.c), then of IPv6
    /// (`if6_seq_show`, net/ipv6/addrconf.c).
    fn addresses(&self, proc: &Path) -> Vec<IpAddr> {
        let read = |name: &str| {
            let of = |pid: &Pid| fs::read_to_string(proc.join(pid.to_string()).join("net").join(name)).ok();
            self.pids.iter().find_map(of).unwrap_or_default()
        };
        let (ipv4, ipv6) = (read("fib_trie"), read("if_inet6"));
        let lines: Vec<&str> = ipv4.lines().map(str::trim).collect();
        let is_local = |kind: &str| kind.ends_with("host LOCAL");
        let local = lines.windows(2).filter(|pair| is_local(pair[1])).filter_map(|pair| pair[0].strip_prefix("|-- "));
        let ipv4 = local.filter_map(|address| address.parse().ok()).map(IpAddr::V4);
        let hexadecimal = ipv6.lines().filter_map(|line| u128::from_str_radix(line.get(..32)?, 16).ok());
        ipv4.chain(hexadecimal.map(|bits| IpAddr::V6(bits.into()))).collect()
    }

    /// Adds the namespace, who listens there, and the container if no engine named it. If nothing tells the port inside, it is
    /// probably the only one that somebody listens on.
    pub fn complete(&self, proc: &Path, forward: &mut Forward, protocol: Protocol) {
        if forward.to.is_none()
            && let Some(to) = self.only_destination(proc, protocol)
        {
            (forward.to, forward.confidence) = (Some(to), Confidence::Likely);
        }
        let port = forward.to.as_ref().map(|to| to.port);
        if let Some(to) = &mut forward.to {
            to.namespace = self.inode;
        }
        if let Some(port) = port {
            self.find_servers(proc, protocol, port, forward);
        }
        if forward.container.is_none() {
            let engine = forward.untold.as_ref().and_then(|untold| untold.engine.clone());
            let by_id = |found: Container| EngineContainer::by_id(engine, found.runtime, found.id);
            forward.container = self.containers(proc).next().map(by_id).map(Box::new);
        }
    }

    /// Adds who listens on a port here, by their descriptors. If none can be read, it is probably the first process of the
    /// namespace.
    fn find_servers(&self, proc: &Path, protocol: Protocol, port: u16, forward: &mut Forward) {
        let waiting = self.waiting(proc, protocol, &std::iter::once((port, port)).collect());
        let inodes: Vec<u64> = waiting.iter().filter_map(|socket| socket.inode).collect();
        if inodes.is_empty() {
            return;
        }
        let has_it = |pid: &&Pid| {
            let own = owners::sockets_of_process(proc, **pid).unwrap_or_default();
            own.iter().any(|inode| inodes.contains(inode))
        };
        forward.ends_at = self.pids.iter().filter(has_it).map(|&pid| server(proc, pid)).collect();
        if forward.ends_at.is_empty() {
            forward.ends_at.extend(self.pids.first().map(|&pid| server(proc, pid)));
            forward.confidence = Confidence::Likely;
        }
    }

    /// The only port of the protocol on which somebody waits here. It does not count if it is for the namespace alone.
    fn only_destination(&self, proc: &Path, protocol: Protocol) -> Option<Destination> {
        let waiting = self.waiting(proc, protocol, &PortSet::all());
        let ports: BTreeSet<u16> = waiting.iter().map(|socket| socket.local.port()).collect();
        let is_open = waiting.iter().any(|socket| !socket.local.ip().is_loopback());
        let port = ports.first().copied().filter(|_| ports.len() == 1 && is_open)?;
        let host = self.addresses(proc).into_iter().find(|address| !address.is_loopback())?;
        Some(Destination { host: host.to_string(), port, namespace: self.inode })
    }

    /// The sockets that wait on ports here.
    fn waiting(&self, proc: &Path, protocol: Protocol, ports: &PortSet) -> Vec<Socket> {
        // The first process may have ended by now.
        let of = |pid: &Pid| -> Option<Vec<Socket>> {
            let directory = proc.join(pid.to_string());
            let read = |family| proc_net::read(&directory, Table { protocol, family }, ports);
            let entries = read(Family::Ipv4).ok()?.into_iter().chain(read(Family::Ipv6).ok()?).flatten();
            Some(entries.map(|entry| entry.socket).filter(|socket| socket.state.is_listening()).collect())
        };
        self.pids.iter().find_map(of).unwrap_or_default()
    }
}

fn server(proc: &Path, pid: Pid) -> Server {
    Server { pid, name: namespaces::process(proc, pid) }
}
