//! From a diagnosis to what is to be done about it. Pure.
//!
//! Only who was *seen* to have a socket is ever signalled. Whether to signal is decided for a port as a whole: if one of its
//! holders may not be ended, ending the others would free nothing.

use std::iter;
use std::time::Duration;

use super::Surroundings;
use super::keepers::Keepers;
use super::{Consent, Keeper, Options, Restarter, Returns};
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{
    Facts, Group, PortReport, Remedy, RemedyKind, Severity, Statement, Status, forwarded, groups, is_airplay_receiver,
    remedy,
};
use crate::model::{
    Container, EngineContainer, Forwarder, Lease, LeaseKind, Owners, Pid, Process, Protocol, Publication, Runtime,
    Socket, State, find_process,
};
use crate::request::Request;
use crate::supervisor;
use crate::supervisor::command::{self, Caller};

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Who is to be ended: parents before their children.
    pub holders: Vec<Holder>,
    /// Supervisors' tools to be run first.
    pub stops: Vec<Stop>,
    /// What is left of connections, to be dropped.
    pub remnants: Vec<Socket>,
    /// Who is left alone, and why.
    pub refusals: Vec<Refusal>,
}

/// A supervisor's tool that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it stops, where its arguments tell that by an id only: `container web of Docker`.
    pub what: Option<String>,
}

impl Stop {
    /// Stops a container by its engine.
    fn container(container: &EngineContainer) -> Self {
        let what = format!("container {} of {}", container.title(), container.engine.runtime.title());
        Self { command: command::stop_known(container, Caller::Portcheck), what: Some(what) }
    }
}

impl From<Vec<String>> for Stop {
    fn from(command: Vec<String>) -> Self {
        Self { command, what: None }
    }
}

/// A process that is to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id when it was looked at.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// Its command line, argument by argument.
    pub command: Vec<String>,
    /// The name or id of its user.
    pub user: Option<String>,
    /// The ports that it holds.
    pub ports: Vec<(u16, Protocol)>,
    /// The sockets by which it does.
    pub inodes: Vec<u64>,
    /// Who looks after it.
    pub keeper: Option<Keeper>,
    /// When that one starts it again.
    pub returns: Returns,
    /// Whether its keeper stops it, so that it gets no signal.
    pub is_stopped_by_keeper: bool,
}

/// Somebody who is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The processes, as far as they are known.
    pub pids: Vec<Pid>,
    /// Why.
    pub reason: Reason,
    /// Who would start them again, if that is the reason.
    pub keeper: Option<Keeper>,
    /// What can be done instead.
    pub remedies: Vec<Remedy>,
}

/// Why somebody is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Who it is, `sshd (pid 812)`, and the rest of a sentence about them.
    Said(String, String),
    /// What the diagnosis found of the port.
    Found(Box<Statement>),
}

impl Holder {
    /// How long its port has to be watched to notice that it comes back. `None` if nobody brings it back.
    pub fn noticed_within(&self) -> Option<Duration> {
        self.returns.noticed_within().filter(|_| !self.is_stopped_by_keeper)
    }

    /// Whether it would come back, perhaps after nobody looks any more.
    pub fn outlasts(&self, settle: Duration) -> bool {
        self.noticed_within().is_some_and(|needed| settle < needed)
    }
}

impl Plan {
    /// Whether somebody on this port is left alone, so that nothing is done about it.
    pub fn refuses(&self, port: u16, protocol: Protocol) -> bool {
        self.refusals.iter().any(|refusal| (refusal.port, refusal.protocol) == (port, protocol))
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.stops.is_empty() && self.remnants.is_empty()
    }
}

/// Derives what is to be done about the ports that `answer` found held.
pub fn plan(
    diagnosis: &Diagnosis,
    surroundings: &Surroundings,
    keepers: &Keepers,
    options: &Options,
    request: &Request,
) -> Plan {
    let planner = Planner { diagnosis, surroundings, keepers, options, request };
    let mut plan = Plan::default();
    for port in &diagnosis.ports {
        planner.add_port(port, &mut plan);
    }
    parents_first(&mut plan.holders, &diagnosis.processes);
    plan
}

/// What becomes of processes that are not signalled.
enum Refused {
    /// They are left alone.
    For(Refusal),
    /// Their supervisor's tool is run instead.
    InFavourOf(Stop),
}

struct Planner<'a> {
    diagnosis: &'a Diagnosis,
    surroundings: &'a Surroundings,
    keepers: &'a Keepers,
    options: &'a Options,
    request: &'a Request,
}

