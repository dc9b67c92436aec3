//! The sockets of the last look, to be found again in the next one.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::SocketAddr;

use crate::model::{Protocol, Socket};

/// Identifies a socket as long as it exists: by its network namespace, and by what the kernel calls it.
pub type Id = (Option<u64>, Protocol, Name);

/// What the kernel calls a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    Cookie(u64),
    /// For what the text under /proc/net tells.
    Inode(u64),
    /// For a remnant (`TIME_WAIT`) in that text, which has no inode.
    Ends(SocketAddr, Option<SocketAddr>),
}

/// What is known of each socket, mostly in the order of the kernel's tables.
#[derive(Debug, Default)]
pub struct Known {
    sockets: Vec<(Id, Socket)>,
    /// Made when a socket is not where it was.
    places: OnceCell<HashMap<Id, usize>>,
    /// Where the next one is, if nothing has changed.
    next: usize,
    /// Which of them were found since the last call of [`Self::start`].
    found: Vec<bool>,
}

impl Known {
    /// Knows these sockets, and no others.
    pub fn new(sockets: Vec<(Id, Socket)>) -> Self {
        Self { sockets, ..Self::default() }
    }

    /// Starts to find them again.
    pub fn start(&mut self) {
        self.next = 0;
        self.found.clear();
        self.found.resize(self.sockets.len(), false);
    }

    /// Finds a socket. This takes least in the order of the last look.
    pub fn find(&mut self, id: &Id) -> Option<&Socket> {
        let is_next = self.sockets.get(self.next).is_some_and(|(known, _)| known == id);
        let at = if is_next { self.next } else { self.place(id)? };
        self.next = at + 1;
        self.found[at] = true;
        Some(&self.sockets[at].1)
    }

    /// What is known of a socket.
    pub fn get(&self, id: &Id) -> Option<&Socket> {
        Some(&self.sockets[self.place(id)?].1)
    }

    /// All of them.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().map(|(_, socket)| socket)
    }

    /// Those that were not found.
    pub fn gone(&self) -> impl Iterator<Item = &Socket> {
        self.sockets().zip(&self.found).filter(|(_, found)| !**found).map(|(socket, _)| socket)
    }

    fn place(&self, id: &Id) -> Option<usize> {
        let places = || self.sockets.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
        self.places.get_or_init(places).get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::owned;

    fn id(cookie: u64) -> Id {
        (None, Protocol::Tcp, Name::Cookie(cookie))
    }

    #[test]
    fn sockets_are_found_in_any_order_and_others_are_gone() {
        let sockets = (1..=4_u16).map(|port| (id(port.into()), owned(&format!("127.0.0.1:{port}"), &[7])));
        let mut known = Known::new(sockets.collect());
        for order in [[1, 2, 3], [3, 1, 2]] {
            known.start();
            for cookie in order {
                assert_eq!(known.find(&id(cookie)).map(|socket| u64::from(socket.local.port())), Some(cookie));
            }
            assert_eq!(known.find(&id(5)), None);
            assert_eq!(known.gone().map(|socket| socket.local.port()).collect::<Vec<_>>(), [4]);
        }
        assert!(known.get(&id(4)).is_some() && known.get(&id(5)).is_none());
    }
}
