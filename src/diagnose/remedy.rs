//! What to do about a finding, and the remedies that several rules offer: ending a holder, seeing a
//! hidden one, keeping a port out of the ephemeral range, dropping remnants.

use std::collections::BTreeSet;
use std::iter;
use std::net::IpAddr;

use super::{Facts, Group, forwarded};
use crate::classify::forwards::Program;
use crate::model::{Container, Forwarder, Gap, Manager, Owners, Process, Socket, Unit};
use crate::port_set::PortSet;
use crate::supervisor;
use crate::supervisor::command::{self, Caller};

/// What a remedy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
#[non_exhaustive]
pub enum RemedyKind {
    /// Ends processes.
    EndProcess,
    /// Stops a unit of systemd, or a service of Windows.
    StopService,
    /// Stops a container.
    StopContainer,
    /// Stops a supervisor, watcher, tunnel or other program in its own way.
    StopProgram,
    /// Lets a stopped or frozen process run again.
    ResumeProcess,
    /// Shows who holds the port, or more of them.
    FindHolder,
    /// Gives a leased port back.
    ReleaseLease,
    /// Drops what is left of connections.
    DropRemnants,
    /// Changes a setting or device of the machine, or the rights of the caller.
    ChangeSetting,
    /// Changes the server.
    ChangeServer,
    /// Takes another port or address.
    TakeAnother,
    /// Waits.
    Wait,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remedy {
    /// What it does.
    pub kind: RemedyKind,
    /// The same in words. What follows "to", if there is a command.
    pub text: String,
    /// The exact command, as words, if there is one.
    pub command: Option<Vec<String>>,
}

impl Remedy {
    /// One for which there is no command.
    pub fn advice(kind: RemedyKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), command: None }
    }

    /// A command.
    pub fn run<W: Into<String>>(kind: RemedyKind, text: &str, command: impl IntoIterator<Item = W>) -> Self {
        Self { kind, text: text.to_owned(), command: Some(command.into_iter().map(Into::into).collect()) }
    }
}

/// Remedies without those that are there already, which several findings offer.
pub fn each_once<'a>(remedies: impl IntoIterator<Item = &'a Remedy>) -> Vec<&'a Remedy> {
    let mut kept: Vec<&Remedy> = Vec::new();
    for remedy in remedies {
        if !kept.contains(&remedy) {
            kept.push(remedy);
        }
    }
    kept
}

/// How to end the holder of a group of sockets. If it has a supervisor, by the supervisor's
/// command, since the supervisor would start it again.
pub fn end_holder<'a>(facts: &Facts<'a>, group: &Group<'a>) -> Vec<Remedy> {
    if let Some((process, forwarder)) = group.forwarder(facts.processes) {
        return forwarded::free_port(facts, group, process, forwarder);
    }
    let pids = group.owners.pids();
    let leader = pids.first().and_then(|&pid| facts.process(pid));
    let by_other_means = leader.and_then(|leader| stop_supervisor(facts, leader));
    // Most holders have one.
    let mut remedies = Vec::with_capacity(1);
    remedies.extend(by_other_means);
    match &*group.owners {
        Owners::Known(_) if remedies.is_empty() && pids.first().is_some_and(|&pid| pid != 1) => {
            remedies.push(end(facts, group, leader));
        }
        Owners::Partial { .. } => remedies.extend(see(facts, "see all of them")),
        Owners::Hidden { .. } => remedies.extend(stop_hidden(facts, group)),
        _ => {}
    }
    remedies
}

/// Ends the holder with portcheck itself, which looks again at who that is. A printed pid may
/// belong to another process by the time it is typed.
fn end<'a>(facts: &Facts<'a>, group: &Group<'a>, leader: Option<&Process>) -> Remedy {
    let is_waiting = group.sockets[0].state.is_waiting();
    let is_another = |socket: &&Socket| {
        let counts = if is_waiting { socket.state.is_waiting() } else { !socket.owners.pids().is_empty() };
        socket.owners != *group.owners && counts
    };
    let others: Vec<&Socket> = facts.obstacles().filter(is_another).collect();
    let overlaps = |other: &&Socket| group.sockets.iter().any(|socket| other.overlaps(socket.local.ip()));
    // All holders of the port are ended. If addresses distinguish them, only this one.
    let (text, mut command) = if others.is_empty() {
        let is_one = group.owners.pids().len() == 1;
        (if is_one { end_it(leader) } else { "end all of them".to_owned() }, facts.kill())
    } else if !is_waiting || others.iter().any(overlaps) {
        ("end all that hold the port".to_owned(), facts.kill())
    } else {
        (format!("end {}", group.holder(facts.processes)), facts.kill_on(places(group)))
    };
    command.splice(..0, sudo(facts, leader));
    command.extend((!is_waiting).then(|| "--clients".to_owned()));
    Remedy::run(RemedyKind::EndProcess, &text, command)
}

