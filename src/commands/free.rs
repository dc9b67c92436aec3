//! Picks ports that stay free until they are used: `portcheck free`.
//!
//! [`Pool`] lists the candidates in an [`Order`], without ports that somebody may claim. For each
//! candidate, the *lock* is taken first: it keeps other callers of this program away. Only then the
//! port is bound, exclusively, on every address that a server might want (`claim`). Without the
//! lock, the bind could disturb the server of another caller who was given the port. All ports that
//! are found are kept until enough are found.
//!
//! Then they are handed over. For a caller, a lease daemon in the background gets the lock (the
//! *lease*) and, with `--hold`, the bound sockets. A command inherits both, as this process becomes
//! the command.

mod claim;
mod env_file;
mod lease;
mod names;
mod order;
mod pool;
mod report;

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use socket2::Socket;

use crate::collect;
use crate::error::Error;
use crate::model::{self, Family, Gap, Host, Lease, LeaseKind, Protocol, State, gap};
use crate::port_set::PortSet;
use crate::probe::{self, Attempt, Outcome, Spot};

use crate::platform::limits::{Limit, make_room};
use claim::{Claim, Refusal, claim};
use lease::{Kept, Lock, Patience};

pub use env_file::{Appended, append as append_to_env_file};
pub use lease::{Leased, Leases, Release, Terms, leases, release, serve as serve_as_lease_daemon, watch, watch_caller};
pub use names::{highest_placeholder, is_name, rules_programs, usual as usual_names};
pub use order::Order;
pub use pool::{Pool, Reason, Wanted};
pub use report::{
    Action, Found, Report, list_leases, nothing_left, picked, ranges, release_leases, why_nothing_is_left,
};

/// The longest lease: a year.
pub const LONGEST_TTL: Duration = Duration::from_hours(365 * 24);

/// What is to be picked.
#[derive(Debug, Clone)]
pub struct Demand {
    /// How many ports. Fewer are not picked.
    pub count: usize,
    /// Which ports will do.
    pub wanted: Wanted,
    /// Which of them first.
    pub order: Order,
    /// The key of a sticky order. Leases that were made with the same key can be taken over.
    pub key: Option<u64>,
    /// The protocols for which they must be free.
    pub protocols: Vec<Protocol>,
    /// The family for which they must be free; both if `None`.
    pub family: Option<Family>,
    /// The addresses on which they must be free; everywhere if empty.
    pub addresses: Vec<IpAddr>,
    /// The index of the interface of link-local addresses.
    pub scope: u32,
    /// Whether the sockets will be passed on. Then one socket has to serve both families.
    pub as_servers: bool,
}

/// The candidates, and why other ports were excluded.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// How many ports were asked for.
    pub count: usize,
    /// The ports to choose from, before any were excluded.
    pub span: PortSet,
    /// How many of them were candidates.
    pub candidates: usize,
    /// The excluded ports, each once. Candidates that turned out not to be free are among them.
    pub excluded: Vec<(Reason, PortSet)>,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
    /// Why leases cannot be recorded, if they cannot.
    pub no_lease: Option<String>,
}

/// Ports that are ours, until they are handed over or dropped.
#[derive(Debug)]
pub struct Picked {
    ports: Vec<Own>,
    /// The limit of open files before it was raised.
    limit: Option<Limit>,
}

/// A port that is ours.
#[derive(Debug)]
struct Own {
    claim: Claim,
    /// `None` if locks are not available.
    lock: Option<Lock>,
    /// Whether the command that we run in already keeps it while it runs.
    is_kept: bool,
}

impl Picked {
    /// The ports, in the order in which they were found.
    pub fn ports(&self) -> Vec<u16> {
        self.ports.iter().map(|own| own.claim.port).collect()
    }

    /// Both together.
    pub fn and(mut self, other: Self) -> Self {
        self.ports.extend(other.ports);
        self
    }

    /// What bind(2) said about each of them.
    pub fn attempts(&self) -> impl Iterator<Item = (u16, Vec<(Protocol, Attempt)>)> {
        self.ports.iter().map(|own| (own.claim.port, own.claim.attempts.clone()))
    }

    /// Hands them over to a lease daemon. Without a hold, anybody can bind them when this returns.
    pub fn keep(self, terms: &Terms) -> Result<Leased, Error> {
        let failed = |call| move |source| Error::Call { call, source };
        if terms.hold && !lease::CAN_HOLD {
            return Err(Error::NoHold(std::env::consts::OS));
        }
        let mut kept = Vec::new();
        for Own { claim, lock, .. } in self.ports.into_iter().filter(|own| !own.is_kept) {
            let lock = lock.ok_or_else(|| failed("locking the port")(io::ErrorKind::Unsupported.into()))?;
            let holds = if terms.hold {
                claim.into_hold().map_err(failed("setting SO_REUSEADDR on a held port"))?
            } else {
                Vec::new()
            };
            kept.push(Kept { lock, holds });
        }
        if kept.is_empty() {
            return Ok(Leased::default());
        }
        let ports: Vec<u16> = kept.iter().map(Kept::port).collect();
        let keeping = lease::keep(terms, &kept).map_err(failed("keeping the lease"))?;
        let leases = ports.into_iter().map(|port| terms.lease(port, keeping.pid)).collect();
        Ok(Leased { leases, keeping: Some(keeping) })
    }

