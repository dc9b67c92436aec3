//! The backend for every platform that netstat2 and sysinfo know.
//!
//! It sees less than the native one, and says so by gaps. It shows no sockets that are bound
//! without listening, no queues, timers, devices or cgroups. It shows owners only as far as the
//! system lets this user see them.

use std::collections::HashMap;
use std::net::SocketAddr;

use netstat2::{AddressFamilyFlags, ProtocolFlags, ProtocolSocketInfo, TcpState, iterate_sockets_info};

use sysinfo::Uid;

use super::{Detail, Scope, bare_host, leaders_first, processes};
use crate::error::Error;
use crate::model::{Family, Gap, Owners, Pid, Protocol, ShownBy, Snapshot, Socket, State, gap};

/// How often the table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each system has its own")]
pub enum Looks {
    /// Once.
    One,
    /// Twice: only what is in both tables counts. netstat2 asks macOS for the socket of each
    /// descriptor, and does not notice if the descriptor is closed meanwhile. Such a row has
    /// arbitrary content.
    Two,
}

/// See [`super::snapshot`]. `user_name` turns a user id into a name.
pub fn snapshot(scope: &Scope, looks: Looks, user_name: impl FnMut(&Uid) -> Option<String>) -> Result<Snapshot, Error> {
    let mut rows = rows(scope)?;
    if looks == Looks::Two {
        rows.confirm(&self::rows(scope)?);
    }
    let unreadable_rows = rows.unreadable;
    let mut sockets = rows.sockets;
    if !scope.connections {
        let waiting = sockets.iter().filter(|socket| socket.state.is_waiting());
        let unexplained = scope.unexplained(waiting);
        sockets.retain(|socket| socket.state.is_waiting() || unexplained.contains(socket.local.port()));
    }
    if scope.detail == Detail::Nothing {
        for socket in &mut sockets {
            socket.owners = Owners::NotAsked;
        }
    }
    let pids: Vec<Pid> = sockets.iter().flat_map(|socket| socket.owners.pids()).copied().collect();
    let processes = processes::details(pids, scope.detail, user_name)?;
    leaders_first(&mut sockets, &processes);
    Ok(Snapshot { host: bare_host(), gaps: gaps(scope, &sockets, unreadable_rows), sockets, processes })
}

/// Reads the sockets that `scope` asks for.
fn rows(scope: &Scope) -> Result<Rows, Error> {
    let flags = scope.protocols.iter().fold(ProtocolFlags::empty(), |flags, protocol| {
        flags
            | match protocol {
                Protocol::Tcp => ProtocolFlags::TCP,
                Protocol::Udp => ProtocolFlags::UDP,
            }
    });
    let ports = scope.ports();
    let mut rows_seen = Rows::default();
    let rows = iterate_sockets_info(AddressFamilyFlags::IPV4 | AddressFamilyFlags::IPV6, flags)
        .map_err(|error| Error::Portable(error.to_string()))?;
    // `get_sockets_info` would fail because of a single bad row.
    for row in rows {
        let Ok(row) = row else {
            rows_seen.unreadable += 1;
            continue;
        };
        let local = SocketAddr::new(row.local_addr(), row.local_port());
        if !ports.contains(local.port()) || local.port() == 0 {
            continue;
        }
        let (protocol, state, remote) = match row.protocol_socket_info {
            ProtocolSocketInfo::Tcp(tcp) => {
                let Some(state) = state_of(tcp.state) else { continue };
                let remote = SocketAddr::new(tcp.remote_addr, tcp.remote_port);
                // A connection that was reset no longer holds its port.
                if state == State::Bound && remote.port() != 0 {
                    continue;
                }
                (Protocol::Tcp, state, (remote.port() != 0 && state != State::Listen).then_some(remote))
            }
            ProtocolSocketInfo::Udp(_) => (Protocol::Udp, State::Unconnected, None),
        };
        rows_seen.add((protocol, state, local, remote), row.associated_pids);
    }
    Ok(rows_seen)
}

/// Identifies a socket, as far as the system tells sockets apart.
type Key = (Protocol, State, SocketAddr, Option<SocketAddr>);

/// The sockets so far. Some systems list a row for each process that has a socket. Such rows are
/// merged.
#[derive(Debug, Default)]
struct Rows {
    sockets: Vec<Socket>,
    index: HashMap<Key, usize>,
    /// How many rows could not be understood.
    unreadable: usize,
}

impl Rows {
    /// Keeps only what `other` has seen, too.
    fn confirm(&mut self, other: &Self) {
        self.sockets.retain_mut(|socket| {
            let key = (socket.protocol, socket.state, socket.local, socket.remote);
            let Some(&index) = other.index.get(&key) else { return false };
            let Owners::Known(pids) = &mut socket.owners else { return true };
            let others = other.sockets[index].owners.pids();
            pids.retain(|pid| others.contains(pid));
            if pids.is_empty() {
                socket.owners = untold();
            }
            true
        });
        self.index.clear();
    }