impl Planner<'_> {
    fn add_port(&self, port: &PortReport, plan: &mut Plan) {
        if port.verdict.status == Status::Free {
            return;
        }
        let facts = self.diagnosis.facts(self.request, &port.observed);
        let groups = groups(port.observed.sockets.iter().filter(|socket| facts.is_in_the_way(socket)));
        let is_explained = groups.iter().any(|group| group.sockets[0].state.is_waiting());
        let (mut holders, mut stops, mut remnants, mut refusals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for group in &groups {
            let is_waiting = group.sockets[0].state.is_waiting();
            match group.owners {
                Owners::Known(pids) if is_waiting || self.options.clients => match self.refuse(port, group, pids) {
                    Some(Refused::For(refusal)) => add_refusal(refusal, &mut refusals),
                    Some(Refused::InFavourOf(stop)) => stops.push(stop),
                    None => {
                        let found: Vec<Holder> = pids.iter().map(|&pid| self.holder(port, group, pid)).collect();
                        let refusal = |holder: &Holder| {
                            self.refuse_kept(port, holder, pids)
                                .or_else(|| self.refuse_untouchable(port, holder, &facts))
                        };
                        match found.iter().find_map(refusal) {
                            Some(refusal) => refusals.push(refusal),
                            None => holders.extend(found),
                        }
                    }
                },
                Owners::None if self.options.remnants => {
                    remnants
                        .extend(group.sockets.iter().filter(|socket| is_remnant(socket)).map(|&socket| socket.clone()));
                }
                // A listener explains the conflict; its connections end with it, or are named in the end.
                _ if !is_waiting && is_explained => {}
                _ => refusals.push(self.why_not(port, group, &facts)),
            }
        }
        if groups.is_empty() {
            let worst = port.verdict.findings.iter().find(|finding| finding.severity <= Severity::Unknown);
            refusals.extend(worst.map(|finding| Refusal {
                port: port.observed.port,
                protocol: port.observed.protocol,
                pids: Vec::new(),
                reason: Reason::Found(Box::new(finding.statement.clone())),
                keeper: None,
                remedies: finding.remedies.clone(),
            }));
        }
        if refusals.is_empty() {
            plan.remnants.extend(remnants);
            for stop in stops {
                add_stop(stop, plan);
            }
            for holder in holders {
                add_holder(holder, plan);
            }
        } else if let Some(first) = holders.first() {
            let pids: Vec<Pid> = holders.iter().map(|holder| holder.pid).collect();
            let who = format!("{} (pid {})", first.name, first.pid);
            let reason = "is left alone too, as ending it would not free the port".to_owned();
            refusals.push(Self::refusal(port, &pids, who, reason, Vec::new()));
        }
        plan.refusals.extend(refusals);
    }

    /// Why a group of processes that hold the port may not be ended. If one of them may not, the others need not: the socket
    /// stays.
    fn refuse(&self, port: &PortReport, group: &Group<'_>, pids: &[Pid]) -> Option<Refused> {
        if let (true, Some(&pid)) = (self.surroundings.reads_foreign_ids, pids.first()) {
            return Some(Refused::For(self.refuse_foreign(port, pids, pid)));
        }
        let mut processes = pids.iter().filter_map(|&pid| find_process(&self.diagnosis.processes, pid));
        if let Some(manager) = processes.find(|process| process.is_service_manager()) {
            return Some(self.socket_unit(port, group, manager));
        }
        // A process that keeps a port for a caller of --free may keep others for others.
        let keeps =
            |lease: &&Lease| lease.kind != LeaseKind::Command && pids.iter().all(|pid| lease.pids.contains(pid));
        if let (Some(lease), Some(&pid)) = (port.observed.lease.as_deref().filter(keeps), pids.first()) {
            let command = [&*self.request.program, "release", &lease.port.to_string()];
            let remedy = Remedy::run(RemedyKind::ReleaseLease, "release it", command);
            let reason = "keeps the port for a caller of portcheck free".to_owned();
            return Some(Refused::For(Self::refusal(port, pids, self.name(pid), reason, vec![remedy])));
        }
        let is_airplay = is_airplay_receiver(&self.diagnosis.host, &self.diagnosis.processes, group.sockets[0]);
        if let (true, Some(&pid)) = (is_airplay, pids.first()) {
            let reason = "receives AirPlay, and would be started again at once".to_owned();
            let remedies = remedies_of(port, group);
            return Some(Refused::For(Self::refusal(port, pids, self.name(pid), reason, remedies)));
        }
        if let Some((process, forwarder)) = group.forwarder(&self.diagnosis.processes) {
            return Some(self.forwarder(port, group, process, forwarder));
        }
        let mut processes = pids.iter().filter_map(|&pid| find_process(&self.diagnosis.processes, pid));
        if let Some(daemon) = processes.find_map(Restarter::supervisor) {
            let reason = "is never ended itself: everything that it runs would end with it".to_owned();
            let refusal = Self::refusal(port, pids, self.name(daemon.pid), reason, vec![daemon.remedy()]);
            return Some(Refused::For(refusal));
        }
        let Surroundings { own, ancestors, .. } = self.surroundings;
        let reason = |&pid: &Pid| match pid {
            // The first process of a machine or container: nothing survives it.
            1 => Some("is the first process here, and everything ends with it"),
            _ if pid == *own => Some("is portcheck itself, which inherited the socket"),
            _ if ancestors.contains(&pid) => Some("is what portcheck was started from"),
            _ => None,
        };
        let (&pid, reason) = pids.iter().find_map(|pid| Some((pid, reason(pid)?)))?;
        let remedies = remedies_of(port, group);
        Some(Refused::For(Self::refusal(port, pids, self.name(pid), reason.to_owned(), remedies)))
    }

    /// A forwarder is never ended itself: at most the container is stopped that it holds the port for.
    fn forwarder(&self, port: &PortReport, group: &Group<'_>, process: &Process, forwarder: Forwarder) -> Refused {
        let facts = self.diagnosis.facts(self.request, &port.observed);
        let mut remedies = forwarded::free_port(&facts, group, process, forwarder);
        if let Some(Publication::Of(container)) = &group.sockets[0].publication {
            if self.options.supervisor {
                return Refused::InFavourOf(Stop::container(container));
            }
            remedies.push(remedy::let_portcheck_stop_it());
        }
        let reason = forwarded::reason(group, forwarder);
        Refused::For(Self::refusal(port, group.owners.pids(), self.name(process.pid), reason, remedies))
    }

    fn refuse_foreign(&self, port: &PortReport, pids: &[Pid], pid: Pid) -> Refusal {
        let reason = "cannot be signalled: /proc shows the processes of another pid namespace, so its id means another \
                      process here";
        let mount = ["mount", "-t", "proc", "proc", "/proc"];
        let remedy = Remedy::run(RemedyKind::FindHolder, "see the processes of this namespace", mount);
        Self::refusal(port, pids, self.name(pid), reason.to_owned(), vec![remedy])
    }

    /// Who would come back is left alone, unless somebody is asked and may know better, or the port is watched for long
    /// enough; and to its keeper, if that is to stop it and cannot be told to.
    fn refuse_kept(&self, port: &PortReport, holder: &Holder, pids: &[Pid]) -> Option<Refusal> {
        let is_sure = matches!(self.options.consent, Consent::Given(_));
        let is_in_vain = is_sure && holder.outlasts(self.options.settle);
        let is_left_to_keeper = self.options.supervisor && holder.noticed_within().is_some();
        let keeper = holder.keeper.as_ref().filter(|_| is_in_vain || is_left_to_keeper)?;
        let reason = match keeper {
            Keeper::Container(Container { runtime: Runtime::Docker | Runtime::Podman, .. }, None)
                if self.options.supervisor =>
            {
                format!("seems to run in {}, which no engine of yours confirms", keeper.name())
            }
            _ => format!("{}, which {}", keeper.relation(), holder.returns.verb()),
        };
        let mut remedies = vec![keeper.remedy()];
        remedies.extend(keeper.stop_command().map(|_| remedy::let_portcheck_stop_it()));
        remedies.extend(holder.noticed_within().map(|needed| {
            let seconds = needed.as_secs_f64().ceil();
            let text = format!("end it all the same, and watch the port: add --settle {seconds}s");
            Remedy::advice(RemedyKind::EndProcess, text)
        }));
        let refusal = Self::refusal(port, pids, self.name(holder.pid), reason, remedies);
        Some(Refusal { keeper: Some(keeper.clone()), ..refusal })
    }

    /// The others in its group are left alone with it: a parent that goes on would fork them again.
    fn refuse_untouchable(&self, port: &PortReport, holder: &Holder, facts: &Facts<'_>) -> Option<Refusal> {
        if holder.is_stopped_by_keeper || !self.surroundings.untouchable.contains(&holder.pid) {
            return None;
        }
        let user = holder.user.as_ref().map(|user| format!(" of user {user}")).unwrap_or_default();
        let reason = format!("is a process{user} that you may not signal");
        let command = iter::once("sudo".to_owned()).chain(facts.kill());
        let remedy = Remedy::run(RemedyKind::EndProcess, "end all that hold the port", command);
        Some(Self::refusal(port, &[holder.pid], self.name(holder.pid), reason, vec![remedy]))
    }

    /// A service manager listens in the name of a socket unit (systemd.socket(5)). It is never ended itself, and stopping
    /// the service alone would not free the port. What is done about the unit.
    fn socket_unit(&self, port: &PortReport, group: &Group<'_>, manager: &Process) -> Refused {
        let unit = group.sockets[0].activated_by.as_ref().map(|unit| unit.seen_by(self.diagnosis.host.euid));
        let unit = unit.as_ref();
        // The services that it has passed the socket on to.
        let others = group.owners.pids().iter().filter_map(|&pid| find_process(&self.diagnosis.processes, pid));
        let services = others.filter_map(|process| process.unit.as_ref().filter(|unit| supervisor::is_service(unit)));
        let names = unit.into_iter().chain(services).map(|unit| unit.name.as_str());
        let stop = unit.and_then(|unit| command::stop_units(unit, names, Caller::Portcheck));
        if let Some(stop) = stop.clone().filter(|_| self.options.supervisor) {
            return Refused::InFavourOf(stop.into());
        }
        let name = unit.map_or("a socket unit", |unit| &unit.name);
        let reason = format!("listens in the name of {name}, and is never ended itself");
        let mut remedies = remedies_of(port, group);
        if stop.is_some() {
            remedies.push(remedy::let_portcheck_stop_it());
        }
        Refused::For(Self::refusal(port, group.owners.pids(), self.name(manager.pid), reason, remedies))
    }

    /// Why those who were not seen to hold the port, or hold it in a way that was not asked for, are left alone.
    fn why_not(&self, port: &PortReport, group: &Group<'_>, facts: &Facts<'_>) -> Refusal {
        let pids = group.owners.pids();
        let mut remedies = remedies_of(port, group);
        let (who, reason) = match group.owners {
            Owners::Known(_) => {
                remedies.insert(0, remedy::end_client(facts));
                (group.holder(&self.diagnosis.processes), "holds the port by a connection only".to_owned())
            }
            Owners::Partial { reason, .. } => {
                (group.holder(&self.diagnosis.processes), format!("cannot be ended alone: {reason}"))
            }
            Owners::Likely { reason, .. } => (
                group.holder(&self.diagnosis.processes),
                format!("was not seen to hold it, and is never signalled on a guess: {reason}"),
            ),
            Owners::Hidden { reason } => {
                (group.holder(&self.diagnosis.processes), format!("cannot be seen, and so not be ended: {reason}"))
            }
            Owners::Kernel => ("the kernel".to_owned(), "holds it itself: there is no process to end".to_owned()),
            Owners::None | Owners::NotAsked => {
                let are_remnants = group.sockets.iter().all(|socket| is_remnant(socket));
                if are_remnants && port.observed.protocol == Protocol::Tcp && !self.options.remnants {
                    remedies.extend(remedy::drop_remnants(facts));
                }
                let what = if group.sockets.len() == 1 {
                    "what is left of a connection"
                } else {
                    "what is left of connections"
                };
                (what.to_owned(), format!("holds it{}: there is no process to end", states(group)))
            }
        };
        Self::refusal(port, pids, who, reason, remedies)
    }

    fn refusal(port: &PortReport, pids: &[Pid], who: String, reason: String, remedies: Vec<Remedy>) -> Refusal {
        Refusal {
            port: port.observed.port,
            protocol: port.observed.protocol,
            pids: pids.to_vec(),
            reason: Reason::Said(who, reason),
            keeper: None,
            remedies,
        }
    }

    fn holder(&self, port: &PortReport, group: &Group<'_>, pid: Pid) -> Holder {
        let process = find_process(&self.diagnosis.processes, pid);
        let (keeper, returns) = self.keepers.get(pid).cloned().unzip();
        let user =
            process.and_then(|process| process.user.clone().or_else(|| process.uid.map(|uid| format!("uid {uid}"))));
        let mut inodes: Vec<u64> = group.sockets.iter().filter_map(|socket| socket.inode).collect();
        inodes.sort_unstable();
        inodes.dedup();
        Holder {
            pid,
            name: process.map_or_else(String::new, |process| process.name.clone()),
            command: process.map(|process| process.command.clone()).unwrap_or_default(),
            user,
            ports: vec![(port.observed.port, port.observed.protocol)],
            inodes,
            is_stopped_by_keeper: self.options.supervisor
                && keeper.as_ref().is_some_and(|keeper: &Keeper| keeper.stop_command().is_some()),
            keeper,
            returns: returns.unwrap_or(Returns::Never),
        }
    }

    fn name(&self, pid: Pid) -> String {
        match find_process(&self.diagnosis.processes, pid) {
            Some(process) => format!("{} (pid {pid})", process.name),
            None => format!("pid {pid}"),
        }
    }
}

