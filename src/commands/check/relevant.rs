//! Which sockets of a port count for a target: those on its addresses, and those that block it
//! according to bind(2).

use std::net::{IpAddr, Ipv4Addr};

use crate::model::{Family, Socket};
use crate::probe::{Attempt, Outcome, Spot};
use crate::target::Target;

/// What is asked about.
pub struct Asked<'a> {
    /// The addresses.
    pub target: &'a Target,
    /// The family; both if `None`.
    pub family: Option<Family>,
    /// Where bind(2) is tried for them.
    pub spots: &'a [Spot],
}

impl Asked<'_> {
    /// Whether the socket is on an address that is asked about.
    pub fn covers(&self, socket: &Socket) -> bool {
        socket.serves(self.family) && self.target.covers(socket)
    }

    /// The `sockets` of a port that count. `attempts` are the results of bind; `None` if it must
    /// not be tried.
    pub fn relevant(&self, sockets: &[&Socket], attempts: Option<&Vec<Attempt>>) -> Vec<Socket> {
        let covered = || sockets.iter().filter(|socket| self.covers(socket));
        let strays = || sockets.iter().filter(|socket| self.is_stray(socket));
        let mut found: Vec<Socket> = match attempts {
            // Only bind knows which of them block.
            None if self.spots.iter().any(is_ipv4_wildcard) => covered().chain(strays()).copied().cloned().collect(),
            Some(attempts) if covered().next().is_none() && attempts.iter().any(refuses_ipv4_wildcard) => {
                strays().copied().cloned().collect()
            }
            // Nobody blocks an address that does not exist.
            Some(attempts) if !attempts.is_empty() && attempts.iter().all(|one| one.outcome.is_about_the_address()) => {
                Vec::new()
            }
            _ => covered().copied().cloned().collect(),
        };
        if learn_v6only(&mut found, attempts.map_or(&[], Vec::as_slice)) {
            found.retain(|socket| self.covers(socket));
        }
        found
    }

    /// Whether the socket may block more than its address says. A connection from ::1 whose port
    /// the kernel picked keeps the IPv4 wildcard from being bound.
    fn is_stray(&self, socket: &Socket) -> bool {
        socket.family == Family::Ipv6 && !socket.state.is_waiting() && !self.covers(socket)
    }
}

fn is_ipv4_wildcard(spot: &Spot) -> bool {
    spot.address == IpAddr::V4(Ipv4Addr::UNSPECIFIED)
}

fn refuses_ipv4_wildcard(attempt: &Attempt) -> bool {
    attempt.outcome == Outcome::InUse && is_ipv4_wildcard(&attempt.spot)
}

/// If an IPv4 address can be bound beside a socket on `::`, that socket does not take IPv4. This
/// fills in `v6only` where the system does not report it. Returns whether it did.
fn learn_v6only(sockets: &mut [Socket], attempts: &[Attempt]) -> bool {
    if !attempts.iter().any(binds_an_ipv4_address) {
        return false;
    }
    let mut has_learnt = false;
    for socket in sockets.iter_mut().filter(|socket| may_be_dual_stack(socket)) {
        socket.v6only = Some(true);
        has_learnt = true;
    }
    has_learnt
}

fn binds_an_ipv4_address(attempt: &Attempt) -> bool {
    let is_address = attempt.spot.address.is_ipv4() && !attempt.spot.address.is_unspecified();
    is_address && attempt.outcome == Outcome::Bound && !attempt.reuse_address
}

