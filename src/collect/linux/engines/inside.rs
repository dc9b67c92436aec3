//! Where a published port ends: the network namespace of its container, and who listens there.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::super::sock_diag::Table;
use super::super::{namespaces, owners, proc_net};
use crate::model::{Confidence, Container, EngineContainer, Family, Forward, Pid, Protocol, Server};
use crate::port_set::PortSet;

/// Adds to forwards the namespaces that they lead to, and who listens there.
pub fn find_ends<'a>(proc: &Path, forwards: impl Iterator<Item = (Protocol, &'a mut Forward)>) {
    let mut all = None;
    for (protocol, forward) in forwards {
        let all = all.get_or_insert_with(|| namespaces::find(proc).unwrap_or_default());
        let mut inside =
            all.iter().map(|neighbour| Inside { pids: neighbour.pids(), inode: neighbour.namespace.inode });
        if let Some(inside) = inside.find(|inside| inside.has(proc, forward)) {
            inside.complete(proc, forward, protocol);
        }
    }
}

/// The network namespace of a container.
struct Inside<'a> {
    /// The processes in it, ascending.
    pids: &'a [Pid],
    /// Its inode, if that is told.
    inode: Option<u64>,
}

impl Inside<'_> {
    /// Whether a forward leads here: to an address that is local here, and to the container of a process here, as far as both
    /// are known.
    fn has(&self, proc: &Path, forward: &Forward) -> bool {
        let address = forward.to.as_ref().and_then(|to| to.host.parse::<IpAddr>().ok());
        let id = forward.container.as_ref().map(|container| &*container.id);
        (address.is_some() || id.is_some())
            && address.is_none_or(|address| self.has_address(proc, address))
            && id.is_none_or(|id| self.containers(proc).any(|own| own.id == id))
    }

    /// The containers that processes here are in.
    fn containers(&self, proc: &Path) -> impl Iterator<Item = Container> {
        self.pids.iter().filter_map(move |&pid| namespaces::container(proc, pid))
    }

    /// Whether `address` is one of its own, by the table of routes (`fib_trie_seq_show`, net/ipv4/fib_trie.c), or by that of
    /// addresses (`if6_seq_show`, net/ipv6/addrconf.c).
    fn has_address(&self, proc: &Path, address: IpAddr) -> bool {
        let read = |name: &str| {
            let of = |pid: &Pid| fs::read_to_string(proc.join(pid.to_string()).join("net").join(name)).ok();
            self.pids.iter().find_map(of).unwrap_or_default()
        };
        match address {
            IpAddr::V4(address) => {
                let (wanted, table) = (format!("|-- {address}"), read("fib_trie"));
                let mut lines = table.lines().map(str::trim);
                std::iter::from_fn(|| lines.find(|line| *line == wanted).and_then(|_| lines.next()))
                    .any(|kind| kind.ends_with("host LOCAL"))
            }
            IpAddr::V6(address) => {
                let wanted = format!("{:032x}", u128::from(address));
                read("if_inet6").lines().any(|line| line.starts_with(&wanted))
            }
        }
    }

    /// Adds the namespace, who listens there, and the container if no engine named it.
    fn complete(&self, proc: &Path, forward: &mut Forward, protocol: Protocol) {
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
        let inodes = self.listening(proc, protocol, port);
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

    /// The inodes of the sockets that wait on a port here.
    fn listening(&self, proc: &Path, protocol: Protocol, port: u16) -> Vec<u64> {
        let ports: PortSet = std::iter::once((port, port)).collect();
        // The first process may have ended by now.
        let of = |pid: &Pid| -> Option<Vec<u64>> {
            let directory = proc.join(pid.to_string());
            let read = |family| proc_net::read(&directory, Table { protocol, family }, &ports);
            let entries = read(Family::Ipv4).ok()?.into_iter().chain(read(Family::Ipv6).ok()?).flatten();
            let waiting = entries.filter(|entry| entry.socket.state.is_listening());
            Some(waiting.filter_map(|entry| entry.socket.inode).collect())
        };
        self.pids.iter().find_map(of).unwrap_or_default()
    }
}

fn server(proc: &Path, pid: Pid) -> Server {
    Server { pid, name: namespaces::process(proc, pid) }
}