/// Whether a socket is what is left of a connection: no process has it, and only the kernel's timers end it.
pub fn is_remnant(socket: &Socket) -> bool {
    socket.protocol == Protocol::Tcp
        && socket.owners == Owners::None
        && matches!(
            socket.state,
            State::TimeWait | State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing | State::CloseWait
        )
}

/// ` in TIME_WAIT for 43 s more`, where the kernel tells.
fn states(group: &Group<'_>) -> String {
    let is_time_wait = group.sockets.iter().all(|socket| socket.state == State::TimeWait);
    let timers = group.sockets.iter().filter_map(|socket| socket.timer);
    let left = timers.map(|timer| timer.expires_in).max();
    match (is_time_wait, left) {
        (true, Some(left)) => format!(" in TIME_WAIT for {} s more", left.as_millis().div_ceil(1000)),
        (false, Some(left)) => format!(", mostly for {} s more", left.as_millis().div_ceil(1000)),
        (_, None) => String::new(),
    }
}

/// What the diagnosis advises about a group.
fn remedies_of(port: &PortReport, group: &Group<'_>) -> Vec<Remedy> {
    let is_about = |finding: &&crate::diagnose::Finding| {
        finding.severity <= Severity::Warning && finding.pids == group.owners.pids()
    };
    let all = port.verdict.findings.iter().filter(is_about).flat_map(|finding| &finding.remedies);
    let mut remedies: Vec<Remedy> = Vec::new();
    for remedy in all {
        if !remedies.contains(remedy) {
            remedies.push(remedy.clone());
        }
    }
    remedies
}

