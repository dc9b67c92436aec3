//! The diagnosis of all ports asked about: what was observed of each, and the verdict of the rules.

use std::cmp::Ordering;

use crate::classify::services::Services;
use crate::collect::{self, BindFailure, Detail};
use crate::commands::exit::Exit;
use crate::diagnose::{Facts, Observed, PortReport, Status, diagnose};
use crate::model::{Circumstances, Gap, Host, Namespace, Pid, Process, Snapshot, Socket};
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
    /// Whether holders that a filter asks for may be among those that could not be inspected.
    pub misses_wanted: bool,
    /// Our sandbox and addresses; read only if bind(2) gave a reason to.
    pub circumstances: Circumstances,
}

/// To judge so many ports takes far longer than a thread takes to start.
const WORTH_A_THREAD: usize = 1000;

impl Diagnosis {
    /// Applies the rules to each port. Processes that no port or finding mentions are left out.
    pub fn judge(request: &Request, ports: Vec<Observed>, snapshot: Snapshot) -> Self {
        let circumstances = circumstances(&ports);
        // The names of services are looked up only if somebody reads them.
        let numbers: Vec<u16> = ports.iter().map(|port| port.port).collect();
        let services = (request.detail > Detail::Nothing).then(|| Services::load_for(&numbers));
        let Snapshot { host, processes, gaps, .. } = snapshot;
        let inside = request.namespaces.inside().cloned().map(Box::new);
        let mut diagnosis = Self { inside, processes, gaps, circumstances, ..Self::of_no_ports(host) };
        // The limits that were read are those of the namespace that was looked at.
        let elsewhere = diagnosis.host.without_limits();
        let threads = threads::for_items(ports.len(), WORTH_A_THREAD);
        let mut reports: Vec<PortReport> = ports.into_iter().map(PortReport::from).collect();
        threads::each(&mut reports, threads, |PortReport { observed, verdict }| {
            let service = services.as_ref().and_then(|known| known.lookup(observed.port, observed.protocol));
            observed.service = service.map(Box::new);
            let is_here = observed.namespace == diagnosis.inside;
            let host = if is_here { &diagnosis.host } else { &elsewhere };
            *verdict = diagnose(&Facts { host, ..diagnosis.facts(request, observed) }).into();
        });
        diagnosis.ports = reports;
        let sockets = diagnosis.ports.iter().flat_map(|port| port.observed.everywhere());
        let owners = sockets.flat_map(|socket| socket.owners.pids());
        let found = diagnosis.ports.iter().flat_map(|port| &port.verdict.findings).flat_map(|finding| &finding.pids);
        let mut shown: Vec<Pid> = owners.chain(found).copied().collect();
        shown.sort_unstable();
        diagnosis.processes.retain(|process| shown.binary_search(&process.pid).is_ok());
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
            misses_wanted: false,
            circumstances: Circumstances::default(),
        }
    }

    /// Whether somebody holds one of the ports, or may hold one, who was not seen.
    pub fn is_unsure(&self) -> bool {
        let is_unsure = |port: &PortReport| port.observed.everywhere().any(|socket| socket.owners.is_unsure());
        self.misses_wanted || self.ports.iter().any(is_unsure)
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

/// The ports of these sockets, each with its own, in order. Our own network namespace comes first.
pub fn by_port(mut sockets: Vec<Socket>) -> Vec<Observed> {
    let port_of = |socket: &Socket| (socket.local.port(), socket.protocol);
    sockets.sort_unstable_by(|a, b| {
        port_of(a).cmp(&port_of(b)).then_with(|| a.namespace.cmp(&b.namespace)).then_with(|| in_order(a, b))
    });
    let mut ports: Vec<Observed> = Vec::new();
    for socket in sockets {
        let (port, protocol) = port_of(&socket);
        let is_it =
            |last: &&mut Observed| (last.port, last.protocol, &last.namespace) == (port, protocol, &socket.namespace);
        match ports.last_mut().filter(is_it) {
            Some(last) => last.sockets.push(socket),
            None => ports.push(Observed {
                namespace: socket.namespace.clone(),
                sockets: vec![socket],
                ..Observed::of(port, protocol)
            }),
        }
    }
    ports
}

/// Which of two sockets on a port comes first. The kernel lists them in the order of its hash tables,
/// which means nothing and changes.
pub fn in_order(a: &Socket, b: &Socket) -> Ordering {
    let key = |socket: &Socket| (socket.local, socket.state, socket.remote, socket.inode);
    key(a).cmp(&key(b))
}
