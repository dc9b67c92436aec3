//! The diagnosis of all ports asked about: what was observed of each, and the verdict of the rules.

use std::collections::{HashMap, HashSet};

use crate::classify::services::Services;
use crate::collect::{self, BindFailure, Detail};
use crate::commands::exit::Exit;
use crate::diagnose::{Facts, Observed, PortReport, Status, diagnose};
use crate::model::{Circumstances, Gap, Host, Namespace, Pid, Process, Protocol, Snapshot, Socket};
use crate::platform::threads;
use crate::probe::Outcome;
use crate::request::Request;

/// The verdicts on ports, and the facts that they share.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The machine.
    pub host: Host,
    /// The network namespace that was looked at, if it was not our own.
    pub inside: Option<Box<Namespace>>,
    /// A report for each port and protocol.
    pub ports: Vec<PortReport>,
    /// The owners, by ascending pid.
    pub processes: Vec<Process>,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
    /// Our sandbox and addresses; read only if bind(2) gave a reason to.
    pub circumstances: Circumstances,
}

impl Diagnosis {
    /// Applies the rules to each port. Processes that no port or finding mentions are left out.
    pub fn judge(request: &Request, ports: Vec<Observed>, snapshot: Snapshot) -> Self {
        let circumstances = circumstances(&ports);
        // The names of services are looked up only if somebody reads them.
        let services = (request.detail > Detail::Nothing).then(Services::load);
        let Snapshot { host, processes, gaps, .. } = snapshot;
        let inside = request.namespaces.inside().cloned().map(Box::new);
        let mut diagnosis = Self { inside, processes, gaps, circumstances, ..Self::of_no_ports(host) };
        // The limits that were read are those of the namespace that was looked at.
        let elsewhere = diagnosis.host.without_limits();
        let threads = threads_for(ports.len());
        diagnosis.ports = threads::map(ports, threads, |mut observed| {
            let service = services.as_ref().and_then(|known| known.lookup(observed.port, observed.protocol));
            observed.service = service.map(Box::new);
            let is_here = observed.namespace == diagnosis.inside;
            let host = if is_here { &diagnosis.host } else { &elsewhere };
            let verdict = diagnose(&Facts { host, ..diagnosis.facts(request, &observed) }).into();
            PortReport { observed, verdict }
        });
        let sockets = diagnosis.ports.iter().flat_map(|port| port.observed.everywhere());
        let owners = sockets.flat_map(|socket| socket.owners.pids());
        let found = diagnosis.ports.iter().flat_map(|port| &port.verdict.findings).flat_map(|finding| &finding.pids);
        let shown: HashSet<Pid> = owners.chain(found).copied().collect();
        diagnosis.processes.retain(|process| shown.contains(&process.pid));
        diagnosis
    }

    /// One of no port.
    pub fn of_no_ports(host: Host) -> Self {
        Self {
            host,
            inside: None,
            ports: Vec::new(),
            processes: Vec::new(),
            gaps: Vec::new(),
            circumstances: Circumstances::default(),
        }
    }

    /// What the rules see of a port.
    pub fn facts<'a>(&'a self, request: &'a Request, observed: &'a Observed) -> Facts<'a> {
        Facts {
            observed,
            family: request.family,
            processes: &self.processes,
            gaps: &self.gaps,
            reuse_address: request.reuse_address || observed.is_held_for_caller(),
            host: &self.host,
            circumstances: &self.circumstances,
            program: &request.program,
        }
    }

    /// The exit code of a command that only asks: the worst status decides.
    pub fn exit(&self) -> Exit {
        let worst = self.ports.iter().map(|port| port.verdict.status).min();
        match worst {
            Some(Status::Held | Status::Blocked) => Exit::No,
            Some(Status::Unknown) => Exit::Unknown,
            Some(Status::Free) | None => Exit::Yes,
        }
    }
}

/// How many threads judge so many ports. A thousand take far longer than a thread takes to start.
fn threads_for(ports: usize) -> usize {
    const WORTH_A_THREAD: usize = 1000;
    if ports < 2 * WORTH_A_THREAD { 1 } else { threads::most() }
}

/// Our sandbox and addresses, if bind(2) gave a reason to look at them.
fn circumstances(ports: &[Observed]) -> Circumstances {
    let is_any = |port: &Observed, is: fn(Outcome) -> bool| port.attempts.iter().any(|attempt| is(attempt.outcome));
    let is_refused = ports.iter().any(|port| is_any(port, Outcome::is_refused));
    // Without an address in the question, an address or family may well be missing.
    let is_about_the_address = ports.iter().any(|port| !port.addresses.is_empty())
        && ports.iter().any(|port| is_any(port, Outcome::is_about_the_address));
    match (is_refused, is_about_the_address) {
        (true, _) => collect::circumstances(BindFailure::Refused),
        (false, true) => collect::circumstances(BindFailure::Address),
        (false, false) => Circumstances::default(),
    }
}

/// A port of a protocol in a network namespace; `None` for our own.
pub type Key<'a> = (u16, Protocol, Option<&'a Namespace>);

/// The sockets of each port.
pub fn by_port(snapshot: &Snapshot) -> HashMap<Key<'_>, Vec<&Socket>> {
    let mut by_port: HashMap<_, Vec<&Socket>> = HashMap::new();
    for socket in &snapshot.sockets {
        let key = (socket.local.port(), socket.protocol, socket.namespace.as_deref());
        by_port.entry(key).or_default().push(socket);
    }
    // The kernel lists them in the order of its hash tables, which means nothing and changes.
    for sockets in by_port.values_mut() {
        sockets.sort_by_key(|socket| (socket.local, socket.state, socket.remote, socket.inode));
    }
    by_port
}
