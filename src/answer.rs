//! Turns a [`Request`] into an [`Answer`]: takes a snapshot, applies the rules, settles the exit
//! code.

pub mod checking;
mod listing;
mod relevant;

use std::collections::{HashMap, HashSet};

use crate::classify::services::Services;
use crate::collect::{self, Detail, Scope};
use crate::commands::free::answer::Free;
use crate::diagnose::{Facts, Observed, PortReport, Status, diagnose};
use crate::error::Error;
use crate::model::{Circumstances, Gap, Host, Pid, Process, Protocol, Snapshot, Socket};
use crate::probe::Outcome;
use crate::request::{Filter, Question, Request, Sort};
use crate::target::Target;

/// What a command does, as the JSON names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
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

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was done.
    pub command: Command,
    /// The machine.
    pub host: Host,
    /// A line for each port and protocol.
    pub ports: Vec<PortReport>,
    /// The owners, by ascending pid.
    pub processes: Vec<Process>,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
    /// Our sandbox and addresses; read only if bind(2) gave a reason to.
    pub circumstances: Circumstances,
    /// How many connections `--all` would show, if a listing shows nothing.
    pub connections_left_out: usize,
    /// What [`Command::Free`] adds.
    pub free: Option<Free>,
}

/// The exit code, by its meaning.
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
    /// 124: the time was over before what was waited for happened.
    Timeout,
    /// 126: the command cannot be executed, as in a shell.
    NotExecutable,
    /// 127: there is no such command, as in a shell.
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
    /// An answer without ports, or whose ports are added later.
    pub fn without_ports(command: Command, host: Host) -> Self {
        Self {
            command,
            host,
            ports: Vec::new(),
            processes: Vec::new(),
            gaps: Vec::new(),
            circumstances: Circumstances::default(),
            connections_left_out: 0,
            free: None,
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

    /// The exit code. It is known before anything is written, so a reader who hangs up changes
    /// nothing.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match (self.command, &self.free) {
            (Command::List, _) => return Exit::Yes,
            (_, Some(free)) => return if free.is_done { Exit::Yes } else { Exit::No },
            _ => {}
        }
        let worst = self.ports.iter().map(|port| port.verdict.status).min();
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
        Question::Check(_) => {
            let (ports, snapshot) = checking::observe(request, &scope)?;
            Ok(judge(Command::Check, request, ports, snapshot))
        }
        Question::List(filter, sort) => {
            let answer = list(request, filter, *sort, collect::snapshot(&scope)?);
            let is_read = !scope.connections && scope.detail > Detail::Nothing;
            let connections_left_out =
                if answer.ports.is_empty() && is_read { count_connections(&scope, filter)? } else { 0 };
            Ok(Answer { connections_left_out, ..answer })
        }
    }
}

/// The protocols that are asked about. The tables of the others are not read.
fn protocols(request: &Request, targets: &[Target]) -> Vec<Protocol> {
    let is_asked = |protocol: &Protocol| targets.is_empty() || targets.iter().any(|target| target.wants(*protocol));
    request.protocols.iter().copied().filter(is_asked).collect()
}

fn list(request: &Request, filter: &Filter, sort: Sort, snapshot: Snapshot) -> Answer {
    let observe = |((port, protocol), sockets): ((u16, Protocol), Vec<&Socket>)| {
        let is_shown = |socket: &&Socket| {
            socket.serves(request.family)
                && (request.connections || socket.state.is_waiting())
                && listing::fits(filter, socket, &snapshot.processes)
        };
        let sockets: Vec<Socket> = sockets.into_iter().filter(is_shown).cloned().collect();
        (!sockets.is_empty()).then(|| Observed { sockets, ..Observed::of(port, protocol) })
    };
    let ports = by_port(&snapshot).into_iter().filter_map(observe).collect();
    let mut answer = judge(Command::List, request, ports, snapshot);
    answer.ports.sort_by(|a, b| listing::compare(sort, &a.observed, &b.observed, &answer.processes));
    answer
}

/// How many connections fit a filter.
fn count_connections(scope: &Scope, filter: &Filter) -> Result<usize, Error> {
    let snapshot = collect::snapshot(&Scope { connections: true, ..scope.clone() })?;
    let fits = |socket: &&Socket| socket.serves(scope.family) && listing::fits(filter, socket, &snapshot.processes);
    Ok(snapshot.sockets.iter().filter(fits).count())
}

/// Applies the rules to each port. Processes that no port or finding mentions are left out.
fn judge(command: Command, request: &Request, mut ports: Vec<Observed>, snapshot: Snapshot) -> Answer {
    let circumstances = circumstances(&ports);
    // The names of services are looked up only if somebody reads them.
    if request.detail > Detail::Nothing {
        let services = Services::load();
        for port in &mut ports {
            port.service = services.lookup(port.port, port.protocol).map(Box::new);
        }
    }
    let Snapshot { host, processes, gaps, .. } = snapshot;
    let mut answer = Answer { processes, gaps, circumstances, ..Answer::without_ports(command, host) };
    answer.ports = ports
        .into_iter()
        .map(|observed| {
            let verdict = diagnose(&answer.facts(request, &observed)).into();
            PortReport { observed, verdict }
        })
        .collect();
    let owners = answer.ports.iter().flat_map(|port| &port.observed.sockets).flat_map(|socket| socket.owners.pids());
    let found = answer.ports.iter().flat_map(|port| &port.verdict.findings).flat_map(|finding| &finding.pids);
    let shown: HashSet<Pid> = owners.chain(found).copied().collect();
    answer.processes.retain(|process| shown.contains(&process.pid));
    answer
}

/// Our sandbox and addresses, if bind(2) gave a reason to look at them.
fn circumstances(ports: &[Observed]) -> Circumstances {
    let is_any = |port: &Observed, is: fn(Outcome) -> bool| port.attempts.iter().any(|attempt| is(attempt.outcome));
    let is_refused = ports.iter().any(|port| is_any(port, Outcome::is_refused));
    // Without an address in the question, an address or family may well be missing.
    let is_about_the_address = ports.iter().any(|port| !port.addresses.is_empty())
        && ports.iter().any(|port| is_any(port, Outcome::is_about_the_address));
    if is_refused || is_about_the_address { collect::circumstances(is_refused) } else { Circumstances::default() }
}

/// The sockets of each port.
fn by_port(snapshot: &Snapshot) -> HashMap<(u16, Protocol), Vec<&Socket>> {
    let mut by_port: HashMap<_, Vec<&Socket>> = HashMap::new();
    for socket in &snapshot.sockets {
        by_port.entry((socket.local.port(), socket.protocol)).or_default().push(socket);
    }
    // The kernel lists them in the order of its hash tables, which means nothing and changes.
    for sockets in by_port.values_mut() {
        sockets.sort_by_key(|socket| (socket.local, socket.state, socket.remote, socket.inode));
    }
    by_port
}
