//! The rows of a listing, for every format that has rows: a process on a port, with all the
//! addresses it has there.

use std::borrow::Cow;

use super::Style;
use crate::classify::Exposure;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::list::order::{Listed, compare};
use crate::diagnose::{Group, Observed, PortReport, Status, groups, published};
use crate::model::{Container, EngineContainer, Manager, Owners, Process, Protocol, Socket, State, Unit, find_process};
use crate::request::Column;
use crate::supervisor::{self, Supervisor};

/// A row: text that is not yet escaped.
#[derive(Debug)]
pub struct Row<'a> {
    /// The port and protocol it belongs to.
    pub port: &'a PortReport,
    /// The status there: a port that is free here may be held in another network namespace.
    pub status: Status,
    /// The local addresses, without the port.
    pub addresses: Vec<String>,
    /// The state of the sockets; several if they differ.
    pub states: Vec<&'static str>,
    /// The peer of a connection.
    pub peer: Option<String>,
    /// How far the widest of the addresses can be reached.
    pub exposure: Exposure,
    /// The leader's name.
    pub process: Option<String>,
    /// The owners, the leader first, and how sure they are.
    pub owners: Cow<'a, Owners>,
    /// The user of the leader, or of the socket.
    pub user: Option<String>,
    /// The unit or container.
    pub supervisor: Option<String>,
    /// The leader's command line.
    pub command: &'a [String],
    /// What the network namespace is called, if it is not our own.
    pub namespace: Option<String>,
    /// What the port is held for: `container shop-web-1 (compose project shop, service web)`.
    pub held_for: Option<String>,
    /// The sockets that it stands for, at least one.
    pub sockets: Vec<&'a Socket>,
}

/// The addresses in the row of a port without any holder: those asked about.
pub fn asked(port: &PortReport) -> Vec<String> {
    port.observed.addresses.iter().map(ToString::to_string).collect()
}

impl Listed for Row<'_> {
    fn port(&self) -> &Observed {
        &self.port.observed
    }

    fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().copied()
    }
}

/// The rows of an answer, in the order that was asked for. With connections, each socket has a row
/// of its own.
pub fn rows<'a>(diagnosis: &'a Diagnosis, style: &Style) -> Vec<Row<'a>> {
    let rows = diagnosis.ports.iter().flat_map(|port| rows_of(port, &diagnosis.processes, style));
    let mut rows: Vec<Row<'a>> = rows.collect();
    rows.sort_by(|a, b| compare(style.order, a, b, &diagnosis.processes));
    rows
}

/// The same with their ports, of which some may have no row: those that belong together, and come
/// after each other.
pub fn with_ports<'a>(diagnosis: &'a Diagnosis, style: &Style) -> Vec<(&'a PortReport, Vec<Row<'a>>)> {
    match style.order.column {
        Column::Port => diagnosis.ports.iter().map(|port| (port, rows_of(port, &diagnosis.processes, style))).collect(),
        _ => rows(diagnosis, style).into_iter().map(|row| (row.port, vec![row])).collect(),
    }
}

/// The rows of one port.
pub fn rows_of<'a>(port: &'a PortReport, processes: &'a [Process], style: &Style) -> Vec<Row<'a>> {
    if style.connections {
        return port.observed.everywhere().map(|socket| row(port, &Group::of(socket), processes)).collect();
    }
    let sockets = port.observed.shown_sockets().chain(&port.observed.elsewhere);
    groups(sockets).iter().map(|group| row(port, group, processes)).collect()
}

/// Who has a port, in a few words: `node, pid 9937`.
pub fn holder_in_brief(port: &PortReport, processes: &[Process]) -> String {
    let rows = rows_of(port, processes, &Style::default());
    let Some(row) = rows.into_iter().next() else { return String::new() };
    let process = row.process.as_ref().zip(row.owners.pids().first());
    let process = process.map(|(name, pid)| format!("{name}, pid {pid}"));
    let user = || row.user.map(|user| format!("a process of {user}"));
    row.held_for.or(process).or(row.supervisor).or_else(user).unwrap_or_default()
}

fn row<'a>(port: &'a PortReport, group: &Group<'a>, processes: &'a [Process]) -> Row<'a> {
    let first = group.sockets[0];
    let is_elsewhere = port.observed.elsewhere.iter().any(|socket| std::ptr::eq(socket, first));
    let leader = group.owners.pids().first().and_then(|&pid| find_process(processes, pid));
    let mut addresses: Vec<String> = Vec::new();
    let mut states = Vec::new();
    for socket in &group.sockets {
        let address = address(socket);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        if !states.contains(&socket.state.into_str()) {
            states.push(socket.state.into_str());
        }
    }
    let user = leader.and_then(|process| process.user.clone().or_else(|| process.uid.map(|uid| uid.to_string())));
    Row {
        port,
        status: if is_elsewhere { Status::Held } else { port.verdict.status },
        addresses,
        states,
        peer: first.remote.map(|peer| peer.to_string()),
        exposure: group.sockets.iter().map(|socket| Exposure::of(socket)).max().unwrap_or(Exposure::Loopback),
        process: leader.map(|process| process.name.clone()),
        owners: group.owners.clone(),
        user: user
            .or_else(|| first.user.as_deref().map(str::to_owned))
            .or_else(|| first.uid.map(|uid| uid.to_string())),
        supervisor: supervisor_of(leader, first),
        held_for: first.forward.as_deref().and_then(|forward| Some(published::name(forward.container.as_deref()?))),
        command: leader.map_or(&[], |process| &process.command),
        namespace: first.namespace.as_ref().map(|namespace| namespace.title()),
        sockets: group.sockets.clone(),
    }
}

