//! One cheap look at the ports of this machine.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path;
use std::time::{Duration, Instant};

use super::end::End;
use super::{Awaited, Goal, Options, Place, remote};
use crate::collect::{self, Detail, Watch};
use crate::commands::check::{self, check};
use crate::commands::free;
use crate::diagnose::{Facts, Observed, PortReport, Status};
use crate::error::Error;
use crate::model::{Family, Host, Lease, LeaseKind, Owners, Pid, Process, Protocol, Socket, find_process};
use crate::platform::machine::IS_WINDOWS;
use crate::port_set::PortSet;
use crate::probe::{self, Outcome};
use crate::request::Request;
use crate::target::{Target, ports_of};

/// The process that must listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// This process, or a descendant of it.
    Pid(Pid),
    /// A process or program of this name.
    Name(String),
}

impl By {
    /// Reads a process id or a name.
    pub fn parse(typed: &str) -> Result<Self, String> {
        match typed.parse() {
            Ok(0) => Err("is not a process: write a process id or a name".to_owned()),
            Ok(pid) => Ok(Self::Pid(pid)),
            Err(_) if typed.is_empty() => Err("is empty: write a process id or a name".to_owned()),
            Err(_) => Ok(Self::Name(typed.to_owned())),
        }
    }

    /// Whether `process` is meant. Names are compared as a whole: `node` is not `nodemon`.
    fn is(&self, process: &Process) -> bool {
        match self {
            Self::Pid(pid) => process.pid == *pid || process.ancestors.iter().any(|ancestor| ancestor.pid == *pid),
            Self::Name(name) => {
                let program = process.exe.as_ref().and_then(|path| path.file_name()).and_then(|file| file.to_str());
                let called = process.command.first().and_then(|path| path.rsplit(path::is_separator).next());
                // Windows runs `node.exe` as `node`, and ignores case.
                let is_it = |called: &str| {
                    called == name || (IS_WINDOWS && without_suffix(called).eq_ignore_ascii_case(without_suffix(name)))
                };
                is_it(&process.name) || program.is_some_and(is_it) || called.is_some_and(is_it)
            }
        }
    }
}

