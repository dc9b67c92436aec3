//! Compares what two looks have seen. This is pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;

use crate::model::{Namespace, Protocol, Socket, State};

/// What is told of as one: a port of a protocol in a network namespace, or a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub port: u16,
    pub protocol: Protocol,
    /// `None` for our own.
    pub namespace: Option<Box<Namespace>>,
    /// Both ends of a connection.
    ends: Option<(SocketAddr, Option<SocketAddr>)>,
}

impl Key {
    fn of(socket: &Socket) -> Self {
        Self {
            port: socket.local.port(),
            protocol: socket.protocol,
            namespace: socket.namespace.clone(),
            ends: (!socket.state.is_waiting()).then_some((socket.local, socket.remote)),
        }
    }
}

/// What a look has seen.
#[derive(Debug, Default)]
pub struct Picture(HashMap<Key, Vec<Socket>>);

impl Picture {
    /// The sockets that are watched, of all that were seen.
    pub fn of(seen: Vec<Socket>, is_watched: impl Fn(&Socket) -> bool) -> Self {
        let mut sockets: HashMap<Key, Vec<Socket>> = HashMap::new();
        for socket in seen.into_iter().filter(is_watched) {
            match sockets.entry(Key::of(&socket)) {
                Entry::Occupied(mut others) => others.get_mut().push(socket),
                // Most are alone. An empty list would make room for four.
                Entry::Vacant(place) => drop(place.insert(vec![socket])),
            }
        }
        // The kernel lists them in the order of its hash tables, which means nothing and changes.
        for sockets in sockets.values_mut() {
            sockets.sort_by_key(|socket| (socket.local, socket.state, socket.remote, socket.cookie, socket.inode));
        }
        Self(sockets)
    }
}

/// What is different between two looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    pub key: Key,
    /// Empty if it was not in use.
    pub before: Vec<Socket>,
    /// Empty if it is not in use any more.
    pub now: &'a [Socket],
}

/// What is different, by port. Queues and timers change all the time, and do not count.
pub fn differ(mut before: Picture, now: &Picture) -> Vec<Change<'_>> {
    let mut changes = Vec::new();
    for (key, sockets) in &now.0 {
        let was = before.0.remove(key).unwrap_or_default();
        if !is_same(&was, sockets) {
            changes.push(Change { key: key.clone(), before: was, now: sockets });
        }
    }
    changes.extend(before.0.into_iter().map(|(key, before)| Change { key, before, now: &[] }));
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

fn is_same(before: &[Socket], now: &[Socket]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(was, is)| facts(was) == facts(is))
}

/// What counts of a socket: which one it is, where, in which state, and whose.
fn facts(socket: &Socket) -> impl PartialEq + use<'_> {
    // A connection loses its file when it is closed, and stays the same one.
    let file = socket.inode.filter(|_| socket.cookie.is_none());
    let pids = (socket.state != State::TimeWait).then(|| {
        let mut pids = socket.owners.pids().to_vec();
        pids.sort_unstable();
        pids
    });
    (socket.cookie, file, socket.local, socket.remote, socket.state, &socket.device, pids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Owners;
    use crate::testing::{namespace, owned};

    fn picture(sockets: &[&Socket]) -> Picture {
        Picture::of(sockets.iter().copied().cloned().collect(), |_| true)
    }

    fn changes(before: &[&Socket], now: &[&Socket]) -> Vec<(u16, usize, usize)> {
        let now = picture(now);
        let changes = differ(picture(before), &now);
        changes.iter().map(|change| (change.key.port, change.before.len(), change.now.len())).collect()
    }

    fn listener(local: &str, cookie: u64, pids: &[u32]) -> Socket {
        Socket { cookie: Some(cookie), ..owned(local, pids) }
    }

    #[test]
    fn a_port_opens_and_closes_and_others_stay_silent() {
        let (web, ssh) = (listener("0.0.0.0:80", 1, &[4]), listener("0.0.0.0:22", 2, &[5]));
        assert_eq!(changes(&[], &[&web, &ssh]), [(22, 0, 1), (80, 0, 1)]);
        assert_eq!(changes(&[&web, &ssh], &[&ssh]), [(80, 1, 0)]);
        let busy = Socket { receive_queue: Some(7), timer: None, ..ssh.clone() };
        assert_eq!(changes(&[&web, &ssh], &[&busy, &web]), []);
    }

    #[test]
    fn another_holder_socket_or_state_is_a_change() {
        let web = listener("0.0.0.0:80", 1, &[4]);
        for (now, expected) in [
            (listener("0.0.0.0:80", 1, &[6]), 1),
            (listener("0.0.0.0:80", 1, &[4, 6]), 1),
            (listener("0.0.0.0:80", 3, &[4]), 1),
            (Socket { owners: Owners::Hidden { reason: String::new() }, ..web.clone() }, 1),
            (Socket { state: State::Bound, ..web.clone() }, 1),
            (web.clone(), 0),
        ] {
            assert_eq!(changes(&[&web], &[&now]).len(), expected, "{now:?}");
        }
        let (shared, swapped) = (listener("0.0.0.0:80", 1, &[4, 6]), listener("0.0.0.0:80", 1, &[6, 4]));
        assert_eq!(changes(&[&shared], &[&swapped]), [], "the order of holders means nothing");
        assert_eq!(changes(&[&web], &[&web, &listener("127.0.0.1:80", 9, &[4])]), [(80, 1, 2)]);
    }

    #[test]
    fn a_connection_is_told_by_itself_and_so_is_another_namespace() {
        let web = listener("0.0.0.0:80", 1, &[4]);
        let client = |port: u16, state| Socket {
            state,
            remote: Some(SocketAddr::from(([10, 0, 0, 1], port))),
            ..listener("10.0.0.2:80", u64::from(port), &[4])
        };
        let (first, second) = (client(5000, State::Established), client(5001, State::Established));
        assert_eq!(changes(&[&web], &[&web, &first, &second]), [(80, 0, 1), (80, 0, 1)]);
        let remnant = Socket { inode: None, owners: Owners::None, ..client(5000, State::TimeWait) };
        assert_eq!(changes(&[&first], &[&remnant]), [(80, 1, 1)]);
        assert_eq!(changes(&[&remnant], &[&remnant]), []);
        let blue = Socket { namespace: Some(Box::new(namespace("blue"))), ..web.clone() };
        assert_eq!(changes(&[&web], &[&web, &blue]), [(80, 0, 1)]);
    }
}
