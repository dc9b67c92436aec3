//! Remedies that several rules offer: ending a holder, seeing a hidden one, keeping a port out of
//! the ephemeral range, dropping remnants.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Facts, Group, Remedy, forwarded};
use crate::model::{Container, Forwarder, Gap, Manager, Owners, Process, Socket, Unit};
use crate::port_set::PortSet;
use crate::request::Purpose;
use crate::supervisor;
use crate::supervisor::command::{self, Caller};

/// How to end the holder of a group of sockets. If it has a supervisor, by the supervisor's
/// command, since the supervisor would start it again.
pub fn end_holder<'a>(facts: &Facts<'a>, group: &Group<'a>) -> Vec<Remedy> {
    if let Some((process, forwarder)) = group.forwarder(facts.processes) {
        return forwarded::free_port(facts, group, process, forwarder);
    }
    let pids = group.owners.pids();
    let leader = pids.first().and_then(|&pid| facts.process(pid));
    let by_other_means = leader.and_then(|leader| stop_supervisor(facts, leader));
    let mut remedies: Vec<Remedy> = by_other_means.into_iter().collect();
    match group.owners {
        Owners::Known(_) if remedies.is_empty() && pids.first().is_some_and(|&pid| pid != 1) => {
            remedies.extend((facts.purpose == Purpose::Reading).then(|| end(facts, group, leader)));
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
    let place = |socket: &'a Socket| {
        let is_link_local = matches!(socket.local.ip(), IpAddr::V6(address) if address.is_unicast_link_local());
        (socket.local.ip(), socket.device.as_deref().filter(|_| is_link_local))
    };
    let own: BTreeSet<(IpAddr, Option<&str>)> = group.sockets.iter().map(|&socket| place(socket)).collect();
    let overlaps = |other: &&Socket| own.iter().any(|&(address, _)| other.overlaps(address));
    // All holders of the port are ended. If addresses distinguish them, only this one.
    let (text, call) = if others.is_empty() {
        let text = if group.owners.pids().len() == 1 { "end it" } else { "end all of them" };
        (text.to_owned(), facts.call())
    } else if !is_waiting || others.iter().any(overlaps) {
        ("end all that hold the port".to_owned(), facts.call())
    } else {
        (format!("end {}", group.holder(facts.processes)), facts.call_on(own))
    };
    let clients = if is_waiting { "" } else { " --clients" };
    let command = format!("{}{call} --kill{clients}", sudo(facts, leader));
    Remedy { text, command: Some(command) }
}

/// Ends the holder of a connection, which may be doing something else entirely.
pub fn end_client(facts: &Facts<'_>) -> Remedy {
    Remedy { text: "end it all the same".to_owned(), command: Some(format!("{} --kill --clients", facts.call())) }
}

/// How to see a hidden holder, if root would see it.
pub fn see_holder(facts: &Facts<'_>) -> Option<Remedy> {
    see(facts, "see who it is")
}

fn see(facts: &Facts<'_>, text: &str) -> Option<Remedy> {
    let would_show = facts.gaps.iter().any(Gap::hides_owners_from_us_only);
    let ask = facts.call();
    would_show.then(|| match facts.host.os {
        "windows" => Remedy { text: format!("{text}, in an elevated prompt"), command: Some(ask) },
        _ => Remedy { text: text.to_owned(), command: Some(format!("sudo {ask}")) },
    })
}

