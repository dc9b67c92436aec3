//! Asks bind(2) itself whether a port is available, on the addresses in question.
//!
//! Each socket is closed at once. It never listens, so nobody takes it for a server, and it never
//! connects. SO_REUSEPORT is never set: even a short-lived socket with it changes what later ones
//! may bind. UDP is asked without SO_REUSEADDR only: a socket that joins others by that option gets
//! their datagrams while it lives.
//!
//! On Windows SO_REUSEADDR takes a port from whoever has it, so it is never set there.
//! SO_EXCLUSIVEADDRUSE is set instead: it asks whether nobody else has the port.

#[cfg(target_os = "windows")]
mod exclusive;

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Socket, Type};

use crate::model::{Family, Protocol};
use crate::platform::machine::{IS_LINUX, IS_WINDOWS};

/// Where a bind is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The address.
    pub address: IpAddr,
    /// The value of `IPV6_V6ONLY`, for IPv6 addresses.
    pub v6only: Option<bool>,
    /// The index of the interface, for link-local addresses.
    pub scope: u32,
}

/// A bind that was tried, and what the kernel said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Where.
    pub spot: Spot,
    /// Whether SO_REUSEADDR was set.
    pub reuse_address: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// The answer of bind(2): the errors of ip(7), and those that sandboxes add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Outcome {
    /// It worked.
    #[strum(serialize = "ok")]
    Bound,
    /// `EADDRINUSE`.
    InUse,
    /// `EACCES`: a privileged port, or a sandbox.
    AccessDenied,
    /// `EPERM`: a sandbox.
    NotPermitted,
    /// `EADDRNOTAVAIL`: the address is not this machine's, or not usable yet.
    NotAvailable,
    /// `EINVAL`: a link-local address without a scope.
    Invalid,
    /// `EAFNOSUPPORT`: this machine does not have the family.
    NoFamily,
    /// Any other error, by its number.
    #[strum(serialize = "failed")]
    Other(i32),
}

impl Outcome {
    /// The outcome of a call of bind(2).
    pub fn of<T>(result: &io::Result<T>) -> Self {
        const EPERM: i32 = 1;
        // The numbers of Linux, of the BSDs and macOS, of Winsock.
        const EAFNOSUPPORT: [i32; 3] = [97, 47, 10047];
        let Err(error) = result else { return Self::Bound };
        let number = error.raw_os_error().unwrap_or(0);
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse,
            io::ErrorKind::AddrNotAvailable => Self::NotAvailable,
            io::ErrorKind::PermissionDenied if number == EPERM => Self::NotPermitted,
            io::ErrorKind::PermissionDenied => Self::AccessDenied,
            io::ErrorKind::InvalidInput => Self::Invalid,
            _ if EAFNOSUPPORT.contains(&number) => Self::NoFamily,
            _ => Self::Other(number),
        }
    }

    /// Whether the system refused permission. Nobody needs to hold the port for that.
    pub const fn is_refused(self) -> bool {
        matches!(self, Self::AccessDenied | Self::NotPermitted)
    }

    /// Whether the address is the reason. Nobody needs to hold the port for that.
    pub const fn is_about_the_address(self) -> bool {
        matches!(self, Self::NotAvailable | Self::Invalid | Self::NoFamily)
    }

    /// The name of the error, or its number if it has no name here.
    pub fn errno(self) -> Option<Cow<'static, str>> {
        let name = match self {
            Self::Bound => return None,
            Self::Other(number) => return Some(format!("errno {number}").into()),
            Self::InUse => "EADDRINUSE",
            Self::AccessDenied => "EACCES",
            Self::NotPermitted => "EPERM",
            Self::NotAvailable => "EADDRNOTAVAIL",
            Self::Invalid => "EINVAL",
            Self::NoFamily => "EAFNOSUPPORT",
        };
        Some(name.into())
    }
}

/// The spots that matter to a server that may bind anywhere: loopback and wildcard of each family.
/// The IPv6 wildcard counts twice, with and without IPv4.
pub fn usual_spots(family: Option<Family>) -> Vec<Spot> {
    let spot = |address: IpAddr, v6only| Spot { address, v6only, scope: 0 };
    let ipv4 = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].map(|address| spot(address.into(), None));
    let loopback = spot(Ipv6Addr::LOCALHOST.into(), Some(true));
    let [dual, only] = [false, true].map(|v6only| spot(Ipv6Addr::UNSPECIFIED.into(), Some(v6only)));
    match family {
        None => [&ipv4[..], &[loopback, dual, only]].concat(),
        Some(Family::Ipv4) => ipv4.to_vec(),
        // A dual-stack socket would ask for IPv4 too.
        Some(Family::Ipv6) => vec![loopback, only],
    }
}

/// The widest wildcard of the families in question. On Linux every holder of the port blocks it.
pub fn widest_spot(family: Option<Family>) -> Spot {
    let (address, v6only): (IpAddr, _) = match family {
        None => (Ipv6Addr::UNSPECIFIED.into(), Some(false)),
        Some(Family::Ipv4) => (Ipv4Addr::UNSPECIFIED.into(), None),
        Some(Family::Ipv6) => (Ipv6Addr::UNSPECIFIED.into(), Some(true)),
    };
    Spot { address, v6only, scope: 0 }
}

