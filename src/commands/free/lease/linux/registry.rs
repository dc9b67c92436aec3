//! Lists the leases: from the kernel's list of unix sockets, and what the lease daemons say.
//!
//! Anybody can take the name of a lease, and say anything. So a name counts as a lease only if its
//! process may be a lease daemon, and answers like one. Of its answer, only what the kernel
//! confirms is passed on.

use std::collections::HashMap;
use std::path::Path;

use super::ask::{Patience, Peer, Reply, ask, ask_all, runs_this_program};
use super::caller::{Identity, ancestors, descends_from, identify_caller, name_of};
use super::lock::{COMMAND_PREFIX, PREFIX};
use super::protocol::{DONE, REFUSED, Request, Story};
use super::users;
use crate::collect;
use crate::collect::unix_sockets::{self, Kind, UnixSocket};
use crate::commands::free::{Leases, Release};
use crate::error::Error;
use crate::model::{Client, Lease, LeaseKind, NameTaken, Pid};
use crate::port_set::PortSet;

/// The leases on `ports`, ascending, and the processes that have the name of one without being a
/// lease daemon.
pub fn leases(ports: &PortSet) -> Result<Leases, Error> {
    let names = Names::read(Path::new("/proc"), ports)?;
    let mut found = Leases::default();
    let listening: Vec<&Row> = names.leases.iter().filter(|row| row.listens).collect();
    let asked: Vec<u16> = listening.iter().map(|row| row.port).collect();
    let mut strangers = Vec::new();
    let mut parties = Parties::default();
    for (row, reply) in listening.iter().zip(ask_all(&asked, &Request::Tell, &mut Patience::default())) {
        match reply {
            Reply::Gone => {}
            Reply::Packet(peer, packet) => match Story::decode(&packet) {
                Some(story) => found.leases.push(parties.told(row.port, peer, story)),
                None => found.taken.push(parties.taken(row.port, peer)),
            },
            Reply::Silent(peer) => found.leases.push(parties.untold(row.port, peer)),
            Reply::Stranger(Some(peer)) => found.taken.push(parties.taken(row.port, peer)),
            Reply::Stranger(None) => strangers.push(*row),
            Reply::Denied(error) => found.unasked = Some(error),
        }
    }
    strangers.extend(names.leases.iter().filter(|row| !row.listens));
    sort_out(&strangers, &names, &mut found);
    found.leases.sort_unstable_by_key(|lease| lease.port);
    found.taken.sort_unstable_by_key(|taken| taken.port);
    Ok(found)
}

/// Sorts names by the processes that have them: commands, a portcheck that is still picking, and
/// the rest.
fn sort_out(rows: &[&Row], names: &Names, found: &mut Leases) {
    if rows.is_empty() {
        return;
    }
    let mark = |row: &Row| names.commands.get(&row.port).copied().filter(|_| !row.listens);
    let inodes: Vec<u64> = rows.iter().flat_map(|row| [Some(row.inode), mark(row)]).flatten().collect();
    let owners = collect::owners_of(&inodes);
    let owners_of =
        |inode: u64| -> Vec<Pid> { owners.iter().filter(|(owned, _)| *owned == inode).map(|&(_, pid)| pid).collect() };
    for row in rows {
        let pids = owners_of(row.inode);
        let marked = mark(row).map(owners_of);
        let is_command = marked
            .is_some_and(|others| pids.is_empty() || others.is_empty() || others.iter().any(|pid| pids.contains(pid)));
        let is_picking = |pid: &Pid| runs_this_program(*pid) == Some(true);
        if is_command {
            found.leases.push(of_command(row.port, pids));
        } else if pids.is_empty() || !pids.iter().all(is_picking) {
            found.taken.push(NameTaken { port: row.port, pids, uid: None, user: None });
        }
    }
}

