//! From a [`Request`] to an [`Answer`]: snapshot, rules, status, exit code.

mod listing;
pub mod picking;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::classify::Class;
use crate::classify::services::{Service, Services};
use crate::collect::{self, Detail, Scope};
use crate::diagnose::{Facts, Finding, Status, diagnose};
use crate::error::Error;
use crate::free;
use crate::local;
use crate::model::{
    Circumstances, Family, Gap, Hides, Host, Lease, Pid, Process, Protocol, ShownBy, Snapshot, Socket, find_process,
};
use crate::probe::{self, Attempt, Outcome, Spot};
use crate::request::{Filter, Question, Request, Sort};
use crate::target::{self, Target};

/// What a command does, as the JSON names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Ports were asked about.
    Check,
    /// What is in use was listed.
    List,
    /// A port was to be freed.
    Kill,
    /// A port was waited for.
    Wait,
    /// Ports were picked, or leases looked at or ended.
    Free,
}

impl Command {
    /// The name used in the JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::List => "list",
            Self::Kill => "kill",
            Self::Wait => "wait",
            Self::Free => "free",
        }
    }
}

/// What is to be said about one port of one protocol.
#[derive(Debug, Clone)]
pub struct PortAnswer {
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The addresses asked about; every one if empty.
    pub addresses: Vec<IpAddr>,
    /// The interface named behind them.
    pub zone: Option<String>,
    /// Whether others were asked about in the same breath, so that its name alone does not tell which ones are meant.
    pub is_one_of_several_places: bool,
    /// The class of the port.
    pub class: Class,
    /// What is usually there.
    pub service: Option<Service>,
    /// Whether it can be had.
    pub status: Status,
    /// Why.
    pub findings: Vec<Finding>,
    /// What bind(2) answered; empty if it was not asked.
    pub attempts: Vec<Attempt>,
    /// What it answered on other addresses than those asked about, if it does not work on these.
    pub attempts_elsewhere: Vec<Attempt>,
    /// The sockets that hold it on these addresses.
    pub sockets: Vec<Socket>,
    /// Who has it from `portcheck --free`.
    pub lease: Option<Lease>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was done.
    pub command: Command,
    /// The machine.
    pub host: Host,
    /// A line for each port and protocol.
    pub ports: Vec<PortAnswer>,
    /// The owners, by ascending pid.
    pub processes: Vec<Process>,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
    /// What [`Command::Free`] has to say besides.
    pub free: Option<picking::Free>,
}

/// What the program tells its caller besides its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: every port asked about is free, or the listing was made.
    Yes,
    /// 1: at least one is held or blocked.
    No,
    /// 2: the command line is wrong.
    Usage,
    /// 3: something needed could not be seen.
    Unknown,
    /// 4: the tool itself failed.
    Failure,
    /// 124: what was waited for did not come in time.
    Timeout,
    /// 126: the command to become cannot be executed, as shells have it.
    NotExecutable,
    /// 127: there is no such command, as shells have it.
    NotFound,
}

impl Exit {
    /// The code that the process exits with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Unknown => 3,
            Self::Failure => 4,
            Self::Timeout => 124,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }
}

impl Answer {
    /// What the answer amounts to. Known before anything is written, so that a reader who hangs up changes nothing.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match (self.command, &self.free) {
            (Command::List, _) => return Exit::Yes,
            (_, Some(free)) => return if free.is_done { Exit::Yes } else { Exit::No },
            _ => {}
        }
        let worst = self.ports.iter().map(|port| port.status).min();
        match worst {
            Some(Status::Held | Status::Blocked) => Exit::No,
            Some(Status::Unknown) => Exit::Unknown,
            Some(Status::Free) | None => Exit::Yes,
        }
    }
}

/// Answers a request.
///
/// # Errors
///
/// If the sockets cannot be listed at all.
pub fn answer(request: &Request) -> Result<Answer, Error> {
    let targets = match &request.question {
        Question::Check(targets) => targets.clone(),
        Question::List(..) => Vec::new(),
    };
    let scope = Scope {
        backend: request.backend,
        protocols: protocols(request, &targets),
        targets,
        connections: request.connections,
        detail: request.detail,
        quick: request.quick,
        family: request.family,
    };
    match &request.question {
        Question::Check(targets) => {
            let look = || -> Result<Answer, Error> {
                // The leases come first: who keeps one answers only after it has all the sockets that it holds.
                let leases = free::leases(&target::ports_of(targets));
                Ok(check(request, targets, leases, collect::snapshot(&scope)?))
            };
            let answer = look()?;
            // Somebody may have taken a port between the two looks: who, the next one tells.
            if answer.ports.iter().any(PortAnswer::is_taken_by_nobody) { look() } else { Ok(answer) }
        }
        Question::List(filter, sort) => Ok(list(request, filter, *sort, collect::snapshot(&scope)?)),
    }
}