/// Adds a refusal, or its processes to one that says the same: docker-proxy has a process for each family.
fn add_refusal(refusal: Refusal, refusals: &mut Vec<Refusal>) {
    let said = |refusal: &Refusal| match &refusal.reason {
        Reason::Said(_, reason) => Some((reason.clone(), refusal.remedies.clone())),
        Reason::Found(_) => None,
    };
    match refusals.iter_mut().find(|known| said(known).is_some() && said(known) == said(&refusal)) {
        Some(known) => {
            known.pids.extend(refusal.pids.iter().filter(|pid| !known.pids.contains(pid)).collect::<Vec<_>>());
        }
        None => refusals.push(refusal),
    }
}

/// Adds a holder, or what it holds to the same one.
fn add_holder(holder: Holder, plan: &mut Plan) {
    let stop = |keeper: &Keeper| match keeper {
        Keeper::Container(_, Some(known)) => Some(Stop::container(known)),
        keeper => keeper.stop_command().map(Stop::from),
    };
    if let Some(stop) = holder.keeper.as_ref().filter(|_| holder.is_stopped_by_keeper).and_then(stop) {
        add_stop(stop, plan);
    }
    match plan.holders.iter_mut().find(|known| known.pid == holder.pid) {
        Some(known) => {
            known.inodes.extend(holder.inodes.iter().filter(|inode| !known.inodes.contains(inode)).collect::<Vec<_>>());
            known.ports.extend(holder.ports.iter().filter(|port| !known.ports.contains(port)).collect::<Vec<_>>());
        }
        None => plan.holders.push(holder),
    }
}

fn add_stop(stop: Stop, plan: &mut Plan) {
    if !plan.stops.contains(&stop) {
        plan.stops.push(stop);
    }
}

/// Orders holders so that who forks the others comes before them, and does not do so again.
fn parents_first(holders: &mut [Holder], processes: &[Process]) {
    let members: Vec<Pid> = holders.iter().map(|holder| holder.pid).collect();
    let depth = |pid: Pid| {
        let ancestors = find_process(processes, pid).map(|process| process.ancestors.as_slice()).unwrap_or_default();
        ancestors.iter().filter(|ancestor| members.contains(&ancestor.pid)).count()
    };
    holders.sort_by_key(|holder| (depth(holder.pid), holder.pid));
}

#[cfg(test)]
mod tests;
