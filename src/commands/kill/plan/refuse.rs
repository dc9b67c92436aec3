//! Which processes are left alone, why, and what to do instead.

use super::{Holder, Planner, Reason, Refusal, Refused, Stop, is_remnant};
use crate::commands::kill::{Consent, Keeper, Restarter, Surroundings};
use crate::diagnose::{
    Facts, Finding, Group, PortReport, Remedy, RemedyKind, Severity, forwarded, is_airplay_receiver, remedy,
};
use crate::model::{
    Container, Forward, Forwarder, LeaseKind, Owners, Pid, Process, Protocol, Runtime, State, find_process,
};
use crate::supervisor;
use crate::supervisor::command::{self, Caller};

impl Planner<'_> {
    /// Why processes that hold the port may not be ended. If one may not, ending the others would
    /// not free the socket.
    pub(super) fn refuse(&self, port: &PortReport, group: &Group<'_>, pids: &[Pid]) -> Option<Refused> {
        if let (true, Some(&pid)) = (self.surroundings.reads_foreign_ids, pids.first()) {
            return Some(Refused::For(self.refuse_foreign(port, pids, pid)));
        }
        let mut processes = pids.iter().filter_map(|&pid| find_process(&self.diagnosis.processes, pid));
        if let Some(manager) = processes.find(|process| process.is_service_manager()) {
            return Some(self.socket_unit(port, group, manager));
        }
        let refusal = self.refuse_lease_daemon(port, pids).or_else(|| self.refuse_airplay(port, group, pids));
        if let Some(refusal) = refusal {
            return Some(Refused::For(refusal));
        }
        if let Some((process, forwarder)) = group.forwarder(&self.diagnosis.processes) {
            return Some(self.forwarder(port, group, process, forwarder));
        }
        let refusal = self.refuse_supervisor(port, pids).or_else(|| self.refuse_own(port, group, pids));
        refusal.map(Refused::For)
    }

    /// A process that keeps a port for a caller of `portcheck free` may keep other ports, too.
    fn refuse_lease_daemon(&self, port: &PortReport, pids: &[Pid]) -> Option<Refusal> {
        let lease = port.observed.lease.as_deref()?;
        if lease.kind == LeaseKind::Command || !pids.iter().all(|pid| lease.pids.contains(pid)) {
            return None;
        }
        let command = [&*self.request.program, "release", &lease.port.to_string()];
        let remedy = Remedy::run(RemedyKind::ReleaseLease, "release it", command);
        let reason = "keeps the port for a caller of portcheck free".to_owned();
        Some(Self::refusal(port, pids, self.name(*pids.first()?), reason, vec![remedy]))
    }

    fn refuse_airplay(&self, port: &PortReport, group: &Group<'_>, pids: &[Pid]) -> Option<Refusal> {
        if !is_airplay_receiver(&self.diagnosis.host, &self.diagnosis.processes, group.sockets[0]) {
            return None;
        }
        let reason = "receives AirPlay, and would be started again at once".to_owned();
        Some(Self::refusal(port, pids, self.name(*pids.first()?), reason, remedies_of(port, group)))
    }

    fn refuse_supervisor(&self, port: &PortReport, pids: &[Pid]) -> Option<Refusal> {
        let mut processes = pids.iter().filter_map(|&pid| find_process(&self.diagnosis.processes, pid));
        let daemon = processes.find_map(Restarter::supervisor)?;
        let reason = "is never ended itself: everything that it runs would end with it".to_owned();
        Some(Self::refusal(port, pids, self.name(daemon.pid), reason, vec![daemon.remedy()]))
    }

    /// The first process of a machine or container, portcheck, and what started portcheck.
    fn refuse_own(&self, port: &PortReport, group: &Group<'_>, pids: &[Pid]) -> Option<Refusal> {
        let Surroundings { own, ancestors, .. } = self.surroundings;
        let reason = |&pid: &Pid| match pid {
            1 => Some("is the first process here, and everything ends with it"),
            _ if pid == *own => Some("is portcheck itself, which inherited the socket"),
            _ if ancestors.contains(&pid) => Some("started portcheck"),
            _ => None,
        };
        let (&pid, reason) = pids.iter().find_map(|pid| Some((pid, reason(pid)?)))?;
        Some(Self::refusal(port, pids, self.name(pid), reason.to_owned(), remedies_of(port, group)))
    }

    /// A forwarder is never ended. At most, the container is stopped for which it holds the port.
    fn forwarder(&self, port: &PortReport, group: &Group<'_>, process: &Process, forwarder: Forwarder) -> Refused {
        let facts = self.diagnosis.facts(self.request, &port.observed);
        let mut remedies = forwarded::free_port(&facts, group, process, forwarder);
        let forward = group.sockets[0].forward.as_deref();
        if let Some(container) = forward.and_then(Forward::confirmed_container) {
            if self.options.supervisor {
                return Refused::InFavourOf(Stop::container(container));
            }
            remedies.push(remedy::let_portcheck_stop_it());
        }
        let (who, reason) = forwarded::why_never_ended(group, self.name(process.pid), process, forwarder);
        Refused::For(Self::refusal(port, group.owners.pids(), who, reason, remedies))
    }

    fn refuse_foreign(&self, port: &PortReport, pids: &[Pid], pid: Pid) -> Refusal {
        let reason = "cannot be signalled: /proc shows the processes of another pid namespace, so its id means another \
                      process here";
        let mount = ["mount", "-t", "proc", "proc", "/proc"];
        let remedy = Remedy::run(RemedyKind::FindHolder, "see the processes of this namespace", mount);
        Self::refusal(port, pids, self.name(pid), reason.to_owned(), vec![remedy])
    }

    /// A process that would come back is left alone, unless the user was asked, or the port is
    /// watched for long enough. With `--supervisor`, it is left to its supervisor.
    pub(super) fn refuse_kept(&self, port: &PortReport, holder: &Holder, pids: &[Pid]) -> Option<Refusal> {
        let is_sure = matches!(self.options.consent, Consent::Given(_));
        let is_in_vain = is_sure && holder.outlasts(self.options.settle);
        let is_left_to_keeper = self.options.supervisor && holder.noticed_within().is_some();
        let keeper = holder.keeper.as_ref().filter(|_| is_in_vain || is_left_to_keeper)?;
        let reason = match keeper {
            Keeper::Container(Container { runtime: Runtime::Docker | Runtime::Podman, .. }, None)
                if self.options.supervisor =>
            {
                format!("seems to run in {}, but no engine of yours confirms that", keeper.name())
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

    /// The others in its group are left alone with it: their parent would fork them again.
    pub(super) fn refuse_untouchable(&self, port: &PortReport, holder: &Holder, facts: &Facts<'_>) -> Option<Refusal> {
        if holder.is_stopped_by_keeper || !self.surroundings.untouchable.contains(&holder.pid) {
            return None;
        }
        let user = holder.user.as_ref().map(|user| format!(" of user {user}")).unwrap_or_default();
        let reason = format!("is a process{user} that you may not signal");
        let command = remedy::as_root(facts.kill());
        let remedy = Remedy::run(RemedyKind::EndProcess, "end all that hold the port", command);
        Some(Self::refusal(port, &[holder.pid], self.name(holder.pid), reason, vec![remedy]))
    }

    /// A service manager listens for a socket unit (systemd.socket(5)). It is never ended, and
    /// stopping the service alone would not free the port. So the unit is stopped, or named.
    fn socket_unit(&self, port: &PortReport, group: &Group<'_>, manager: &Process) -> Refused {
        let unit = group.sockets[0].activated_by.as_ref().map(|unit| unit.seen_by(self.diagnosis.host.euid));
        let unit = unit.as_ref();
        // The services to which it has passed the socket.
        let others = group.owners.pids().iter().filter_map(|&pid| find_process(&self.diagnosis.processes, pid));
        let services = others.filter_map(|process| process.unit.as_ref().filter(|unit| supervisor::is_service(unit)));
        let names = unit.into_iter().chain(services).map(|unit| unit.name.as_str());
        let stop = unit.and_then(|unit| command::stop_units(unit, names, Caller::Portcheck));
        if let Some(stop) = stop.clone().filter(|_| self.options.supervisor) {
            return Refused::InFavourOf(stop.into());
        }
        let name = unit.map_or("a socket unit", |unit| &unit.name);
        let reason = format!("listens for {name}, and is never ended itself");
        let mut remedies = remedies_of(port, group);
        if stop.is_some() {
            remedies.push(remedy::let_portcheck_stop_it());
        }
        Refused::For(Self::refusal(port, group.owners.pids(), self.name(manager.pid), reason, remedies))
    }

    /// Why processes are left alone that were not seen to hold the port, or hold it only by a
    /// connection.
    pub(super) fn why_not(&self, port: &PortReport, group: &Group<'_>, facts: &Facts<'_>) -> Refusal {
        let pids = group.owners.pids();
        let mut remedies = remedies_of(port, group);
        let (who, reason) = match &*group.owners {
            Owners::Known(_) => {
                remedies.insert(0, remedy::end_client(facts));
                (group.holder(&self.diagnosis.processes), "holds the port only by a connection".to_owned())
            }
            Owners::Partial { reason, .. } => {
                (group.holder(&self.diagnosis.processes), format!("cannot be ended alone: {reason}"))
            }
            Owners::Likely { reason, .. } => (
                group.holder(&self.diagnosis.processes),
                format!("is only a likely holder, and is never signalled on a guess: {reason}"),
            ),
            Owners::Hidden { reason } => {
                (group.holder(&self.diagnosis.processes), format!("cannot be seen, so it cannot be ended: {reason}"))
            }
            Owners::Kernel => ("the kernel".to_owned(), "holds it itself: there is no process to end".to_owned()),
            Owners::None | Owners::NotAsked => {
                let are_remnants = group.sockets.iter().all(|socket| is_remnant(socket));
                if are_remnants && port.observed.protocol == Protocol::Tcp && !self.options.remnants {
                    remedies.extend(remedy::drop_remnants(facts));
                }
                let closed = if are_remnants { "closed " } else { "" };
                let (noun, holds) = match group.sockets.len() {
                    1 => ("connection", "holds"),
                    _ => ("connections", "hold"),
                };
                let who = format!("{} {closed}{noun}", group.sockets.len());
                (who, format!("{holds} it{}: there is no process to end", states(group)))
            }
        };
        Self::refusal(port, pids, who, reason, remedies)
    }

    /// Nobody was seen on the port. The worst finding is the reason.
    pub(super) fn refuse_without_holder(port: &PortReport) -> Option<Refusal> {
        let worst = port.verdict.findings.iter().find(|finding| finding.severity <= Severity::Unknown)?;
        Some(Refusal {
            port: port.observed.port,
            protocol: port.observed.protocol,
            pids: Vec::new(),
            reason: Reason::Found(Box::new(worst.statement.clone())),
            keeper: None,
            remedies: worst.remedies.clone(),
        })
    }

    /// Processes that could be ended, beside others that could not.
    pub(super) fn refuse_the_others(port: &PortReport, holders: &[Holder]) -> Option<Refusal> {
        let first = holders.first()?;
        let pids: Vec<Pid> = holders.iter().map(|holder| holder.pid).collect();
        let who = format!("{} (pid {})", first.name, first.pid);
        let reason = "is left alone, too: ending it would not free the port".to_owned();
        Some(Self::refusal(port, &pids, who, reason, Vec::new()))
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
}

/// ` for 43 s more (TIME_WAIT)`, if the kernel reports it.
fn states(group: &Group<'_>) -> String {
    let is_time_wait = group.sockets.iter().all(|socket| socket.state == State::TimeWait);
    let timers = group.sockets.iter().filter_map(|socket| socket.timer);
    let left = timers.map(|timer| timer.expires_in_ms.div_ceil(1000)).max();
    match (is_time_wait, left) {
        (true, Some(left)) => format!(" for {left} s more (TIME_WAIT)"),
        (false, Some(left)) => format!(", usually for {left} s more"),
        (_, None) => String::new(),
    }
}

/// The remedies of the diagnosis for a group.
fn remedies_of(port: &PortReport, group: &Group<'_>) -> Vec<Remedy> {
    let is_about = |finding: &&Finding| finding.severity <= Severity::Warning && finding.pids == group.owners.pids();
    let all = port.verdict.findings.iter().filter(is_about).flat_map(|finding| &finding.remedies);
    remedy::each_once(all).into_iter().cloned().collect()
}