fn may_be_dual_stack(socket: &Socket) -> bool {
    let is_wildcard = matches!(socket.local.ip(), IpAddr::V6(ip) if ip.is_unspecified());
    socket.v6only.is_none() && socket.state.is_waiting() && is_wildcard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;
    use crate::probe::{spot_of, usual_spots};
    use crate::testing::listener;

    /// A case: what is on the port, the address asked about (or all), what bind said, and what
    /// counts.
    struct Case {
        sockets: Vec<Socket>,
        address: Option<&'static str>,
        attempts: Option<Vec<Attempt>>,
        counts: Vec<&'static str>,
    }

    fn client(local: &str) -> Socket {
        Socket { state: State::Established, remote: Some("[::1]:9".parse().unwrap()), ..listener(local) }
    }

    fn untold(local: &str) -> Socket {
        Socket { v6only: None, ..listener(local) }
    }

    fn attempt(address: &str, outcome: Outcome) -> Attempt {
        Attempt { spot: spot_of(address.parse().unwrap(), 0), reuse_address: false, outcome }
    }

    fn cases() -> Vec<Case> {
        let asked = |attempts: &[(&str, Outcome)]| {
            Some(attempts.iter().map(|&(address, outcome)| attempt(address, outcome)).collect::<Vec<_>>())
        };
        let (v4, v6, v4_client, v6_client) = ("127.0.0.1:8080", "[::]:8080", "127.0.0.1:8080", "[::1]:8080");
        let case = |sockets: &[Socket], address, attempts, counts: &[&'static str]| Case {
            sockets: sockets.to_vec(),
            address,
            attempts,
            counts: counts.to_vec(),
        };
        vec![
            // Without an address, every socket of the port.
            case(&[listener(v4), client(v6_client)], None, asked(&[("127.0.0.1", Outcome::InUse)]), &[v4, v6_client]),
            // With an address, only what overlaps it.
            case(&[listener(v4), listener("127.0.0.2:8080")], Some("127.0.0.1"), asked(&[]), &[v4]),
            case(&[listener(v6)], Some("127.0.0.1"), asked(&[]), &[v6]),
            // A client from ::1 keeps the IPv4 wildcard, if bind says so and nobody else is there.
            case(&[client(v6_client)], Some("0.0.0.0"), asked(&[("0.0.0.0", Outcome::InUse)]), &[v6_client]),
            case(&[client(v6_client)], Some("0.0.0.0"), asked(&[("0.0.0.0", Outcome::Bound)]), &[]),
            case(
                &[client(v4_client), client(v6_client)],
                Some("0.0.0.0"),
                asked(&[("0.0.0.0", Outcome::InUse)]),
                &[v4_client],
            ),
            // It may do so, if bind was not tried.
            case(&[client(v6_client)], Some("0.0.0.0"), None, &[v6_client]),
            case(&[client(v6_client)], Some("127.0.0.1"), None, &[]),
            // Nobody blocks an address that does not exist.
            case(&[listener(v6)], Some("10.9.9.9"), asked(&[("10.9.9.9", Outcome::NotAvailable)]), &[]),
            // A socket on :: does not take IPv4 if IPv4 can be bound beside it.
            case(&[untold(v6)], Some("127.0.0.1"), asked(&[("127.0.0.1", Outcome::Bound)]), &[]),
            case(&[untold(v6)], Some("127.0.0.1"), asked(&[("127.0.0.1", Outcome::InUse)]), &[v6]),
        ]
    }

    #[test]
    fn the_sockets_that_count() {
        for (number, case) in cases().into_iter().enumerate() {
            let addresses: Vec<IpAddr> = case.address.iter().map(|address| address.parse().unwrap()).collect();
            let spots = if addresses.is_empty() {
                usual_spots(None)
            } else {
                addresses.iter().map(|&address| spot_of(address, 0)).collect()
            };
            let target = Target { first: 8080, last: 8080, protocol: None, addresses, zone: None };
            let asked = Asked { target: &target, family: None, spots: &spots };
            let found = asked.relevant(&case.sockets.iter().collect::<Vec<_>>(), case.attempts.as_ref());
            let found: Vec<String> = found.iter().map(|socket| socket.local.to_string()).collect();
            assert_eq!(found, case.counts, "case {number}");
        }
    }
}