/// Releases `ports`, and says of each how that went.
pub fn release(ports: &[u16]) -> Result<Vec<(u16, Release)>, Error> {
    let asked: PortSet = ports.iter().map(|&port| (port, port)).collect();
    let mut found = leases(&asked)?;
    if let Some(source) = found.unasked.take() {
        return Err(Error::Call { call: "asking a lease daemon", source });
    }
    let mut patience = Patience::for_many(ports.len());
    let released: Vec<(u16, Release)> =
        ports.iter().map(|&port| (port, release_one(port, &found, &mut patience))).collect();
    // A port counts as released only if the kernel no longer lists its name.
    let left = Names::read(Path::new("/proc"), &asked)?;
    let is_left = |port: u16| left.leases.iter().any(|row| row.port == port && row.listens);
    let verified = released.into_iter().map(|(port, became)| match became {
        Release::Done(_) if is_left(port) => (port, Release::Unanswered),
        became => (port, became),
    });
    Ok(verified.collect())
}

fn release_one(port: u16, found: &Leases, patience: &mut Patience) -> Release {
    if let Some(taken) = found.taken.iter().find(|taken| taken.port == port) {
        return Release::NameTaken(taken.clone());
    }
    let Some(lease) = found.leases.iter().find(|lease| lease.port == port).cloned() else {
        return Release::NotLeased;
    };
    if lease.kind == LeaseKind::Command {
        return Release::OfCommand(lease);
    }
    match ask(port, &Request::Release, patience) {
        Reply::Packet(_, packet) if packet == DONE => Release::Done(lease),
        Reply::Packet(_, packet) if packet == REFUSED => Release::NotOurs(lease),
        Reply::Gone => Release::NotLeased,
        _ => Release::Unanswered,
    }
}

/// Ends the lease on `port` if it was made with the same key for the caller, or for a caller that
/// has ended.
pub fn reclaim(port: u16, key: u64, patience: &mut Patience) -> bool {
    let Some(caller) = identify_caller() else { return false };
    is_done(ask(port, &Request::Reclaim { key, caller }, patience))
}

/// Ends the lease on `port` if it was made for the caller, or for one of its ancestors.
pub fn take_over(port: u16, patience: &mut Patience) -> bool {
    let Reply::Packet(peer, packet) = ask(port, &Request::Tell, patience) else { return false };
    Story::decode(&packet).is_some_and(|story| Parties::default().told(port, peer, story).is_own)
        && is_done(ask(port, &Request::Release, patience))
}

fn is_done(reply: Reply) -> bool {
    matches!(reply, Reply::Packet(_, packet) if packet == DONE)
}

/// The processes and users of leases. Each is looked up once, as one daemon may keep thousands of
/// leases.
#[derive(Debug, Default)]
struct Parties {
    users: HashMap<u32, (Option<u32>, Option<String>)>,
    /// The clients that are confirmed, and whether the asking process descends from them.
    clients: HashMap<(u32, Identity), Option<(Client, bool)>>,
}

impl Parties {
    /// A lease as its daemon describes it, as far as the kernel confirms that.
    fn told(&mut self, port: u16, peer: Peer, story: Story) -> Lease {
        let Story { kind, expires_in, client, ends_with_client } = story;
        let client = client.and_then(|client| self.client(peer.uid, client));
        Lease {
            kind,
            expires_in: Some(expires_in),
            is_own: client.as_ref().is_some_and(|(_, is_own)| *is_own),
            client: client.map(|(client, _)| Client { ends_lease: ends_with_client, ..client }),
            ..self.untold(port, peer)
        }
    }

    /// A daemon that belongs to another user than its client could name any process. Root's daemon
    /// is believed.
    fn client(&mut self, uid: u32, client: Identity) -> Option<(Client, bool)> {
        let look_up = |(_, client): &(u32, Identity)| {
            let pid = client.pid().filter(|&pid| uid == 0 || users::is_of(pid, uid))?;
            Some((Client { name: name_of(pid), pid: Some(pid), ends_lease: false }, descends_from(client)))
        };
        self.clients.entry((uid, client)).or_insert_with_key(look_up).clone()
    }

