//! What went over the connections of a port in the last minutes.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::model::Socket;

/// How many looks are remembered, one a second.
const REMEMBERED: usize = 180;

/// The connections of a port, and what was seen of them.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Those that are there now.
    pub connections: Vec<Socket>,
    /// How many there were at each look.
    pub counts: VecDeque<u64>,
    /// Bytes received between two looks.
    pub received: VecDeque<u64>,
    /// Bytes sent between two looks.
    pub sent: VecDeque<u64>,
    /// What each connection had received and sent.
    before: HashMap<Key, (u64, u64)>,
    has_looked: bool,
}

/// A connection, even if its addresses are used again.
type Key = (SocketAddr, Option<SocketAddr>, Option<u64>);

impl Traffic {
    /// Takes in the sockets of the port.
    pub fn add(&mut self, sockets: Vec<Socket>) {
        let mut connections: Vec<Socket> = sockets.into_iter().filter(|socket| socket.remote.is_some()).collect();
        connections.sort_by_key(|socket| (socket.remote, socket.local));
        let (mut received, mut sent) = (0, 0);
        let mut after = HashMap::new();
        for socket in &connections {
            let Some(info) = socket.tcp_info else { continue };
            let key = (socket.local, socket.remote, socket.cookie.or(socket.inode));
            let bytes = (info.bytes_received.unwrap_or(0), info.bytes_sent.unwrap_or(0));
            // Of a connection that was there before the first look, nobody knows when.
            let before = self.before.get(&key).copied().unwrap_or(if self.has_looked { (0, 0) } else { bytes });
            received += bytes.0.saturating_sub(before.0);
            sent += bytes.1.saturating_sub(before.1);
            after.insert(key, bytes);
        }
        let count = u64::try_from(connections.len()).unwrap_or(u64::MAX);
        for (history, value) in [(&mut self.counts, count), (&mut self.received, received), (&mut self.sent, sent)] {
            if history.len() == REMEMBERED {
                history.pop_front();
            }
            history.push_back(value);
        }
        (self.connections, self.before, self.has_looked) = (connections, after, true);
    }
}

/// Bars from nothing to the highest value, for the last `width` values.
pub fn sparkline(values: &VecDeque<u64>, width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().copied().max().unwrap_or(0).max(1);
    let bar = |&value: &u64| {
        // What is more than nothing can be seen.
        let height = u128::from(value) * 7 / u128::from(highest);
        let height = usize::try_from(height).unwrap_or(7).max(usize::from(value > 0));
        BARS[height.min(7)]
    };
    values.iter().skip(values.len().saturating_sub(width)).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Protocol, State, TcpInfo};

    fn connection(peer: u16, received: u64, sent: u64) -> Socket {
        let info =
            TcpInfo { rtt_us: 0, retransmits: 0, bytes_sent: Some(sent), bytes_received: Some(received), idle_ms: 0 };
        Socket {
            remote: Some(SocketAddr::from(([127, 0, 0, 1], peer))),
            tcp_info: Some(info),
            ..Socket::new(Protocol::Tcp, Family::Ipv4, State::Established, "127.0.0.1:80".parse().unwrap())
        }
    }

    #[test]
    fn bytes_are_counted_between_two_looks() {
        let mut traffic = Traffic::default();
        traffic.add(vec![connection(1, 1000, 500), crate::testing::listener("127.0.0.1:80")]);
        traffic.add(vec![connection(1, 1010, 500), connection(2, 7, 3)]);
        traffic.add(vec![connection(2, 7, 4)]);
        assert_eq!(traffic.counts, [1, 2, 1]);
        assert_eq!(traffic.received, [0, 17, 0]);
        assert_eq!(traffic.sent, [0, 3, 1]);
        assert_eq!(traffic.connections.len(), 1);
    }

    #[test]
    fn only_the_last_minutes_are_kept() {
        let mut traffic = Traffic::default();
        for _ in 0..REMEMBERED + 5 {
            traffic.add(Vec::new());
        }
        assert_eq!(traffic.counts.len(), REMEMBERED);
    }

    #[test]
    fn whatever_is_more_than_nothing_can_be_seen() {
        let bars = |values: &[u64]| sparkline(&values.iter().copied().collect(), 4);
        assert_eq!(bars(&[9, 0, 1, 500, 1000]), "▁▂▄█");
        assert_eq!(bars(&[0, 0]), "▁▁");
        assert_eq!(bars(&[]), "");
        assert_eq!(bars(&[u64::MAX, 1]), "█▂");
    }
}