/// The spots that together stand for every address: both wildcards, which do not block each other.
/// On every system each holder of the port blocks one of them.
pub fn wildcards(family: Option<Family>) -> Vec<Spot> {
    [Family::Ipv4, Family::Ipv6]
        .into_iter()
        .filter(|&one| family.is_none_or(|only| only == one))
        .map(|one| widest_spot(Some(one)))
        .collect()
}

/// The spot of an address that was asked about. `::` is taken as dual stack, as most servers bind
/// it. A v4-mapped address needs a socket that takes IPv4, too.
pub fn spot_of(address: IpAddr, scope: u32) -> Spot {
    let v6only = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(!address.is_unspecified() && address.to_ipv4_mapped().is_none()),
    };
    Spot { address, v6only, scope }
}

/// Tries each spot without SO_REUSEADDR, and for TCP also with it.
pub fn probe(port: u16, protocol: Protocol, spots: &[Spot]) -> Vec<Attempt> {
    let settings: &[bool] = match protocol {
        Protocol::Tcp if !IS_WINDOWS => &[false, true],
        Protocol::Tcp | Protocol::Udp => &[false],
    };
    let try_all = |&spot| settings.iter().map(move |&reuse| attempt(port, protocol, spot, reuse));
    spots.iter().flat_map(try_all).collect()
}

/// Tries one spot with SO_REUSEADDR.
pub fn attempt_with_reuse(port: u16, protocol: Protocol, spot: Spot) -> Attempt {
    attempt(port, protocol, spot, true)
}

fn attempt(port: u16, protocol: Protocol, spot: Spot, reuse_address: bool) -> Attempt {
    Attempt { spot, reuse_address, outcome: Outcome::of(&bind_with(port, protocol, spot, reuse_address)) }
}

/// Tries only the widest spot, without SO_REUSEADDR: one question for each port of a large range.
/// On Linux it answers for both families. Elsewhere it takes two questions.
pub fn probe_briefly(port: u16, protocol: Protocol, family: Option<Family>) -> Vec<Attempt> {
    let attempt = |spot| attempt(port, protocol, spot, false);
    if !IS_LINUX {
        return wildcards(family).into_iter().map(attempt).collect();
    }
    let widest = attempt(widest_spot(family));
    match widest.outcome {
        // A machine without IPv6 still has IPv4.
        Outcome::NoFamily if family.is_none() => vec![attempt(widest_spot(Some(Family::Ipv4)))],
        _ => vec![widest],
    }
}

/// Opens a socket that is bound to `port` without SO_REUSEADDR, and neither listens nor connects.
pub fn bind(port: u16, protocol: Protocol, spot: Spot) -> io::Result<Socket> {
    bind_with(port, protocol, spot, false)
}

fn bind_with(port: u16, protocol: Protocol, spot: Spot, reuse_address: bool) -> io::Result<Socket> {
    let kind = match protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp => Type::DGRAM,
    };
    let address = match spot.address {
        IpAddr::V4(address) => SocketAddr::from((address, port)),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, spot.scope).into(),
    };
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if let Some(v6only) = spot.v6only {
        socket.set_only_v6(v6only)?;
    }
    socket.set_reuse_address(reuse_address)?;
    #[cfg(target_os = "windows")]
    if !reuse_address {
        return exclusive::bind(&socket, kind, address, spot).map(|()| socket);
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_port_is_in_use_and_a_free_one_can_be_bound() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let spots = [spot_of([127, 0, 0, 1].into(), 0), spot_of([127, 0, 0, 2].into(), 0)];
        let outcomes = || -> Vec<(bool, Outcome)> {
            probe(port, Protocol::Tcp, &spots).iter().map(|attempt| (attempt.reuse_address, attempt.outcome)).collect()
        };
        let (held, free) = (Outcome::InUse, Outcome::Bound);
        let expected = [(false, held), (true, held), (false, free), (true, free)];
        // On Windows it is never set.
        let is_asked = |(reuse, _): &&(bool, Outcome)| !(*reuse && IS_WINDOWS);
        assert_eq!(outcomes(), expected.iter().filter(is_asked).copied().collect::<Vec<_>>());
        assert_eq!(probe_briefly(port, Protocol::Tcp, Some(Family::Ipv4))[0].outcome, held);
        drop(listener);
        // A child that another test forks has it as well, until it executes its program.
        let mut looks = std::iter::repeat_with(|| outcomes()[0]).inspect(|_| std::thread::yield_now());
        assert!(looks.by_ref().take(100_000).any(|outcome| outcome == (false, free)));
    }

    #[test]
    fn an_address_of_another_machine_is_not_available() {
        if IS_WINDOWS {
            return crate::testing::skip("wine lets datagrams be bound to any address");
        }
        // TEST-NET-2 (RFC 5737) is nobody's.
        let attempts = probe(8080, Protocol::Udp, &[spot_of([198, 51, 100, 1].into(), 0)]);
        assert_eq!(attempts.len(), 1, "UDP is not asked with SO_REUSEADDR");
        assert_eq!(
            (attempts[0].outcome, attempts[0].outcome.errno()),
            (Outcome::NotAvailable, Some("EADDRNOTAVAIL".into()))
        );
        assert_eq!(Outcome::Other(24).errno().as_deref(), Some("errno 24"));
    }

    #[test]
    fn families_narrow_the_spots() {
        assert_eq!(usual_spots(None).len(), 5);
        assert!(usual_spots(Some(Family::Ipv4)).iter().all(|spot| spot.address.is_ipv4()));
        assert!(usual_spots(Some(Family::Ipv6)).iter().all(|spot| spot.v6only == Some(true)));
    }
}
