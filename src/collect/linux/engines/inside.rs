//! Where a published port ends: the network namespace of its container, and who listens there.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::sock_diag::Table;
use super::super::{cgroup, pids, proc_net};
use crate::model::{Confidence, EngineContainer, Family, Forward, Pid, Protocol, Runtime, Server, Socket, Untold};
use crate::platform::proc::parse_socket_link;
use crate::port_set::PortSet;
use crate::supervisor;

/// Adds to the forwards of `sockets` the namespaces that they lead to, and who listens there.
pub fn assign(proc: &Path, sockets: &mut [Socket]) {
    let mut namespaces = None;
    for socket in sockets {
        let protocol = socket.protocol;
        let Some(forward) = &mut socket.forward else { continue };
        let namespaces = namespaces.get_or_insert_with(|| others(proc));
        let Some(inside) = namespaces.iter().find(|namespace| namespace.has(proc, forward)) else { continue };
        inside.complete(proc, forward, protocol);
    }
}

/// A network namespace other than ours, by the processes in it.
struct Namespace {
    /// The processes, by ascending pid.
    pids: Vec<Pid>,
}

/// The namespaces of all processes but our own.
///
/// /proc/PID/net/tcp has another inode in each of them, which everybody may ask for. /proc/PID/ns/net
/// tells only who may trace the process.
fn others(proc: &Path) -> Vec<Namespace> {
    let identity = |pid: &str| fs::metadata(proc.join(pid).join("net/tcp")).map(|file| (file.dev(), file.ino())).ok();
    let own = identity("self");
    let list = || {
        let directory = pids::open_directory(rustix::fs::CWD, proc.to_str()?).ok()?;
        pids::list_pids(directory).ok()
    };
    let mut found: HashMap<(u64, u64), Vec<Pid>> = HashMap::new();
    for pid in list().unwrap_or_default() {
        if let Some(of) = identity(&pid.to_string()).filter(|of| Some(*of) != own) {
            found.entry(of).or_default().push(pid);
        }
    }
    let mut namespaces: Vec<Namespace> = found.into_values().map(|pids| Namespace { pids }).collect();
    for namespace in &mut namespaces {
        namespace.pids.sort_unstable();
    }
    namespaces
}

impl Namespace {
    /// Whether a forward leads here: to an address that is local here, and to the container of a process here, as far as both
    /// are known.
    fn has(&self, proc: &Path, forward: &Forward) -> bool {
        let address = forward.to.as_ref().and_then(|to| to.host.parse::<IpAddr>().ok());
        let id = forward.container.as_ref().map(|container| &*container.id);
        (address.is_some() || id.is_some())
            && address.is_none_or(|address| self.has_address(proc, address))
            && id
                .is_none_or(|id| self.pids.iter().any(|&pid| container_of(proc, pid).is_some_and(|(_, own)| own == id)))
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
            let of = |pid: &Pid| fs::metadata(proc.join(pid.to_string()).join("ns/net")).map(|file| file.ino()).ok();
            to.namespace = self.pids.iter().find_map(of);
        }
        if let Some(port) = port {
            self.find_servers(proc, protocol, port, forward);
        }
        if let (None, Some(Untold { engine, .. })) = (&forward.container, &forward.untold) {
            let found = self.pids.iter().find_map(|&pid| container_of(proc, pid));
            forward.container =
                found.map(|(runtime, id)| Box::new(EngineContainer::by_id(engine.clone(), runtime, id)));
        }
    }

    /// Adds who listens on a port here, by their descriptors. If none can be read, it is probably the first process of the
    /// namespace.
    fn find_servers(&self, proc: &Path, protocol: Protocol, port: u16, forward: &mut Forward) {
        let inodes = self.listening(proc, protocol, port);
        if inodes.is_empty() {
            return;
        }
        let has_it = |pid: &&Pid| has_one_of(proc, **pid, &inodes);
        forward.ends_at = self.pids.iter().filter(has_it).filter_map(|&pid| server(proc, pid)).collect();
        if forward.ends_at.is_empty() {
            forward.ends_at.extend(self.pids.iter().find_map(|&pid| server(proc, pid)));
            forward.confidence = Confidence::Likely;
        }
    }

    /// The inodes of the sockets that wait on a port here.
    fn listening(&self, proc: &Path, protocol: Protocol, port: u16) -> Vec<u64> {
        let ports: PortSet = std::iter::once((port, port)).collect();
        let of = |pid: &Pid| {
            let directory = proc.join(pid.to_string());
            let read = |family| proc_net::read(&directory, Table { protocol, family }, &ports).ok().flatten();
            let entries = [Family::Ipv4, Family::Ipv6].into_iter().filter_map(read).flatten();
            let waiting = entries.filter(|entry| entry.socket.state.is_listening());
            Some(waiting.filter_map(|entry| entry.socket.inode).collect::<Vec<u64>>())
        };
        self.pids.iter().find_map(of).unwrap_or_default()
    }
}

/// Whether a process has a descriptor of one of these sockets.
fn has_one_of(proc: &Path, pid: Pid, inodes: &[u64]) -> bool {
    let Ok(links) = fs::read_dir(proc.join(pid.to_string()).join("fd")) else { return false };
    let mut links = links.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    links
        .any(|link| parse_socket_link(link.as_os_str().as_encoded_bytes()).is_some_and(|inode| inodes.contains(&inode)))
}

fn server(proc: &Path, pid: Pid) -> Option<Server> {
    let name = fs::read_to_string(proc.join(pid.to_string()).join("comm")).ok()?;
    Some(Server { pid, name: name.trim_end().to_owned() })
}

/// The container that the cgroup of a process names.
fn container_of(proc: &Path, pid: Pid) -> Option<(Runtime, String)> {
    let mut containers =
        cgroup::of_process(proc, pid).into_iter().filter_map(|path| supervisor::of_cgroup(&path).container);
    containers.next().map(|container| (container.runtime, container.id))
}