    /// Becomes `command`, which has the ports while it runs. Returns only if that fails.
    pub fn become_command(self, command: &[OsString], names: Vec<String>, handover: Handover) -> io::Error {
        let ports = self.ports();
        let (mut locks, mut holds, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        for Own { claim, lock, .. } in self.ports {
            locks.extend(lock);
            let sockets = match handover {
                // Where no server could bind a held port, the command gets only the lock.
                Handover::Hold if !lease::CAN_HOLD => Ok(()),
                Handover::Hold => claim.into_hold().map(|sockets| holds.extend(sockets)),
                Handover::Servers => claim.into_servers().map(|sockets: Vec<Socket>| servers.extend(sockets)),
                Handover::Release => Ok(()),
            };
            if let Err(error) = sockets {
                return error;
            }
        }
        let inheritance = lease::Inheritance { names, ports, locks, holds, servers, limit: self.limit };
        lease::become_command(command, inheritance)
    }
}

/// What a command does with the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// They keep the port for it. Its own servers that set SO_REUSEADDR can bind the port.
    Hold,
    /// Its servers use them.
    Servers,
    /// Nothing: they are closed just before it starts.
    Release,
}

/// Picks ports that are free, or says why there are not enough.
pub fn pick(demand: &Demand, host: &Host) -> Result<(Choice, Option<Picked>), Error> {
    let mut pool = Pool::new(&demand.wanted, demand.order, &demand.protocols, host);
    let mut choice = Choice {
        count: demand.count,
        span: pool.span.clone(),
        candidates: pool.size,
        excluded: std::mem::take(&mut pool.excluded),
        ..Choice::default()
    };
    if demand.count > pool.size {
        return Ok((choice, None));
    }
    let spots = spots(demand);
    let limit = make_room(demand.count * (spots.len() + 1));
    let mut taken = Taken::default();
    let mut picked = Picked { ports: Vec::new(), limit };
    while picked.ports.len() < demand.count {
        for port in pool.by_ref() {
            picked.ports.extend(try_one(port, &spots, demand, &mut taken, &mut choice.no_lease)?);
            if picked.ports.len() == demand.count {
                break;
            }
        }
        if picked.ports.len() < demand.count {
            choice.exclude(&taken);
            return Ok((choice, None));
        }
        drop_seen_elsewhere(&mut picked, demand, &mut taken, &mut choice.gaps);
    }
    choice.exclude(&taken);
    Ok((choice, Some(picked)))
}

/// Candidates that turned out not to be free.
#[derive(Debug, Default)]
struct Taken {
    ports: Vec<(Reason, u16)>,
    /// The time that is left to ask lease daemons.
    patience: Patience,
}

impl Choice {
    fn exclude(&mut self, taken: &Taken) {
        for reason in [Reason::Leased, Reason::InUse, Reason::NotPermitted] {
            let ports: PortSet =
                taken.ports.iter().filter(|(why, _)| *why == reason).map(|&(_, port)| (port, port)).collect();
            if !ports.is_empty() {
                self.excluded.push((reason, ports));
            }
        }
    }
}

/// The addresses on which a port is bound.
fn spots(demand: &Demand) -> Vec<(Protocol, Spot)> {
    let places = match &demand.addresses[..] {
        // A server could get only one of two sockets for the two families.
        [] if demand.as_servers => vec![probe::widest_spot(demand.family)],
        [] => probe::wildcards(demand.family),
        addresses => addresses.iter().map(|&address| probe::spot_of(address, demand.scope)).collect(),
    };
    demand.protocols.iter().flat_map(|&protocol| places.iter().map(move |&place| (protocol, place))).collect()
}

/// Locks and binds one candidate, or notes why that failed.
fn try_one(
    port: u16,
    spots: &[(Protocol, Spot)],
    demand: &Demand,
    taken: &mut Taken,
    no_lease: &mut Option<String>,
) -> Result<Option<Own>, Error> {
    let mut locked = lease::lock(port);
    if matches!(locked, Ok(None)) && has_again(port, demand, &mut taken.patience) {
        locked = lease::lock(port);
    }
    let lock = match locked {
        Ok(Some(lock)) => Some(lock),
        Ok(None) => {
            let own = had_already(port, spots, demand);
            if own.is_none() {
                taken.ports.push((Reason::Leased, port));
            }
            return Ok(own);
        }
        Err(error) => {
            *no_lease = Some(error.to_string());
            None
        }
    };
    if lease::LETS_COEXIST && !can_bind_loopback(port, spots) {
        taken.ports.push((Reason::InUse, port));
        return Ok(None);
    }
    let refused = match claim(port, spots) {
        Ok(claim) => return Ok(Some(Own { claim, lock, is_kept: false })),
        Err(Refusal::NoSocket(source)) => {
            return Err(Error::Call { call: "opening a socket to bind (`ulimit -n` limits how many)", source });
        }
        Err(Refusal::Refused(outcome)) => outcome,
    };
    let reason = if refused == Outcome::InUse { Reason::InUse } else { Reason::NotPermitted };
    taken.ports.push((reason, port));
    Ok(None)
}

