//! The leases there are: read from the kernel's list of unix sockets, told by those who keep them.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::net::{SendFlags, SocketFlags, connect, send};

use super::lock::{self, PREFIX};
use super::packets::receive;
use super::protocol::{DONE, Request, Story};
use super::{caller, pid_namespace};
use crate::collect;
use crate::collect::unix_sockets::{self, UnixSocket};
use crate::error::Error;
use crate::free::Release;
use crate::model::{Client, Lease, LeaseKind, Pid};
use crate::port_set::PortSet;

/// How long we wait for lease daemons that do not answer, all in all. They do nothing else; but anybody can take the name of one.
struct Patience(Duration);

impl Patience {
    fn new() -> Self {
        Self(Duration::from_secs(2))
    }

    /// Asks the lease daemon of `port`. `None` if there is none, or it does not answer in time.
    fn ask(&mut self, port: u16, request: Request) -> Option<Answer> {
        let start = Instant::now();
        let answer = ask(port, request, start + self.0);
        if answer.is_none() {
            self.0 = self.0.saturating_sub(start.elapsed());
        }
        answer
    }
}

/// The leases on `ports`, ascending.
///
/// # Errors
///
/// If the kernel's list cannot be read.
pub fn leases(ports: &PortSet) -> Result<Vec<Lease>, Error> {
    let mut rows = rows(Path::new("/proc"))?;
    rows.retain(|row| ports.contains(row.port));
    let silent: Vec<u64> = rows.iter().filter(|row| !row.listens).map(|row| row.inode).collect();
    let owners = if silent.is_empty() { Vec::new() } else { collect::owners_of(&silent) };
    let mut patience = Patience::new();
    let lease = |row: &Row| {
        if row.listens {
            return told(row.port, &mut patience);
        }
        let pids = owners.iter().filter(|(inode, _)| *inode == row.inode).map(|&(_, pid)| pid).collect();
        Some(Lease { pids, ..of_command(row.port) })
    };
    Ok(rows.iter().filter_map(lease).collect())
}

/// Ends the leases on `ports`, and tells of each what became of it.
///
/// # Errors
///
/// If the kernel's list cannot be read. Then none has ended.
pub fn release(ports: &[u16]) -> Result<Vec<(u16, Release)>, Error> {
    let mut leases = leases(&ports.iter().map(|&port| (port, port)).collect())?;
    let mut patience = Patience::new();
    let mut release_one = |port| {
        let Some(index) = leases.iter().position(|lease| lease.port == port) else { return Release::NotLeased };
        let lease = leases.swap_remove(index);
        if lease.kind == LeaseKind::Command {
            return Release::OfCommand(lease);
        }
        match patience.ask(port, Request::Release) {
            Some(answer) if answer.packet == DONE => Release::Done(lease),
            Some(_) => Release::NotOurs(lease),
            None => Release::Unanswered,
        }
    };
    Ok(ports.iter().map(|&port| (port, release_one(port))).collect())
}

/// Ends the lease on `port` if it was made with the same key for the one who calls us now, or for one who has ended.
#[must_use]
pub fn reclaim(port: u16, key: u64) -> bool {
    let request = Request::Reclaim { key, caller: caller().unwrap_or(0) };
    Patience::new().ask(port, request).is_some_and(|answer| answer.packet == DONE)
}

/// What the lease daemon of `port` tells; `None` if it has just ended.
fn told(port: u16, patience: &mut Patience) -> Option<Lease> {
    // Until the daemon has taken over, the kernel names the one who started it. Once it has answered, it has.
    let answer = patience.ask(port, Request::Tell).and_then(|_| patience.ask(port, Request::Tell));
    let unknown = Lease { kind: LeaseKind::Reserved, ..of_command(port) };
    let Some(answer) = answer else {
        // Still there, and silent: somebody's for all we know.
        return matches!(lock::lock(port), Ok(None)).then_some(unknown);
    };
    let story = Story::decode(&answer.packet);
    Some(Lease {
        kind: story.as_ref().map_or(LeaseKind::Reserved, |story| story.kind),
        uid: Some(answer.uid),
        user: uzers::get_user_by_uid(answer.uid).map(|user| user.name().to_string_lossy().into_owned()),
        pids: answer.pid.into_iter().collect(),
        expires_in: story.as_ref().map(|story| story.expires_in),
        client: story.and_then(|Story { client, pid_namespace: namespace, .. }| {
            // In another namespace the number would name somebody else.
            client.map(|client| Client { pid: client.pid.filter(|_| namespace == pid_namespace()), ..client })
        }),
        port,
    })
}

fn of_command(port: u16) -> Lease {
    Lease { port, kind: LeaseKind::Command, uid: None, user: None, pids: Vec::new(), client: None, expires_in: None }
}

/// An answer, and what the kernel says about who gave it.
struct Answer {
    packet: Vec<u8>,
    uid: u32,
    /// `None` where its pid namespace is out of our sight.
    pid: Option<Pid>,
}

/// Asks the lease daemon of `port`. `None` if there is none, or it does not answer until `deadline`.
fn ask(port: u16, request: Request, deadline: Instant) -> Option<Answer> {
    let socket = lock::socket(SocketFlags::NONBLOCK).ok()?;
    connect(&socket, &lock::address(port).ok()?).ok()?;
    let peer = getsockopt(&socket, sockopt::PeerCredentials).ok()?;
    send(&socket, request.encode().as_bytes(), SendFlags::NOSIGNAL).ok()?;
    let packet = receive(&socket, deadline).ok()?;
    let pid = Pid::try_from(peer.pid()).ok().filter(|&pid| pid != 0);
    Some(Answer { packet, uid: peer.uid(), pid })
}

/// A lock as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    port: u16,
    inode: u64,
    listens: bool,
}

/// The locks there are, ascending.
fn rows(proc: &Path) -> Result<Vec<Row>, Error> {
    let mut rows: Vec<Row> = unix_sockets::list(proc)?.iter().filter_map(row).collect();
    rows.sort_unstable();
    Ok(rows)
}

/// `None` for a socket that is no lock.
fn row(socket: &UnixSocket) -> Option<Row> {
    let port = std::str::from_utf8(&socket.name).ok()?.strip_prefix(PREFIX)?.parse().ok()?;
    Some(Row { port, inode: socket.inode, listens: socket.listens })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_told_from_other_sockets() {
        let row = |name: &str| row(&UnixSocket { name: name.as_bytes().to_vec(), inode: 101, listens: true });
        assert_eq!(row("portcheck.lease.20123"), Some(Row { port: 20123, inode: 101, listens: true }));
        for other in ["portcheck.lease.70000", "portcheck.lease.", "/tmp/.X11-unix/X0", "portcheck.lease.1\0"] {
            assert_eq!(row(other), None, "{other}");
        }
    }

    /// In the kernel's own words.
    #[test]
    fn a_lock_of_ours_is_listed() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ports: PortSet = [(port, port)].into_iter().collect();
        let _mine = lock::lock(port).unwrap().unwrap();
        let leases = leases(&ports).unwrap();
        assert_eq!(leases.len(), 1);
        assert_eq!((leases[0].kind, &leases[0].pids), (LeaseKind::Command, &vec![std::process::id()]));
        assert!(matches!(release(&[port]).unwrap()[..], [(_, Release::OfCommand(_))]));
        assert!(!reclaim(port, 1));
    }
}