    fn add(&mut self, key: Key, mut pids: Vec<Pid>) {
        // Windows reports pid 0 if it does not know the process.
        pids.retain(|&pid| pid != 0);
        let (protocol, state, local, remote) = key;
        let index = *self.index.entry(key).or_insert_with(|| {
            let owners = if matches!(state, State::TimeWait | State::SynReceived) { Owners::None } else { untold() };
            let socket = Socket::new(protocol, Family::of(local.ip()), state, local);
            self.sockets.push(Socket { remote, owners, ..socket });
            self.sockets.len() - 1
        });
        if pids.is_empty() {
            return;
        }
        let owners = &mut self.sockets[index].owners;
        if let Owners::Known(known) = owners {
            pids.append(known);
        }
        pids.sort_unstable();
        pids.dedup();
        *owners = Owners::Known(pids);
    }
}

fn untold() -> Owners {
    Owners::Hidden { reason: "the system did not tell which process has it".to_owned() }
}

fn state_of(state: TcpState) -> Option<State> {
    Some(match state {
        TcpState::Closed => State::Bound,
        TcpState::Listen => State::Listen,
        TcpState::SynSent => State::SynSent,
        TcpState::SynReceived => State::SynReceived,
        TcpState::Established => State::Established,
        TcpState::FinWait1 => State::FinWait1,
        TcpState::FinWait2 => State::FinWait2,
        TcpState::CloseWait => State::CloseWait,
        TcpState::Closing => State::Closing,
        TcpState::LastAck => State::LastAck,
        TcpState::TimeWait => State::TimeWait,
        TcpState::DeleteTcb | TcpState::Unknown => return None,
    })
}

fn gaps(scope: &Scope, sockets: &[Socket], unreadable_rows: usize) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if scope.protocols.contains(&Protocol::Tcp) {
        let summary = "the portable backend does not list sockets that are bound but not listening";
        gaps.push(Gap { protocol: Some(Protocol::Tcp), ..gap::BOUND_SOCKETS_UNLISTED.gap(summary) });
    }
    if unreadable_rows > 0 {
        let summary = format!("{unreadable_rows} rows of the system's socket tables could not be understood");
        gaps.push(gap::ROWS_UNREADABLE.gap(summary));
    }
    gaps.extend(owners_untold(sockets));
    gaps
}

/// The gap for hidden owners, if there are any.
pub fn owners_untold(sockets: &[Socket]) -> Option<Gap> {
    let is_hidden = |socket: &Socket| matches!(socket.owners, Owners::Hidden { .. });
    let summary = "the system did not tell the processes of some sockets";
    let gap = || Gap { shown_by: root_would_tell(), ..gap::UNREADABLE_PROCESSES.gap(summary) };
    sockets.iter().any(is_hidden).then(gap)
}

/// Root sees what this user does not. On Windows nobody sees more: it tells everybody.
fn root_would_tell() -> ShownBy {
    #[cfg(unix)]
    if !rustix::process::geteuid().is_root() {
        return ShownBy::Root;
    }
    ShownBy::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_could_not_be_read_are_a_gap_and_no_others() {
        let scope = Scope {
            backend: crate::model::Backend::Portable,
            protocols: vec![Protocol::Udp],
            targets: Vec::new(),
            connections: false,
            tcp_info: false,
            detail: Detail::Full,
            quick: false,
            family: None,
            namespaces: crate::collect::Namespaces::Own,
        };
        let kinds = |unreadable| -> Vec<_> { gaps(&scope, &[], unreadable).iter().map(|gap| gap.kind).collect() };
        assert_eq!((kinds(0), kinds(1)), (vec![], vec![&gap::ROWS_UNREADABLE]));
    }

    #[test]
    fn only_what_was_seen_twice_counts() {
        let key = |local: &str| (Protocol::Tcp, State::Listen, local.parse().unwrap(), None);
        let mut first = Rows::default();
        first.add(key("127.0.0.1:80"), vec![42, 43]);
        first.add(key("127.0.0.1:81"), vec![42]);
        first.add(key("127.0.0.1:82"), vec![42]);
        first.add(key("127.0.0.1:83"), vec![]);
        let mut second = Rows::default();
        second.add(key("127.0.0.1:80"), vec![42]);
        second.add(key("127.0.0.1:82"), vec![44]);
        second.add(key("127.0.0.1:83"), vec![]);
        first.confirm(&second);
        let found: Vec<(u16, &Owners)> = first.sockets.iter().map(|it| (it.local.port(), &it.owners)).collect();
        assert_eq!(found, [(80, &Owners::Known(vec![42])), (82, &untold()), (83, &untold())]);
    }
}