/// Whether a leased port can be taken over, and its lease was ended for that. It can if the lease
/// was made for the same project, or for the caller who names this port.
fn has_again(port: u16, demand: &Demand, patience: &mut Patience) -> bool {
    demand.key.is_some_and(|key| lease::reclaim(port, key, patience))
        || (demand.wanted.preferred.contains(&port) && lease::take_over(port, patience))
}

/// A port that the command which has it, or a descendant of that command, asks for again.
fn had_already(port: u16, spots: &[(Protocol, Spot)], demand: &Demand) -> Option<Own> {
    let is_own = |lease: &Lease| lease.kind == LeaseKind::Command && lease.is_own;
    let leases = || lease::leases(&[(port, port)].into_iter().collect());
    if !demand.wanted.preferred.contains(&port) || !leases().ok()?.on(port).is_some_and(is_own) {
        return None;
    }
    let attempt = |&(protocol, spot): &(Protocol, Spot)| (protocol, probe::attempt_with_reuse(port, protocol, spot));
    let attempts: Vec<(Protocol, Attempt)> = spots.iter().map(attempt).collect();
    let is_free = attempts.iter().all(|(_, attempt)| matches!(attempt.outcome, Outcome::Bound | Outcome::NoFamily));
    is_free.then(|| Own { claim: Claim { port, bound: Vec::new(), attempts }, lock: None, is_kept: true })
}

/// Whether no server has the port on a loopback address. On BSD, one server there and one on all
/// addresses can share a port, so one kind of bind does not notice the other server.
fn can_bind_loopback(port: u16, spots: &[(Protocol, Spot)]) -> bool {
    let mut questions = spots.iter().filter(|(_, spot)| spot.address.is_unspecified()).flat_map(|&(protocol, spot)| {
        let loopbacks = probe::usual_spots(Some(Family::of(spot.address))).into_iter();
        loopbacks.filter(|spot| spot.address.is_loopback()).map(move |spot| (protocol, spot))
    });
    questions.all(|(protocol, spot)| Outcome::of(&probe::bind(port, protocol, spot)) != Outcome::InUse)
}

/// Drops ports that could be bound, but that the socket tables show as in use.
///
/// This is rare: the kernel refuses an exclusive bind if any socket has the port, even a connection
/// or its remnant. Only sockets in another routing domain (VRF) are left, or a kernel that only
/// imitates Linux. So only sockets that wait for peers are read, which is cheap. If the tables
/// cannot be read, bind decides.
fn drop_seen_elsewhere(picked: &mut Picked, demand: &Demand, taken: &mut Taken, gaps: &mut Vec<Gap>) {
    let ports = picked.ports().into_iter().map(|port| (port, port)).collect();
    let sockets = match collect::waiting(&demand.protocols, &ports) {
        Ok((sockets, seen)) => {
            *gaps = seen;
            sockets
        }
        Err(error) => {
            gaps.push(gap::TABLES_UNREAD.gap(format!(
                "the socket tables could not be read, so bind alone decided that the port is free: {error}"
            )));
            return;
        }
    };
    let is_ours = |socket: &&model::Socket| {
        // Nobody else can have bound the same address while we have it.
        matches!(socket.state, State::Bound | State::Unconnected)
            && picked.ports.iter().any(|own| own.claim.has(socket.protocol, socket.local))
    };
    let overlaps = |socket: &&model::Socket| match (&demand.addresses[..], demand.family) {
        ([], None) => true,
        ([], Some(Family::Ipv4)) => socket.serves_ipv4(),
        ([], Some(Family::Ipv6)) => socket.serves_ipv6(),
        (addresses, _) => addresses.iter().any(|&address| socket.overlaps(address)),
    };
    let foreign: Vec<u16> = sockets
        .iter()
        .filter(|socket| !is_ours(socket) && overlaps(socket))
        .map(|socket| socket.local.port())
        .collect();
    let is_foreign = |own: &Own| !own.is_kept && foreign.contains(&own.claim.port);
    let dropped = picked.ports.iter().filter(|own| is_foreign(own)).map(|own| (Reason::InUse, own.claim.port));
    taken.ports.extend(dropped);
    picked.ports.retain(|own| !is_foreign(own));
}