/// Addresses that were asked about together, and the interface named behind them.
pub type Place<'a> = (&'a [IpAddr], Option<&'a str>);

impl PortAnswer {
    /// Where the port was asked about: with its number and protocol, what tells two answers apart.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        (&self.addresses, self.zone.as_deref())
    }

    fn is_taken_by_nobody(&self) -> bool {
        self.sockets.is_empty() && is_in_use(&self.attempts)
    }
}

/// The protocols that are asked about: nobody reads the tables of the others.
fn protocols(request: &Request, targets: &[Target]) -> Vec<Protocol> {
    let is_asked = |protocol: &Protocol| targets.is_empty() || targets.iter().any(|target| target.wants(*protocol));
    request.protocols.iter().copied().filter(is_asked).collect()
}

fn is_in_use(attempts: &[Attempt]) -> bool {
    attempts.iter().any(|attempt| attempt.outcome == Outcome::InUse)
}

fn check(request: &Request, targets: &[Target], leases: Result<Vec<Lease>, Error>, mut snapshot: Snapshot) -> Answer {
    let leases = join_leases(request, leases, &mut snapshot);
    let by_port = by_port(&snapshot);
    let mut asked = HashSet::new();
    let mut all_seen = Vec::new();
    let questions: usize = targets.iter().map(|target| target.ports().len()).sum();
    for target in targets {
        let spots = spots(request, target);
        for port in target.ports() {
            for &protocol in request.protocols.iter().filter(|&&protocol| target.wants(protocol)) {
                if asked.insert((port, protocol, &target.addresses, &target.zone)) {
                    let sockets: &[&Socket] = by_port.get(&(port, protocol)).map_or(&[], Vec::as_slice);
                    let is_thorough = questions <= MOST_THOROUGH_PROBES;
                    all_seen.push(look(request, target, (port, protocol), &spots, sockets, is_thorough));
                }
            }
        }
    }
    let surroundings = Surroundings::of(request, &all_seen);
    let lease_on = |port: u16| leases.iter().find(|lease| lease.port == port);
    let is_free = |seen: &&Seen| seen.is_free() && lease_on(seen.port).is_none();
    let free: HashSet<(u16, Protocol, Place<'_>)> =
        all_seen.iter().filter(is_free).map(|seen| (seen.port, seen.protocol, seen.place())).collect();
    let has_free_other = |seen: &Seen| free.contains(&(seen.port, seen.protocol.other(), seen.place()));
    let others_are_free: Vec<bool> = all_seen.iter().map(has_free_other).collect();
    let judge_one = |(seen, other_is_free): (Seen, bool)| {
        judge(request, &snapshot, &surroundings, lease_on(seen.port), other_is_free, seen)
    };
    let mut ports: Vec<PortAnswer> = all_seen.into_iter().zip(others_are_free).map(judge_one).collect();
    if ports.iter().any(|port| port.place() != ports[0].place()) {
        for port in &mut ports {
            port.is_one_of_several_places = true;
        }
    }
    assemble(Command::Check, ports, snapshot)
}

/// Looks at one port of one protocol: which of its `sockets` count for the target, and what bind(2) says.
fn look(
    request: &Request,
    target: &Target,
    (port, protocol): (u16, Protocol),
    spots: &[Spot],
    sockets: &[&Socket],
    is_thorough: bool,
) -> Seen {
    let clone = |sockets: &[&Socket]| sockets.iter().map(|&socket| socket.clone()).collect::<Vec<_>>();
    let counts = |socket: &&Socket| socket.serves(request.family) && target.covers(socket);
    let mut counting = clone(&sockets.iter().copied().filter(counts).collect::<Vec<_>>());
    let is_thorough = is_thorough || !target.addresses.is_empty() || (request.reuse_address && !counting.is_empty());
    let attempts = match (request.probe, is_thorough) {
        (true, true) => probe::probe(port, protocol, spots),
        (true, false) if counting.is_empty() => probe::probe_briefly(port, protocol, request.family),
        _ => Vec::new(),
    };
    let is_anywhere = |outcome: Outcome| attempts.iter().any(|attempt| attempt.outcome == outcome);
    // A connection that got its port by itself is in the way of more than its address tells: one from ::1 keeps the IPv4
    // wildcard from being bound. Without asking bind, which of them did is not known.
    let is_stray = |socket: &&Socket| socket.family == Family::Ipv6 && !socket.state.is_waiting() && !counts(socket);
    let strays = || clone(&sockets.iter().copied().filter(is_stray).collect::<Vec<_>>());
    let is_ipv4_wildcard = |spot: &Spot| spot.address == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let refused = |attempt: &Attempt| attempt.outcome == Outcome::InUse && is_ipv4_wildcard(&attempt.spot);
    if counting.is_empty() && attempts.iter().any(refused) {
        counting = strays();
    } else if !request.probe && spots.iter().any(is_ipv4_wildcard) {
        counting.extend(strays());
    } else if !attempts.is_empty() && attempts.iter().all(|attempt| attempt.outcome.is_about_the_address()) {
        // Nobody is in the way of an address that is not there.
        counting.clear();
    }
    if learn_v6only(&mut counting, &attempts) {
        counting.retain(|socket| counts(&socket));
    }
    let attempts_elsewhere = if is_anywhere(Outcome::InUse) && !target.addresses.is_empty() {
        let others = probe::usual_spots(request.family).into_iter().filter(|spot| !spots.contains(spot));
        probe::probe(port, protocol, &others.collect::<Vec<_>>())
    } else {
        Vec::new()
    };
    let (addresses, zone) = (target.addresses.clone(), target.zone.clone());
    Seen { port, protocol, addresses, zone, sockets: counting, attempts, attempts_elsewhere }
}

/// A socket on `::` that let an IPv4 address be bound does not take IPv4, where the system does not tell. Whether that was learnt of
/// any.
fn learn_v6only(sockets: &mut [Socket], attempts: &[Attempt]) -> bool {
    let is_bound = |attempt: &Attempt| {
        let is_address = attempt.spot.address.is_ipv4() && !attempt.spot.address.is_unspecified();
        is_address && attempt.outcome == Outcome::Bound && !attempt.reuse_address
    };
    let is_open = |socket: &&mut Socket| {
        socket.v6only.is_none()
            && socket.state.is_waiting()
            && matches!(socket.local.ip(), IpAddr::V6(ip) if ip.is_unspecified())
    };
    let mut untold = sockets.iter_mut().filter(is_open).peekable();
    let learns = untold.peek().is_some() && attempts.iter().any(is_bound);
    if learns {
        untold.for_each(|socket| socket.v6only = Some(true));
    }
    learns
}

/// Joins the leases with the snapshot: the processes that keep them, or that none could be seen.
fn join_leases(request: &Request, leases: Result<Vec<Lease>, Error>, snapshot: &mut Snapshot) -> Vec<Lease> {
    let leases = match leases {
        Ok(leases) => leases,
        Err(error) => {
            snapshot.gaps.push(Gap {
                code: "leases-unread",
                hides: Hides::Details,
                protocol: None,
                summary: format!("whether ports are leased could not be seen: {error}"),
                shown_by: ShownBy::Nothing,
            });
            return Vec::new();
        }
    };
    let keepers = leases.iter().flat_map(|lease| &lease.pids).copied();
    let unknown: Vec<Pid> = keepers.filter(|&pid| find_process(&snapshot.processes, pid).is_none()).collect();
    if request.detail > Detail::Nothing && !unknown.is_empty() {
        // They add to the answer, and are not what it rests on.
        snapshot.processes.extend(collect::describe(unknown, request.detail).unwrap_or_default());
        snapshot.processes.sort_by_key(|process| process.pid);
    }
    leases
}

/// Up to so many ports are tried in every way; of more, only those that look free, and in one way.
pub(crate) const MOST_THOROUGH_PROBES: usize = 64;

/// Where a bind is to be tried for a target.
pub(crate) fn spots(request: &Request, target: &Target) -> Vec<Spot> {
    match &target.addresses[..] {
        [] => probe::usual_spots(request.family),
        addresses => {
            let scope = target.zone.as_deref().map_or(0, local::interface_index);
            addresses
                .iter()
                .filter(|&&address| Family::fits(request.family, address))
                .map(|&address| probe::spot_of(address, scope))
                .collect()
        }
    }
}

fn list(request: &Request, filter: &Filter, sort: Sort, snapshot: Snapshot) -> Answer {
    let surroundings = Surroundings::of(request, &[]);
    let mut ports: Vec<PortAnswer> = by_port(&snapshot)
        .into_iter()
        .filter_map(|(key, sockets)| {
            let sockets: Vec<Socket> = sockets
                .into_iter()
                .filter(|socket| socket.serves(request.family))
                .filter(|socket| request.connections || socket.state.is_waiting())
                .filter(|socket| listing::fits(filter, socket, &snapshot.processes))
                .cloned()
                .collect();
            let (port, protocol) = key;
            let seen = Seen {
                port,
                protocol,
                addresses: Vec::new(),
                zone: None,
                sockets,
                attempts: Vec::new(),
                attempts_elsewhere: Vec::new(),
            };
            (!seen.sockets.is_empty()).then(|| judge(request, &snapshot, &surroundings, None, false, seen))
        })
        .collect();
    ports.sort_by(|a, b| listing::compare(sort, a, b, &snapshot.processes));
    assemble(Command::List, ports, snapshot)
}

/// What else the judgement of every port rests on.
#[derive(Debug, Default)]
struct Surroundings {
    services: Option<Services>,
    circumstances: Circumstances,
}

impl Surroundings {
    fn of(request: &Request, all_seen: &[Seen]) -> Self {
        let any = |is: fn(Outcome) -> bool| {
            all_seen.iter().flat_map(|seen| &seen.attempts).any(|attempt| is(attempt.outcome))
        };
        let is_refused = any(Outcome::is_refused);
        // An address or family that nobody asked about may be missing.
        let is_about_the_address =
            all_seen.iter().any(|seen| !seen.addresses.is_empty()) && any(Outcome::is_about_the_address);
        Self {
            // Names of services are looked up only for somebody who reads them.
            services: (request.detail > Detail::Nothing).then(Services::load),
            circumstances: if is_refused || is_about_the_address {
                collect::circumstances(is_refused)
            } else {
                Circumstances::default()
            },
        }
    }
}

/// Leaves out the processes whose sockets are not part of the answer.
fn assemble(command: Command, ports: Vec<PortAnswer>, snapshot: Snapshot) -> Answer {
    let Snapshot { host, mut processes, gaps, .. } = snapshot;
    let owners = ports.iter().flat_map(|port| &port.sockets).flat_map(|socket| socket.owners.pids());
    let found = ports.iter().flat_map(|port| &port.findings).flat_map(|finding| &finding.pids);
    let shown: HashSet<Pid> = owners.chain(found).copied().collect();
    processes.retain(|process| shown.contains(&process.pid));
    Answer { command, host, ports, processes, gaps, free: None }
}

/// The sockets of each port.
fn by_port(snapshot: &Snapshot) -> HashMap<(u16, Protocol), Vec<&Socket>> {
    let mut by_port: HashMap<_, Vec<&Socket>> = HashMap::new();
    for socket in &snapshot.sockets {
        by_port.entry((socket.local.port(), socket.protocol)).or_default().push(socket);
    }
    // The kernel shows them in the order of its hash tables, which says nothing and changes.
    for sockets in by_port.values_mut() {
        sockets.sort_by_key(|socket| (socket.local, socket.state, socket.remote, socket.inode));
    }
    by_port
}

/// What was seen of one port of one protocol.
struct Seen {
    port: u16,
    protocol: Protocol,
    addresses: Vec<IpAddr>,
    zone: Option<String>,
    sockets: Vec<Socket>,
    attempts: Vec<Attempt>,
    attempts_elsewhere: Vec<Attempt>,
}

impl Seen {
    fn place(&self) -> Place<'_> {
        (&self.addresses, self.zone.as_deref())
    }

    fn is_free(&self) -> bool {
        self.sockets.is_empty()
            && !self.attempts.is_empty()
            && self.attempts.iter().all(|attempt| attempt.outcome == Outcome::Bound)
    }
}

fn judge(
    request: &Request,
    snapshot: &Snapshot,
    surroundings: &Surroundings,
    lease: Option<&Lease>,
    other_is_free: bool,
    seen: Seen,
) -> PortAnswer {
    let Seen { port, protocol, addresses, zone, sockets, attempts, attempts_elsewhere } = seen;
    let findings = diagnose(&Facts {
        port,
        protocol,
        addresses: &addresses,
        zone: zone.as_deref(),
        family: request.family,
        sockets: &sockets,
        processes: &snapshot.processes,
        gaps: &snapshot.gaps,
        attempts: &attempts,
        attempts_elsewhere: &attempts_elsewhere,
        other_is_free,
        lease,
        reuse_address: request.reuse_address,
        host: &snapshot.host,
        circumstances: &surroundings.circumstances,
        program: &request.program,
    });
    PortAnswer {
        port,
        protocol,
        class: Class::of(port),
        service: surroundings.services.as_ref().and_then(|services| services.lookup(port, protocol)),
        status: Status::of(&findings),
        findings,
        addresses,
        zone,
        is_one_of_several_places: false,
        attempts,
        attempts_elsewhere,
        sockets,
        lease: lease.cloned(),
    }
}