    /// A lease of which only the daemon is known.
    fn untold(&mut self, port: u16, peer: Peer) -> Lease {
        let NameTaken { port, pids, uid, user } = self.taken(port, peer);
        Lease { port, kind: LeaseKind::Reserved, uid, user, pids, client: None, expires_in: None, is_own: false }
    }

    fn taken(&mut self, port: u16, peer: Peer) -> NameTaken {
        let (uid, user) = self.users.entry(peer.uid).or_insert_with(|| users::describe(peer.uid)).clone();
        NameTaken { port, pids: peer.pid.into_iter().collect(), uid, user }
    }
}

fn of_command(port: u16, pids: Vec<Pid>) -> Lease {
    let is_own = ancestors().any(|ancestor| pids.contains(&ancestor));
    Lease { port, kind: LeaseKind::Command, uid: None, user: None, pids, client: None, expires_in: None, is_own }
}

/// A name, as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    port: u16,
    inode: u64,
    listens: bool,
}

/// The names that exist.
#[derive(Debug, Default)]
struct Names {
    /// The names of leases, ascending.
    leases: Vec<Row>,
    /// The inodes of the names that mark commands, by port.
    commands: HashMap<u16, u64>,
}

impl Names {
    /// The names for `ports`.
    fn read(proc: &Path, ports: &PortSet) -> Result<Self, Error> {
        let mut names = Self::default();
        for socket in unix_sockets::list(proc)? {
            // Names of other socket types are separate, and do not conflict.
            if socket.kind != Kind::Packets {
                continue;
            }
            if let Some(row) = row(&socket, PREFIX).filter(|row| ports.contains(row.port)) {
                names.leases.push(row);
            } else if let Some(Row { port, inode, .. }) = row(&socket, COMMAND_PREFIX) {
                names.commands.insert(port, inode);
            }
        }
        names.leases.sort_unstable();
        Ok(names)
    }
}

/// `None` if it is another name.
fn row(socket: &UnixSocket, prefix: &str) -> Option<Row> {
    let digits = std::str::from_utf8(&socket.name).ok()?.strip_prefix(prefix)?;
    let port: u16 = digits.parse().ok()?;
    // `08080` and `+8080` are other names.
    (port.to_string() == digits).then_some(Row { port, inode: socket.inode, listens: socket.listens })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::free::lease::lock;

    #[test]
    fn locks_are_told_from_other_sockets() {
        let socket =
            |name: &str| UnixSocket { name: name.as_bytes().to_vec(), inode: 101, listens: true, kind: Kind::Packets };
        let row = |name: &str| row(&socket(name), PREFIX);
        assert_eq!(row("portcheck.lease.20123"), Some(Row { port: 20123, inode: 101, listens: true }));
        for other in [
            "portcheck.lease.70000",
            "portcheck.lease.",
            "portcheck.lease.+1",
            "portcheck.lease.01",
            "/tmp/.X11-unix/X0",
            "portcheck.lease.1\0",
        ] {
            assert_eq!(row(other), None, "{other}");
        }
    }

    /// A list as the kernel writes it.
    #[test]
    fn a_lock_of_ours_is_listed_once_it_is_marked_as_that_of_a_command() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ports: PortSet = [(port, port)].into_iter().collect();
        let mine = lock(port).unwrap().unwrap();
        let found = leases(&ports).unwrap();
        assert!(found.leases.is_empty() && found.taken.is_empty(), "this program is still picking: {found:?}");
        let _mark = mine.mark().unwrap();
        let found = leases(&ports).unwrap().leases;
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, &found[0].pids), (LeaseKind::Command, &vec![std::process::id()]));
        assert!(matches!(release(&[port]).unwrap()[..], [(_, Release::OfCommand(_))]));
        assert!(!reclaim(port, 1, &mut Patience::default()));
    }
}
