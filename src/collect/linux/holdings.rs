//! What ends together with a process: its other ports, and the connections of its clients.
//!
//! Read only if a port that was asked about has an owner, and full details are wanted. Of all
//! processes, only the owners are inspected again.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::mem::MaybeUninit;
use std::path::Path;

use super::owners::{self, DIRECTORY_BUFFER};
use super::sock_diag::{Entry, States};
use super::tables::Tables;
use crate::collect::{Detail, Namespaces, Scope};
use crate::model::{Host, Pid, Process, Protocol, Socket, State};
use crate::port_set::PortSet;
use crate::target::Target;

/// The tables that tell what the owners of ports hold besides.
#[derive(Debug, Default)]
pub struct Holdings {
    /// Ports that were not asked about, by the inode of a socket that waits on them.
    others: HashMap<u64, (u16, Protocol)>,
    /// How many connections there are to a listener that was asked about, by its inode.
    clients: HashMap<u64, usize>,
}

impl Holdings {
    /// Reads the tables again: `entries` are the sockets that were asked about. `None` if that is not
    /// asked for, or fails.
    pub fn read(tables: &mut Tables, scope: &Scope, entries: &[Entry], host: &Host) -> Option<Self> {
        let is_asked = scope.detail == Detail::Full && !scope.targets.is_empty() && scope.namespaces != Namespaces::All;
        if !is_asked || !entries.iter().any(|entry| entry.socket.state.is_waiting()) {
            return None;
        }
        let mut holdings = Self::default();
        let counts = tables.count();
        let mut servers = HashSet::new();
        for (protocol, states) in [(Protocol::Tcp, States::LISTENING), (Protocol::Udp, States::ALL)] {
            for Entry { socket, .. } in tables.read_counted(counts, protocol, states, &PortSet::all()).ok()? {
                let port = socket.local.port();
                if socket.state == State::Listen {
                    servers.insert(socket.inode);
                }
                let is_server = match socket.state {
                    State::Listen => true,
                    // Of clients the kernel has picked the port.
                    State::Unconnected => !host.picks_by_itself(port),
                    _ => false,
                };
                let is_new = !is_asked_about(scope, port, protocol);
                if let Some(inode) = socket.inode.filter(|_| is_server && is_new) {
                    holdings.others.insert(inode, (port, protocol));
                }
            }
        }
        let listeners: Vec<&Socket> =
            entries.iter().map(|entry| &entry.socket).filter(|socket| socket.state == State::Listen).collect();
        holdings.clients = listeners.iter().filter_map(|listener| Some((listener.inode?, 0))).collect();
        // If all sockets are servers, before and after these were read, there is no connection.
        let all_are_servers = counts.is_some_and(|counts| counts.of(Protocol::Tcp) == servers.len());
        let has_no_client = all_are_servers && tables.count() == counts;
        if !listeners.is_empty() && !has_no_client {
            holdings.count_clients(tables, &listeners)?;
        }
        Some(holdings)
    }

    fn count_clients(&mut self, tables: &mut Tables, listeners: &[&Socket]) -> Option<()> {
        let ports = listeners.iter().map(|listener| (listener.local.port(), listener.local.port())).collect();
        for Entry { socket, .. } in tables.read(Protocol::Tcp, States::CONNECTED, &ports).ok()? {
            let listener = listeners.iter().find(|listener| is_client_of(&socket, listener));
            let count = listener.and_then(|listener| self.clients.get_mut(&listener.inode?));
            if let Some(count) = count {
                *count += 1;
            }
        }
        Some(())
    }

    /// Adds to the owners of ports what they hold besides.
    pub fn assign(&self, proc: &Path, processes: &mut [Process]) {
        let Ok(root) = File::open(proc) else { return };
        let mut buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER];
        for process in processes {
            self.assign_one(&root, process.pid, &mut buffer, process);
        }
    }

    fn assign_one(&self, root: &File, pid: Pid, buffer: &mut [MaybeUninit<u8>], process: &mut Process) {
        let (mut ports, mut clients) = (Vec::new(), None);
        let mut seen = Vec::new();
        let read = owners::sockets_of(root, &format!("{pid}/fd"), buffer, |inode, _| {
            ports.extend(self.others.get(&inode));
            if let Some(count) = self.clients.get(&inode)
                && !seen.contains(&inode)
            {
                seen.push(inode);
                clients = Some(clients.unwrap_or(0) + count);
            }
        });
        if read.is_ok() {
            ports.sort_unstable();
            ports.dedup();
            (process.also_holds, process.clients) = (ports, clients);
        }
    }
}

fn is_asked_about(scope: &Scope, port: u16, protocol: Protocol) -> bool {
    let is_in = |target: &Target| target.wants(protocol) && (target.first..=target.last).contains(&port);
    scope.protocols.contains(&protocol) && scope.targets.iter().any(is_in)
}

/// Whether a connection was made to a listener: on its address, or on any if it has no other.
fn is_client_of(connection: &Socket, listener: &Socket) -> bool {
    connection.state == State::Established
        && connection.local.port() == listener.local.port()
        && if listener.is_wildcard() {
            connection.family == listener.family
                || listener.serves_ipv4() && connection.local.ip().to_canonical().is_ipv4()
        } else {
            connection.local.ip().to_canonical() == listener.local.ip().to_canonical()
        }
}