/// A name without the suffix that Windows adds to those of programs.
fn without_suffix(name: &str) -> &str {
    let at = name.len().saturating_sub(".exe".len());
    match name.split_at_checked(at) {
        Some((stem, suffix)) if suffix.eq_ignore_ascii_case(".exe") => stem,
        _ => name,
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(f, "{pid}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The ports that are held for the process that waits until they are free.
fn held_for_caller(awaited: Awaited, ports: &PortSet) -> PortSet {
    if awaited != Awaited::Free {
        return PortSet::default();
    }
    // If leases cannot be seen, no holds are known.
    let leases = free::leases(ports).unwrap_or_default().leases;
    let is_held = |lease: &&Lease| lease.is_own && lease.kind != LeaseKind::Reserved;
    leases.iter().filter(is_held).map(|lease| (lease.port, lease.port)).collect()
}

/// Whether a server answers on the port at one of the addresses asked about, or on loopback.
fn connects(target: &Target, family: Option<Family>) -> bool {
    const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let addresses = if target.addresses.is_empty() { &LOOPBACK[..] } else { &target.addresses };
    let mut addresses = addresses.iter().filter(|&&address| Family::fits(family, address));
    addresses.any(|&address| remote::connect((address, target.first).into()).is_ok())
}

/// Listeners, by port and inode.
type Listeners = Vec<(u16, Option<u64>)>;

/// What was seen, as far as it matters to somebody who watches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    listeners: Listeners,
    /// The ports that cannot be bound.
    in_use: Vec<u16>,
    failure: Option<super::Outcome>,
}

impl Look {
    /// Why waiting longer is useless.
    pub fn failure(&self) -> Option<super::Outcome> {
        self.failure
    }
}

/// Looks at the ports, again and again.
pub struct Looker<'a> {
    request: &'a Request,
    options: &'a Options,
    watch: Watch,
    host: Host,
    /// The ports asked about, by protocol.
    ports: HashMap<Protocol, PortSet>,
    /// The verdict on these listeners. Their owners are looked for only when the listeners change.
    judged: Option<(Listeners, Verdict)>,
    is_first: bool,
    /// The ports that are held for our caller. Its server sets SO_REUSEADDR.
    held_for_caller: PortSet,
    /// Whether each port is tried in every way. Of many ports, only those that look free are tried
    /// so, by the final diagnosis.
    is_thorough: bool,
}

/// Whether the right process listens.
#[derive(Debug, Clone, Default)]
struct Verdict {
    /// The goals that are met, by index.
    met: HashSet<usize>,
    failure: Option<super::Outcome>,
}

impl<'a> Looker<'a> {
    /// Prepares to look at what `request` asks about.
    pub fn new(request: &'a Request, options: &'a Options) -> Self {
        let targets = &request.targets;
        let of = |protocol: Protocol| {
            let wanted: Vec<Target> = targets.iter().filter(|target| target.wants(protocol)).cloned().collect();
            (!wanted.is_empty() && request.protocols.contains(&protocol)).then(|| (protocol, ports_of(&wanted)))
        };
        let mut watch = Watch::open();
        if options.awaited == Awaited::Free {
            watch.report_closings();
        }
        Self {
            request,
            options,
            watch,
            host: collect::host(request.backend),
            ports: Protocol::ALL.into_iter().filter_map(of).collect(),
            judged: None,
            is_first: true,
            held_for_caller: held_for_caller(options.awaited, &ports_of(targets)),
            is_thorough: targets.len() <= check::MOST_THOROUGH_PROBES
                || request.reuse_address
                || targets.iter().any(|target| !target.addresses.is_empty()),
        }
    }

    /// Waits for so long, or until the end. If ports are to be free, it waits no longer when a listener on
    /// one of them is closed.
    pub fn rest(&mut self, end: &End, pause: Duration) -> Result<(), Error> {
        /// Reports of other ports are taken together: there may be thousands in a second.
        const TOGETHER: Duration = Duration::from_millis(5);
        let until = Instant::now() + pause;
        let left = || until.saturating_duration_since(Instant::now());
        loop {
            end.wait(left(), self.watch.waker())?;
            if self.watch.has_closed() || left().is_zero() || end.reached().is_some() {
                return Ok(());
            }
            end.wait(left().min(TOGETHER), None)?;
        }
    }

    /// Looks at the goals on this machine, and says which are met.
    pub fn look(&mut self, goals: &mut [Goal]) -> Result<Look, Error> {
        let listeners = self.listeners()?;
        let mut look = Look {
            listeners: listeners.iter().map(|socket| (socket.local.port(), socket.inode)).collect(),
            ..Look::default()
        };
        for goal in &mut *goals {
            let Place::Here(target) = &goal.place else { continue };
            let listens = at(&listeners, target.first).iter().any(|socket| self.is_its(target, socket));
            goal.is_met = match self.options.awaited {
                Awaited::Listening | Awaited::Answering => listens || self.answers(target),
                Awaited::Free => {
                    // Where somebody listens, nothing is bound, as that could block a server for a
                    // moment. The first look is an exception: it finds out whether we may bind at
                    // all.
                    let can_bind = if listens && !self.is_first { false } else { self.can_bind(target, &mut look) };
                    can_bind && !listens
                }
            };
            if self.options.awaited == Awaited::Free && !goal.is_met {
                look.in_use.push(target.first);
            }
        }
        self.is_first = false;
        if self.options.awaited != Awaited::Free
            && goals.iter().any(|goal| goal.is_met && matches!(goal.place, Place::Here(_)))
        {
            self.require_listener(goals, &mut look)?;
        }
        Ok(look)
    }

    /// Leaves goals met only if the process of `--by` listens.
    fn require_listener(&mut self, goals: &mut [Goal], look: &mut Look) -> Result<(), Error> {
        let Some(by) = &self.options.by else { return Ok(()) };
        let verdict = match self.judged.take() {
            Some((known, verdict)) if known == look.listeners => verdict,
            _ => self.judge(by, goals)?,
        };
        for (index, goal) in goals.iter_mut().enumerate() {
            if matches!(goal.place, Place::Here(_)) {
                goal.is_met = verdict.met.contains(&index);
            }
        }
        look.failure = verdict.failure;
        // A listener that was ending tells nothing about the next one, which may look the same
        // without an inode.
        let is_final = !verdict.met.is_empty() || verdict.failure.is_some();
        self.judged = is_final.then(|| (look.listeners.clone(), verdict));
        Ok(())
    }

    /// Sorted by port.
    fn listeners(&mut self) -> Result<Vec<Socket>, Error> {
        let mut listeners = Vec::new();
        for (&protocol, ports) in &self.ports {
            // UDP has no separate table of waiting sockets, and a bind tells as much.
            if protocol == Protocol::Tcp || self.options.awaited != Awaited::Free {
                listeners.extend(self.watch.listeners(protocol, ports)?);
            }
        }
        listeners.sort_by_key(|socket| (socket.local.port(), socket.inode));
        Ok(listeners)
    }

    /// Whether a server that is not listed answers on the port. macOS lists only the sockets of
    /// this user. So if bind finds the port in use and nobody is seen, portcheck connects to it.
    fn answers(&self, target: &Target) -> bool {
        let is_asked = target.wants(Protocol::Tcp) && self.request.protocols.contains(&Protocol::Tcp);
        if self.host.os != "macos" || self.host.euid == Some(0) || !is_asked {
            return false;
        }
        let attempts = probe::probe_briefly(target.first, Protocol::Tcp, self.request.family);
        // Whether it answers is asked by a connection of its own.
        let connects = || self.options.awaited == Awaited::Answering || connects(target, self.request.family);
        attempts.iter().any(|attempt| attempt.outcome == Outcome::InUse) && connects()
    }

    fn is_its(&self, target: &Target, socket: &Socket) -> bool {
        // Not every system tells whether it takes IPv4. bind knows whether it blocks the port.
        let is_of_ipv4 = !target.addresses.is_empty() && target.addresses.iter().all(IpAddr::is_ipv4);
        let is_unsure = socket.family == Family::Ipv6 && socket.v6only.is_none() && is_of_ipv4;
        if is_unsure && self.options.awaited == Awaited::Free {
            return false;
        }
        target.wants(socket.protocol) && socket.serves(self.request.family) && target.covers(socket)
    }

    fn can_bind(&self, target: &Target, look: &mut Look) -> bool {
        let spots = check::spots(self.request, target);
        let reuse_address = self.request.reuse_address || self.held_for_caller.contains(target.first);
        let mut protocols = self.request.protocols.iter().filter(|&&protocol| target.wants(protocol));
        protocols.all(|&protocol| {
            let attempts = if self.is_thorough || reuse_address {
                probe::probe(target.first, protocol, &spots)
            } else {
                probe::probe_briefly(target.first, protocol, self.request.family)
            };
            let observed =
                Observed { addresses: target.addresses.clone(), attempts, ..Observed::of(target.first, protocol) };
            let facts = Facts { reuse_address, ..Facts::of(&observed, &self.host) };
            // Waiting does not change what this user may do.
            if facts.fails_with(Outcome::AccessDenied) || facts.fails_with(Outcome::NotPermitted) {
                look.failure = Some(super::Outcome::Blocked);
            }
            facts.can_bind()
        })
    }

    /// Finds out who listens.
    fn judge(&self, by: &By, goals: &[Goal]) -> Result<Verdict, Error> {
        let diagnosis = check(&Request { detail: Detail::Full, probe: false, ..self.request.clone() })?;
        let by_port = super::reports_by_port(&diagnosis);
        let mut verdict = Verdict::default();
        for (index, goal) in goals.iter().enumerate() {
            let Place::Here(target) = &goal.place else { continue };
            let ports = super::reports_on(&by_port, target);
            let sockets = ports.flat_map(|port| &port.observed.sockets).filter(|socket| socket.state.is_listening());
            // On Linux, a socket without an inode is being closed. Other systems have no inodes.
            let listeners = sockets.filter(|socket| socket.inode.is_some() || diagnosis.host.os != "linux");
            let owners: Vec<&Owners> = listeners.map(|socket| &socket.owners).collect();
            let is_meant = |pid: &Pid| find_process(&diagnosis.processes, *pid).is_some_and(|process| by.is(process));
            let is_right = |owners: &&&Owners| owners.seen().is_some_and(|pids| pids.iter().any(is_meant));
            if owners.iter().any(|owners| is_right(&owners)) {
                verdict.met.insert(index);
            } else if owners.iter().any(|owners| owners.is_unsure()) {
                verdict.failure = verdict.failure.or(Some(super::Outcome::Unknown));
            } else if !owners.is_empty() {
                verdict.failure = Some(super::Outcome::TakenByAnother);
            }
        }
        Ok(verdict)
    }
}

/// The sockets on a port, from a list that is sorted by port.
fn at(listeners: &[Socket], port: u16) -> &[Socket] {
    let start = listeners.partition_point(|socket| socket.local.port() < port);
    let count = listeners[start..].partition_point(|socket| socket.local.port() == port);
    &listeners[start..start + count]
}

/// Whether the ordinary diagnosis of a port says what was waited for.
pub fn is_as_awaited(awaited: Awaited, port: &PortReport, target: &Target) -> bool {
    match awaited {
        Awaited::Free => port.verdict.status == Status::Free,
        Awaited::Listening | Awaited::Answering => {
            port.observed.sockets.iter().any(|socket| socket.state.is_listening() && target.covers(socket))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::process;

    #[test]
    fn a_name_is_compared_whole_and_a_pid_counts_for_its_descendants() {
        let node = process(42, 7, "node");
        for (by, expected) in
            [("node", true), ("nod", false), ("nodemon", false), ("42", true), ("7", true), ("1", true), ("43", false)]
        {
            assert_eq!(By::parse(by).unwrap().is(&node), expected, "{by}");
        }
        let mut renamed = process(42, 7, "MainThread");
        renamed.exe = Some("/usr/bin/node22".into());
        renamed.command = vec!["/usr/local/bin/node".to_owned()];
        assert!(By::Name("node22".to_owned()).is(&renamed) && By::Name("node".to_owned()).is(&renamed));
        assert!(By::parse("0").is_err() && By::parse("").is_err());
        let of_windows = process(42, 7, "Node.exe");
        for name in ["node", "node.exe"] {
            assert_eq!(By::Name(name.to_owned()).is(&of_windows), IS_WINDOWS, "{name}");
        }
        assert_eq!(["a.exe", "A.EXE", ".exe", "é", "exe"].map(without_suffix), ["a", "A", "", "é", "exe"]);
    }

    #[test]
    fn a_server_answers_on_its_own_address_only() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let first = listener.local_addr().unwrap().port();
        let target = |addresses: &[IpAddr]| Target {
            first,
            last: first,
            protocol: None,
            addresses: addresses.to_vec(),
            zone: None,
        };
        let loopback: IpAddr = Ipv6Addr::LOCALHOST.into();
        assert!(connects(&target(&[]), None) && connects(&target(&[]), Some(Family::Ipv4)));
        assert!(!connects(&target(&[]), Some(Family::Ipv6)) && !connects(&target(&[loopback]), None));
    }
}