/// The addresses of a group, each with its interface if it needs one.
fn places<'a>(group: &Group<'a>) -> BTreeSet<(IpAddr, Option<&'a str>)> {
    let place = |socket: &&'a Socket| {
        let is_link_local = matches!(socket.local.ip(), IpAddr::V6(address) if address.is_unicast_link_local());
        (socket.local.ip(), socket.device.as_deref().filter(|_| is_link_local))
    };
    group.sockets.iter().map(place).collect()
}

/// To end a process, and with it all its forwards.
fn end_it(process: Option<&Process>) -> String {
    const NUMBERS: [&str; 10] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    match process.and_then(Program::of).map_or(0, |program| program.each_once().len()) {
        0 | 1 => "end it".to_owned(),
        2 => "end it (this ends both forwards)".to_owned(),
        count => match NUMBERS.get(count) {
            Some(number) => format!("end it (this ends all {number} forwards)"),
            None => format!("end it (this ends all {count} forwards)"),
        },
    }
}

/// Ends the holder of a connection, which may be doing something else entirely.
pub fn end_client(facts: &Facts<'_>) -> Remedy {
    let sudo = facts.observed.namespace.as_ref().and_then(|_| sudo(facts, None));
    let command = sudo.into_iter().chain(facts.kill()).chain(["--clients".to_owned()]);
    Remedy::run(RemedyKind::EndProcess, "end it all the same", command)
}

/// Has portcheck run the tool that stops a supervised holder.
pub fn let_portcheck_stop_it() -> Remedy {
    Remedy::advice(RemedyKind::StopProgram, "let portcheck stop it: add --supervisor")
}

/// How to see a hidden holder, if root would see it.
pub fn see_holder(facts: &Facts<'_>) -> Option<Remedy> {
    see(facts, "see who it is")
}

fn see(facts: &Facts<'_>, text: &str) -> Option<Remedy> {
    let would_show = facts.gaps.iter().any(Gap::hides_owners_from_us_only);
    would_show.then(|| match facts.host.os {
        "windows" => Remedy::run(RemedyKind::FindHolder, &format!("{text}, in an elevated prompt"), facts.check()),
        _ => Remedy::run(RemedyKind::FindHolder, text, as_root(facts.check())),
    })
}

/// The command, run by root.
pub fn as_root(command: Vec<String>) -> impl Iterator<Item = String> {
    iter::once("sudo".to_owned()).chain(command)
}

/// `sudo`, if the process is not the reader's own.
fn sudo(facts: &Facts<'_>, process: Option<&Process>) -> Option<String> {
    // Only root may enter another network namespace.
    if facts.observed.namespace.is_some() {
        return (facts.host.euid != Some(0)).then(|| "sudo".to_owned());
    }
    let own = match (facts.host.euid, process.and_then(|process| process.uid)) {
        (Some(0), _) => true,
        (Some(euid), Some(uid)) => euid == uid,
        _ => true,
    };
    (!own).then(|| "sudo".to_owned())
}

fn stop_supervisor(facts: &Facts<'_>, process: &Process) -> Option<Remedy> {
    let known = process.engine_container.as_deref().map(forwarded::stop_known);
    known.or_else(|| stop(facts, process.container.as_ref(), process.unit.as_ref()))
}

fn stop_hidden(facts: &Facts<'_>, group: &Group<'_>) -> Option<Remedy> {
    let found = supervisor::of_cgroup(group.sockets.first()?.cgroup.as_deref()?);
    stop(facts, found.container.as_ref(), found.unit.as_ref())
}

fn stop(facts: &Facts<'_>, container: Option<&Container>, unit: Option<&Unit>) -> Option<Remedy> {
    let service = unit.filter(|unit| supervisor::is_service(unit));
    if let Some(Forwarder::Engine(runtime)) =
        unit.filter(|_| container.is_none()).and_then(|unit| Forwarder::of_unit(&unit.name))
    {
        return Some(forwarded::find_container(runtime, None, facts));
    }
    container
        .map(|container| stop_container(&container.seen_by(facts.host.euid)))
        .or_else(|| service.map(|unit| stop_unit("its service", &unit.seen_by(facts.host.euid))))
}

