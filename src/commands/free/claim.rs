//! A port that is ours for the moment: bound exclusively on every address that a server might want.
//!
//! The kernel refuses a bind without SO_REUSEADDR if any socket has the port, in any state. So if
//! all addresses can be bound at the same time, nobody has the port. While the sockets are open,
//! nobody can take it.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

use crate::model::Protocol;
use crate::probe::{self, Attempt, Outcome, Spot};

/// A bound socket that does nothing else.
#[derive(Debug)]
pub struct Bound {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The address.
    pub spot: Spot,
    /// The socket. It has neither SO_REUSEADDR nor SO_REUSEPORT.
    pub socket: Socket,
}

/// The sockets that make a port ours.
#[derive(Debug)]
pub struct Claim {
    /// The port.
    pub port: u16,
    /// Its sockets.
    pub bound: Vec<Bound>,
    /// What bind(2) said, for the answer.
    pub attempts: Vec<(Protocol, Attempt)>,
}

/// Why a port cannot be claimed.
#[derive(Debug)]
pub enum Refusal {
    /// What bind(2) said about the port.
    Refused(Outcome),
    /// No socket could be opened, for example because too many files are open.
    NoSocket(io::Error),
}

/// Binds `port` on each of the spots, for each of the protocols, or on none.
///
/// A machine without IPv6 has no IPv6 spots. That is no obstacle.
pub fn claim(port: u16, spots: &[(Protocol, Spot)]) -> Result<Claim, Refusal> {
    let mut claim = Claim { port, bound: Vec::new(), attempts: Vec::new() };
    for &(protocol, spot) in spots {
        let result = probe::bind(port, protocol, spot);
        let outcome = Outcome::of(&result);
        claim.attempts.push((protocol, Attempt { spot, reuse_address: false, outcome }));
        match (result, outcome) {
            (Ok(socket), _) => claim.bound.push(Bound { protocol, spot, socket }),
            (Err(_), Outcome::NoFamily) => {}
            // Some sandboxes allow IPv6 sockets, but have no IPv6 address.
            (Err(_), Outcome::NotAvailable) if is_wildcard_of_ipv6(spot) => {}
            (Err(error), Outcome::Other(_)) => return Err(Refusal::NoSocket(error)),
            (Err(_), outcome) => return Err(Refusal::Refused(outcome)),
        }
    }
    if claim.bound.is_empty() {
        return Err(Refusal::Refused(Outcome::NoFamily));
    }
    Ok(claim)
}

fn is_wildcard_of_ipv6(spot: Spot) -> bool {
    spot.address.is_ipv6() && spot.address.is_unspecified()
}

impl Claim {
    /// Whether one of its sockets is bound to `local`.
    pub fn has(&self, protocol: Protocol, local: SocketAddr) -> bool {
        let is_it = |bound: &Bound| bound.protocol == protocol && bound.spot.address == local.ip();
        local.port() == self.port && self.bound.iter().any(is_it)
    }

    /// The TCP sockets, changed so that only servers with SO_REUSEADDR can bind the port, too.
    ///
    /// The order matters: they are bound without SO_REUSEADDR, and then get the option. So the bind
    /// of a second holder fails, and that of a server succeeds. The UDP sockets are closed. With
    /// SO_REUSEADDR on both, the newer socket would get the datagrams; without it, no server could
    /// bind.
    pub fn into_hold(self) -> io::Result<Vec<Socket>> {
        let tcp = self.bound.into_iter().filter(|bound| bound.protocol == Protocol::Tcp);
        tcp.map(|bound| bound.socket.set_reuse_address(true).map(|()| bound.socket)).collect()
    }

    /// Listening sockets for a server. UDP sockets if there are none for TCP.
    pub fn into_servers(self) -> io::Result<Vec<Socket>> {
        /// The kernel limits it to net.core.somaxconn.
        const BACKLOG: i32 = 4096;
        let (tcp, udp): (Vec<Bound>, Vec<Bound>) =
            self.bound.into_iter().partition(|bound| bound.protocol == Protocol::Tcp);
        if tcp.is_empty() {
            return Ok(udp.into_iter().map(|bound| bound.socket).collect());
        }
        let serve = |Bound { socket, .. }| -> io::Result<Socket> {
            // Connections and their remnants inherit the option. So remnants do not block the next
            // start.
            socket.set_reuse_address(true)?;
            socket.listen(BACKLOG)?;
            Ok(socket)
        };
        tcp.into_iter().map(serve).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn both_protocols() -> Vec<(Protocol, Spot)> {
        let spots = probe::wildcards(None);
        Protocol::ALL.into_iter().flat_map(|protocol| spots.iter().map(move |&spot| (protocol, spot))).collect()
    }

    #[test]
    fn a_claim_takes_all_or_nothing() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        assert!(matches!(claim(port, &both_protocols()), Err(Refusal::Refused(Outcome::InUse))));
        // All sockets are closed.
        drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
        drop(udp);
        let mine = claim(port, &both_protocols()).unwrap();
        if crate::platform::machine::IS_WINDOWS {
            return crate::testing::skip("wine lets two exclusive sockets have a port on which neither listens");
        }
        assert!(matches!(claim(port, &both_protocols()), Err(Refusal::Refused(Outcome::InUse))));
        assert_eq!(mine.into_hold().unwrap().len() % 2, mine_families() % 2);
    }

    /// IPv4 and, if this machine has it, IPv6.
    fn mine_families() -> usize {
        1 + usize::from(socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).is_ok())
    }
}
