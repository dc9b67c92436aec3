//! Looks at the machine again and again, and tells what has changed.
//!
//! A look reads the tables, and searches for the holders of new sockets only. Rows are made if
//! anything has changed, some ports at a time, so that ten thousand take little memory.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::Message;
use super::row::Sample;
use crate::collect::Follower;
use crate::commands::list::listed;
use crate::error::Error;
use crate::model::{Snapshot, Socket};
use crate::render::Style;
use crate::render::columns::shown;
use crate::request::{Filter, Order, Request};

/// What to look for, and what was seen last.
#[derive(Debug)]
pub struct Look {
    follower: Follower,
    request: Request,
    filter: Filter,
    style: Style,
    /// What the last look saw, as one number.
    seen: Option<u64>,
}

/// So many sockets become rows at once.
const TOGETHER: usize = 500;

impl Look {
    /// Prepares to look at what `request` and `filter` ask for.
    pub fn new(request: &Request, filter: &Filter, style: &Style) -> Self {
        Self {
            follower: Follower::new(request.scope()),
            request: request.clone(),
            filter: filter.clone(),
            style: style.clone(),
            seen: None,
        }
    }

    /// Looks every `interval` from now on.
    pub fn start(mut self, interval: Duration, inbox: Sender<Message>) -> io::Result<()> {
        let look_on = move || {
            loop {
                let message = match self.next() {
                    Ok(sample) => sample.map(Message::Sample),
                    Err(error) => Some(Message::Failed(error.to_string())),
                };
                if message.is_some_and(|message| inbox.send(message).is_err()) {
                    return;
                }
                thread::sleep(interval);
            }
        };
        thread::Builder::new().name("look".to_owned()).spawn(look_on).map(drop)
    }

    /// The rows, if anything has changed.
    fn next(&mut self) -> Result<Option<Sample>, Error> {
        let (snapshot, _) = self.follower.look()?;
        let seen = Some(number_of(&snapshot));
        if self.seen == seen {
            return Ok(None);
        }
        self.seen = seen;
        Ok(Some(self.sample(snapshot)))
    }

    fn sample(&self, snapshot: Snapshot) -> Sample {
        let columns = shown(&self.style);
        let mut sample = Sample::default();
        for part in parts(snapshot) {
            let diagnosis = listed(&self.request, &self.filter, Order::default(), part);
            sample.add(&diagnosis, &columns, &self.style);
        }
        sample
    }
}

/// The same sockets in several snapshots, those of a port together.
fn parts(mut snapshot: Snapshot) -> impl Iterator<Item = Snapshot> {
    let port = |socket: &Socket| socket.local.port();
    snapshot.sockets.sort_unstable_by_key(|socket| std::cmp::Reverse(port(socket)));
    let mut is_first = true;
    std::iter::from_fn(move || {
        if snapshot.sockets.is_empty() && !is_first {
            return None;
        }
        is_first = false;
        let sockets = &mut snapshot.sockets;
        let mut start = sockets.len().saturating_sub(TOGETHER);
        while start > 0 && port(&sockets[start - 1]) == port(&sockets[start]) {
            start -= 1;
        }
        let sockets = sockets.split_off(start);
        let Snapshot { host, processes, gaps, .. } = &snapshot;
        Some(Snapshot { host: host.clone(), sockets, processes: processes.clone(), gaps: gaps.clone() })
    })
}

/// A number that differs if a socket came, went or changed, or if its holders did.
fn number_of(snapshot: &Snapshot) -> u64 {
    let number = |thing: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        thing(&mut hasher);
        hasher.finish()
    };
    let of_socket = |socket: &Socket| {
        let Socket { protocol, state, local, remote, cookie, inode, .. } = socket;
        let owners = (socket.owners.kind(), socket.owners.pids());
        number(&|hasher| (protocol, state, local, remote, cookie, inode, owners).hash(hasher))
    };
    let processes = snapshot
        .processes
        .iter()
        .map(|process| number(&|hasher| (process.pid, &process.name, &process.command).hash(hasher)));
    // The order of the kernel's tables means nothing.
    snapshot.sockets.iter().map(of_socket).chain(processes).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{host, owned, process};

    fn snapshot(sockets: Vec<Socket>) -> Snapshot {
        Snapshot { host: host(), sockets, processes: vec![process(7, 1, "node")], gaps: Vec::new() }
    }

    #[test]
    fn whatever_a_row_shows_is_news() {
        let socket = || owned("127.0.0.1:80", &[7]);
        let other = || owned("127.0.0.1:81", &[7]);
        let number = |sockets: Vec<Socket>| number_of(&snapshot(sockets));
        assert_eq!(number(vec![socket(), other()]), number(vec![other(), socket()]));
        assert_ne!(number(vec![socket()]), number(vec![other()]));
        assert_ne!(number(vec![socket()]), number(vec![owned("127.0.0.1:80", &[8])]));
        let renamed = Snapshot { processes: vec![process(7, 1, "deno")], ..snapshot(vec![socket()]) };
        assert_ne!(number(vec![socket()]), number_of(&renamed));
    }

    #[test]
    fn the_sockets_of_a_port_stay_together_and_none_is_lost() {
        let mut sockets = Vec::new();
        for port in 1..=3000_u16 {
            let copies = if port == 1500 { 2500 } else { 1 };
            sockets.extend((0..copies).map(|_| owned(&format!("127.0.0.1:{port}"), &[7])));
        }
        let all = sockets.len();
        let parts: Vec<Snapshot> = parts(snapshot(sockets)).collect();
        assert_eq!(parts.iter().map(|part| part.sockets.len()).sum::<usize>(), all);
        let with_it = parts.iter().filter(|part| part.sockets.iter().any(|socket| socket.local.port() == 1500));
        assert!(parts.len() > 1 && with_it.count() == 1);
        assert_eq!(super::parts(snapshot(Vec::new())).count(), 1);
    }
}