/// `sudo `, if the process is not the reader's own.
fn sudo(facts: &Facts<'_>, process: Option<&Process>) -> &'static str {
    let own = match (facts.host.euid, process.and_then(|process| process.uid)) {
        (Some(0), _) => true,
        (Some(euid), Some(uid)) => euid == uid,
        _ => true,
    };
    if own { "" } else { "sudo " }
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
    let command = command::stop_container(container).and_then(|command| command::typed(&command));
    if command.is_some() {
        return Remedy { text: "stop its container".to_owned(), command };
    }
    let (runtime, id) = (container.runtime.into_str(), container.short_id());
    // Kubernetes starts the containers of a pod again, so it must stop them.
    let pod = container.pod.as_deref().map(|pod| format!(" of pod {pod}")).unwrap_or_default();
    let by = container.user.map_or_else(|| "by what started it".to_owned(), |user| format!("as its user (uid {user})"));
    Remedy { text: format!("stop the {runtime} container {id}{pod} {by}"), command: None }
}

/// Stops a unit of systemd, which is called `what`: `its service`. It is named where no command can be offered.
pub fn stop_unit(what: &str, unit: &Unit) -> Remedy {
    let stop = command::stop_units(unit, [&*unit.name], Caller::Reader);
    match stop.and_then(|stop| command::typed(&stop)) {
        Some(command) => Remedy { text: format!("stop {what}"), command: Some(command) },
        None => Remedy { text: format!("stop {what}, {}", unit.name), command: None },
    }
}

/// The command that lets a frozen process run again.
pub fn thaw(process: &Process) -> Option<String> {
    let thaw = match (&process.container, &process.unit) {
        (Some(container), _) => command::unpause_container(container),
        (None, Some(unit)) if unit.manager == Manager::System && unit.name.ends_with(".service") => {
            command::thaw_unit(unit)
        }
        _ => None,
    };
    thaw.and_then(|thaw| command::typed(&thaw)).or_else(|| {
        let file = process.frozen_cgroup.as_ref()?.join("cgroup.freeze");
        Some(format!("echo 0 | sudo tee {}", quote(file.to_str()?)?))
    })
}

/// How to keep the kernel from giving the port to clients: a better port, or the setting with the
/// ports that it has already.
pub fn keep_out_of_range(facts: &Facts<'_>) -> Vec<Remedy> {
    let Some((first, last)) = facts.host.ephemeral_range.filter(|_| facts.host.picks_by_itself(facts.observed.port))
    else {
        return Vec::new();
    };
    let mut remedies = vec![Remedy {
        text: format!("take a port outside {first}-{last}, the range that outgoing connections get theirs from"),
        command: None,
    }];
    let own = [(facts.observed.port, facts.observed.port)];
    match facts.host.os {
        "linux" => {
            let reserved: PortSet = facts.host.reserved_ports.ranges().iter().copied().chain(own).collect();
            remedies.push(Remedy {
                text: "keep the port from being given out again".to_owned(),
                command: Some(format!("sudo sysctl net.ipv4.ip_local_reserved_ports={reserved}")),
            });
        }
        "windows" => remedies.push(Remedy {
            text: "keep the port from being given out again, in an elevated prompt".to_owned(),
            command: Some(format!(
                "netsh interface ipv4 add excludedportrange protocol={} startport={} numberofports=1",
                facts.observed.protocol, facts.observed.port
            )),
        }),
        _ => {}
    }
    remedies
}

/// The same as [`drop_remnants`], unless the ports are being freed.
pub fn offer_to_drop_remnants(facts: &Facts<'_>) -> Option<Remedy> {
    drop_remnants(facts).filter(|_| facts.purpose == Purpose::Reading)
}

/// How root drops remnants of connections, for which there is no process to ask (`SOCK_DESTROY`).
/// Linux only.
pub fn drop_remnants(facts: &Facts<'_>) -> Option<Remedy> {
    let sudo = if facts.host.euid == Some(0) { "" } else { "sudo " };
    let command = format!("{sudo}{} --kill --remnants", facts.call());
    (facts.host.os == "linux").then(|| Remedy { text: "drop it at once".to_owned(), command: Some(command) })
}

/// `None` for a name that cannot be passed to a shell.
pub fn quote(name: &str) -> Option<String> {
    shlex::try_quote(name).ok().map(std::borrow::Cow::into_owned)
}
