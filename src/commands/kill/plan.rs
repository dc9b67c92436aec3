//! Turns a diagnosis into a plan. Pure.
//!
//! Only processes that were *seen* to have a socket are ever signalled. The decision is for a port
//! as a whole: if one holder may not be ended, ending the others would not free the port.

mod refuse;

use std::time::Duration;

use super::Surroundings;
use super::keepers::Keepers;
use super::{Keeper, Options, Returns};
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Facts, Group, PortReport, Remedy, Statement, Status, groups};
use crate::model::{EngineContainer, Owners, Pid, Process, Protocol, Socket, State, find_process};
use crate::request::Request;
use crate::supervisor::command::{self, Caller};

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Processes to end, parents before their children.
    pub holders: Vec<Holder>,
    /// Supervisors' tools to be run first.
    pub stops: Vec<Stop>,
    /// Remnants of connections to drop.
    pub remnants: Vec<Socket>,
    /// Processes that are left alone, and why.
    pub refusals: Vec<Refusal>,
}

/// A supervisor's tool to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it stops, if the command has only an id: `container web of Docker`.
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

/// A process to end.
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
    /// The sockets by which it holds them.
    pub inodes: Vec<u64>,
    /// What starts it again.
    pub keeper: Option<Keeper>,
    /// When it is started again.
    pub returns: Returns,
    /// Whether its supervisor stops it, so it gets no signal.
    pub is_stopped_by_keeper: bool,
    /// The ports that it waits on besides those that were asked about.
    pub also_holds: Vec<(u16, Protocol)>,
    /// How many clients are connected to it. `None` if unknown.
    pub clients: Option<usize>,
}

/// Processes that are left alone.
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
    /// What would start them again, if that is the reason.
    pub keeper: Option<Keeper>,
    /// What can be done instead.
    pub remedies: Vec<Remedy>,
}

/// Why processes are left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Their name, such as `sshd (pid 812)`, and the rest of a sentence about them.
    Said(String, String),
    /// What the diagnosis found of the port.
    Found(Box<Statement>),
}

impl Holder {
    /// How long its port must be watched to notice that it comes back. `None` if it does not.
    pub fn noticed_within(&self) -> Option<Duration> {
        self.returns.noticed_within().filter(|_| !self.is_stopped_by_keeper)
    }

    /// Whether it may come back after the port is no longer watched.
    pub fn outlasts(&self, settle: Duration) -> bool {
        self.noticed_within().is_some_and(|needed| settle < needed)
    }
}

impl Plan {
    /// Whether processes on this port are left alone, so nothing is done about it.
    pub fn refuses(&self, port: u16, protocol: Protocol) -> bool {
        self.refusals.iter().any(|refusal| (refusal.port, refusal.protocol) == (port, protocol))
    }

    /// Whether no process was seen on any port that is left alone. Then a bind fails for another
    /// reason.
    pub fn has_nobody_to_end(&self) -> bool {
        self.holders.is_empty() && self.refusals.iter().all(|refusal| matches!(refusal.reason, Reason::Found(_)))
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.stops.is_empty() && self.remnants.is_empty()
    }
}

/// Derives the plan for the ports that the diagnosis found held.
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

/// What happens to processes that are not signalled.
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
        let is_waiting = |group: &Group<'_>| group.sockets[0].state.is_waiting();
        let is_explained = groups.iter().any(is_waiting);
        let mut own = Plan::default();
        for group in &groups {
            let is_settled = self.add_group(port, group, &facts, &mut own);
            // A listener explains the conflict. Its connections end with it, or are named
            // afterwards.
            if !is_settled && (is_waiting(group) || !is_explained) {
                own.refusals.push(self.why_not(port, group, &facts));
            }
        }
        if groups.is_empty() {
            own.refusals.extend(Self::refuse_without_holder(port));
        }
        if own.refusals.is_empty() {
            plan.remnants.append(&mut own.remnants);
            own.stops.into_iter().for_each(|stop| add_stop(stop, plan));
            own.holders.into_iter().for_each(|holder| add_holder(holder, plan));
        } else {
            own.refusals.extend(Self::refuse_the_others(port, &own.holders));
            plan.refusals.append(&mut own.refusals);
        }
    }

    /// Adds what to do about one group of sockets, if its processes can be ended or its sockets
    /// dropped.
    fn add_group(&self, port: &PortReport, group: &Group<'_>, facts: &Facts<'_>, own: &mut Plan) -> bool {
        match &*group.owners {
            Owners::Known(pids) if group.sockets[0].state.is_waiting() || self.options.clients => {
                match self.refuse(port, group, pids) {
                    Some(Refused::For(refusal)) => add_refusal(refusal, &mut own.refusals),
                    Some(Refused::InFavourOf(stop)) => own.stops.push(stop),
                    None => self.add_holders(port, group, facts, own),
                }
                true
            }
            Owners::None if self.options.remnants => {
                let remnants = group.sockets.iter().filter(|socket| is_remnant(socket));
                own.remnants.extend(remnants.map(|&socket| socket.clone()));
                true
            }
            _ => false,
        }
    }

    fn add_holders(&self, port: &PortReport, group: &Group<'_>, facts: &Facts<'_>, own: &mut Plan) {
        let pids = group.owners.pids();
        let found: Vec<Holder> = pids.iter().map(|&pid| self.holder(port, group, pid)).collect();
        let refuse = |holder: &Holder| {
            self.refuse_kept(port, holder, pids).or_else(|| self.refuse_untouchable(port, holder, facts))
        };
        match found.iter().find_map(refuse) {
            Some(refusal) => own.refusals.push(refusal),
            None => own.holders.extend(found),
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
            also_holds: process.map(|process| process.also_holds.clone()).unwrap_or_default(),
            clients: process.and_then(|process| process.clients),
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

/// Whether a socket is a remnant: no process has it, and only the kernel's timers end it.
pub fn is_remnant(socket: &Socket) -> bool {
    socket.protocol == Protocol::Tcp
        && socket.owners == Owners::None
        && matches!(
            socket.state,
            State::TimeWait | State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing | State::CloseWait
        )
}

/// Adds a refusal, or adds its processes to an equal one: docker-proxy has a process for each
/// family.
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

/// Adds a holder, or adds what it holds to the same holder.
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

/// Orders holders so that parents come before their children, and fork no more of them.
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