/// `0.0.0.0`, `::`, `fe80::1%eth0`; what the address alone does not tell stands behind it.
fn address(socket: &Socket) -> String {
    let mut text = socket.local.ip().to_string();
    if let Some(device) = &socket.device {
        text.push('%');
        text.push_str(device);
    }
    if socket.local.ip().is_unspecified() && socket.v6only == Some(true) {
        text.push_str(" (IPv6 only)");
    }
    if socket.state == State::Bound {
        text.push_str(" (bound)");
    }
    text
}

fn supervisor_of(leader: Option<&Process>, socket: &Socket) -> Option<String> {
    if let Some(container) = socket.forward.as_ref().and_then(|forward| forward.container.as_ref()) {
        return Some(engine_and_name(container));
    }
    if let Some(process) = leader {
        return supervisor_of_process(process);
    }
    let Supervisor { unit, container } = supervisor::of_cgroup(socket.cgroup.as_deref()?);
    name_supervisor(container.as_ref(), unit.as_ref())
}

/// `docker shop-web-1` if its engine names the container; else as [`name_supervisor`] has it.
pub fn supervisor_of_process(process: &Process) -> Option<String> {
    let named = process.engine_container.as_deref().map(engine_and_name);
    named.or_else(|| name_supervisor(process.container.as_ref(), process.unit.as_ref()))
}

/// `docker shop-web-1`.
pub fn engine_and_name(container: &EngineContainer) -> String {
    format!("{} {}", container.engine.runtime.into_str(), container.title())
}

/// `docker 8f3a0c1d2e4b`, `nginx.service`, `api.service (user)`.
pub fn name_supervisor(container: Option<&Container>, unit: Option<&Unit>) -> Option<String> {
    if let Some(container) = container {
        return Some(format!("{} {}", container.runtime.into_str(), container.short_id()));
    }
    unit.map(|unit| match unit.manager {
        Manager::System => unit.name.clone(),
        Manager::User => format!("{} (user)", unit.name),
    })
}

/// `80/tcp`, and the addresses if several are asked about: `80/tcp on 127.0.0.1`.
pub fn name(port: &PortReport) -> String {
    // It is free on all of them, and held on any.
    let joint = if port.verdict.status == Status::Free { "and" } else { "or" };
    format!("{}/{}{}", port.observed.port, port.observed.protocol, on(port, joint))
}

/// ` on 127.0.0.1 and ::1`, or nothing if there is no other place to tell it from.
pub fn on(port: &PortReport, joint: &str) -> String {
    if port.observed.is_one_of_several_places { on_addresses(port, joint) } else { String::new() }
}

/// The same whether there is another place or not.
pub fn on_addresses(port: &PortReport, joint: &str) -> String {
    if port.observed.addresses.is_empty() {
        return String::new();
    }
    let zone = port.observed.zone.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
    let addresses: Vec<String> = port.observed.addresses.iter().map(|address| format!("{address}{zone}")).collect();
    format!(" on {}", addresses.join(&format!(" {joint} ")))
}

/// What is usually on a port, in a column: what developers use it for in parentheses, since nobody
/// assigned that and the assigned name would mislead.
pub fn service(port: &PortReport) -> Option<String> {
    let service = port.observed.service.as_ref()?;
    match service.common_use {
        Some(common) => Some(format!("({common})")),
        None => service.name.clone(),
    }
}

/// A line of an answer on several ports.
#[derive(Debug)]
pub enum Line<'a> {
    /// A port of one protocol.
    One(&'a PortReport),
    /// Free ports in a row, asked about in the same place and by the same protocols. Never empty.
    Free(&'a [PortReport]),
}

/// Puts free neighbours together. A port that is free by every protocol asked about counts as one.
pub fn lines(ports: &[PortReport]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut end = 0;
    for group in ports.chunk_by(|a, b| a.observed.port == b.observed.port && a.observed.place() == b.observed.place()) {
        end += group.len();
        if group.iter().any(|port| port.verdict.status != Status::Free) {
            lines.extend(group.iter().map(Line::One));
            continue;
        }
        match lines.last_mut() {
            Some(Line::Free(run)) if goes_on_with(run, group) => *run = &ports[end - group.len() - run.len()..end],
            _ => lines.push(Line::Free(group)),
        }
    }
    lines
}

fn goes_on_with(run: &[PortReport], next: &[PortReport]) -> bool {
    let [.., last] = run else { return false };
    last.observed.port.checked_add(1) == Some(next[0].observed.port)
        && last.observed.place() == next[0].observed.place()
        && only_protocol(run) == only_protocol(next)
}

/// The protocol, if each port was asked about by only one.
fn only_protocol(run: &[PortReport]) -> Option<Protocol> {
    match run {
        [first, second, ..] if first.observed.port == second.observed.port => None,
        [first, ..] => Some(first.observed.protocol),
        [] => None,
    }
}

/// Free ports in a row: `8080`, `8080-8090`, and `/tcp` if they were asked about by that only.
pub fn range(run: &[PortReport]) -> String {
    let ports = match run {
        [first, .., last] if first.observed.port != last.observed.port => {
            format!("{}-{}", first.observed.port, last.observed.port)
        }
        _ => run.first().map(|port| port.observed.port.to_string()).unwrap_or_default(),
    };
    match only_protocol(run) {
        Some(protocol) => format!("{ports}/{protocol}"),
        None => ports,
    }
}