/// Stops a container by the tool of its runtime, if that can.
pub fn stop_container(container: &Container) -> Remedy {
    if let Some(command) = command::stop_container(container) {
        return Remedy::run(RemedyKind::StopContainer, "stop its container", command);
    }
    let (runtime, id) = (container.runtime.into_str(), container.short_id());
    // Kubernetes starts the containers of a pod again, so it must stop them.
    let pod = container.pod.as_deref().map(|pod| format!(" of pod {pod}")).unwrap_or_default();
    let by = container
        .user
        .map_or_else(|| "with the tool that started it".to_owned(), |user| format!("as its user (uid {user})"));
    Remedy::advice(RemedyKind::StopContainer, format!("stop the {runtime} container {id}{pod} {by}"))
}

/// Stops a unit of systemd, which is called `what`: `its service`. It is named where no command can
/// be offered.
pub fn stop_unit(what: &str, unit: &Unit) -> Remedy {
    match command::stop_units(unit, [&*unit.name], Caller::Reader) {
        Some(command) => Remedy::run(RemedyKind::StopService, &format!("stop {what}"), command),
        None => Remedy::advice(RemedyKind::StopService, format!("stop {what}, {}", unit.name)),
    }
}

/// Lets a frozen process run again.
pub fn thaw(process: &Process) -> Remedy {
    let command = match (&process.container, &process.unit) {
        (Some(container), _) => command::unpause_container(container),
        (None, Some(unit)) if unit.manager == Manager::System && unit.name.ends_with(".service") => {
            command::thaw_unit(unit)
        }
        _ => None,
    };
    let command = command.or_else(|| {
        let file = process.frozen_cgroup.as_ref()?.join("cgroup.freeze");
        let write = format!("echo 0 >{}", shlex::try_quote(file.to_str()?).ok()?);
        Some(["sudo", "sh", "-c", &write].map(str::to_owned).to_vec())
    });
    Remedy { kind: RemedyKind::ResumeProcess, text: "thaw its cgroup".to_owned(), command }
}

/// How to keep the kernel from giving the port to clients: a better port, or the setting with the
/// ports that it has already.
pub fn keep_out_of_range(facts: &Facts<'_>) -> Vec<Remedy> {
    let Some((first, last)) = facts.host.ephemeral_range.filter(|_| facts.host.picks_by_itself(facts.observed.port))
    else {
        return Vec::new();
    };
    // A setting would be that of our own network namespace.
    let os = if facts.observed.namespace.is_some() { "" } else { facts.host.os };
    let outside = format!("take a port outside {first}-{last}, the range of outgoing connections");
    let mut remedies = vec![Remedy::advice(RemedyKind::TakeAnother, outside)];
    let own = [(facts.observed.port, facts.observed.port)];
    match os {
        "linux" => {
            let reserved: PortSet = facts.host.reserved_ports.ranges().iter().copied().chain(own).collect();
            let setting = format!("net.ipv4.ip_local_reserved_ports={reserved}");
            let text = "reserve the port, so that no outgoing connection gets it";
            remedies.push(Remedy::run(RemedyKind::ChangeSetting, text, ["sudo", "sysctl", &*setting]));
        }
        "windows" => {
            let text = "reserve the port, in an elevated prompt, so that no outgoing connection gets it";
            remedies.push(Remedy::run(RemedyKind::ChangeSetting, text, set_aside(facts)));
        }
        _ => {}
    }
    remedies
}

/// Keeps the port from what Windows and its drivers take by themselves.
pub fn set_aside(facts: &Facts<'_>) -> Vec<String> {
    let (protocol, port) = (facts.observed.protocol, facts.observed.port);
    let range = [format!("protocol={protocol}"), format!("startport={port}"), "numberofports=1".to_owned()];
    ["netsh", "interface", "ipv4", "add", "excludedportrange"].map(str::to_owned).into_iter().chain(range).collect()
}

/// How root drops remnants of connections, for which there is no process to ask (`SOCK_DESTROY`).
/// Linux only.
pub fn drop_remnants(facts: &Facts<'_>) -> Option<Remedy> {
    let sudo = (facts.host.euid != Some(0)).then(|| "sudo".to_owned());
    let command = sudo.into_iter().chain(facts.kill()).chain(["--remnants".to_owned()]);
    (facts.host.os == "linux").then(|| Remedy::run(RemedyKind::DropRemnants, "drop it at once", command))
}
