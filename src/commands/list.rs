//! `portcheck list`: what is in use, which sockets that is, and in which order.

use std::cmp::Ordering;

use super::check;
use super::diagnosis::{Diagnosis, Key, by_port};
use crate::classify::command_line::program;
use crate::classify::{Class, Exposure};
use crate::collect::{self, Detail, Scope};
use crate::diagnose::Observed;
use crate::error::Error;
use crate::model::{Namespace, Pid, Process, Snapshot, Socket, State, find_process};
use crate::port_set::PortSet;
use crate::request::{Filter, Request, Sort};

/// What is in use.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The ports in use.
    pub diagnosis: Diagnosis,
    /// How many connections `--all` would show, if nothing is in use.
    pub connections_left_out: usize,
}

/// Lists what is in use and fits `filter`.
pub fn list(request: &Request, filter: &Filter, sort: Sort) -> Result<Listing, Error> {
    let scope = request.scope();
    let diagnosis = listed(request, filter, sort, collect::snapshot(&scope)?);
    let is_asked = diagnosis.ports.is_empty() && !scope.connections && scope.detail > Detail::Nothing;
    let connections_left_out = if is_asked { count_connections(&scope, filter)? } else { 0 };
    Ok(Listing { diagnosis, connections_left_out })
}

fn listed(request: &Request, filter: &Filter, sort: Sort, mut snapshot: Snapshot) -> Diagnosis {
    let inside = request.namespaces.inside();
    let leases = check::leases_on(request, &bound_ports(inside, &snapshot), &mut snapshot);
    let observe = |((port, protocol, namespace), sockets): (Key<'_>, Vec<&Socket>)| {
        let is_shown = |socket: &&Socket| {
            socket.serves(request.family)
                && (request.connections || socket.state.is_waiting())
                && fits(filter, socket, &snapshot.processes)
        };
        let sockets: Vec<Socket> = sockets.into_iter().filter(is_shown).cloned().collect();
        let lease = leases.on(port).filter(|_| namespace == inside).cloned().map(Box::new);
        let namespace = namespace.cloned().map(Box::new);
        (!sockets.is_empty()).then(|| Observed { namespace, sockets, lease, ..Observed::of(port, protocol) })
    };
    let ports = by_port(&snapshot).into_iter().filter_map(observe).collect();
    let mut diagnosis = Diagnosis::judge(request, ports, snapshot);
    diagnosis.ports.sort_by(|a, b| compare(sort, &a.observed, &b.observed, &diagnosis.processes));
    diagnosis
}

/// The ports that a hold of `portcheck free` may have bound.
fn bound_ports(inside: Option<&Namespace>, snapshot: &Snapshot) -> PortSet {
    let is_bound = |socket: &&Socket| socket.state == State::Bound && socket.namespace.as_deref() == inside;
    let bound = snapshot.sockets.iter().filter(is_bound);
    bound.map(|socket| (socket.local.port(), socket.local.port())).collect()
}

/// How many connections fit a filter.
fn count_connections(scope: &Scope, filter: &Filter) -> Result<usize, Error> {
    let snapshot = collect::snapshot(&Scope { connections: true, ..scope.clone() })?;
    let fits = |socket: &&Socket| socket.serves(scope.family) && fits(filter, socket, &snapshot.processes);
    Ok(snapshot.sockets.iter().filter(fits).count())
}

/// Whether a socket fits everything that the listing is narrowed to.
pub fn fits(filter: &Filter, socket: &Socket, processes: &[Process]) -> bool {
    let owners = || socket.owners.pids().iter().filter_map(|&pid| find_process(processes, pid));
    let has_pid = filter.pids.is_empty() || socket.owners.pids().iter().any(|pid| filter.pids.contains(pid));
    let has_name = filter.process.as_ref().is_none_or(|name| owners().any(|process| is_called(process, name)));
    let is_users = filter.user.as_ref().is_none_or(|wanted| {
        let is = |name: &Option<String>, uid: Option<u32>| {
            name.as_ref() == Some(wanted) || uid.is_some_and(|uid| uid.to_string() == *wanted)
        };
        is(&socket.user, socket.uid) || owners().any(|process| is(&process.user, process.uid))
    });
    let has_class = filter.class.is_none_or(|class| Class::of(socket.local.port()) == class);
    let is_exposed = !filter.exposed || Exposure::of(socket) > Exposure::Namespace;
    has_pid && has_name && is_users && has_class && is_exposed
}

/// Whether a process has this text in its name or command line, ignoring case. The name of a script
/// is that of its interpreter, so what the interpreter runs counts too.
fn is_called(process: &Process, text: &str) -> bool {
    let text = text.to_lowercase();
    let has = |name: &str| name.to_lowercase().contains(&text);
    has(&process.name)
        || has(&process.command.join(" "))
        || program::of(&process.command).is_some_and(|program| has(&program))
}

/// Which of two ports comes first.
fn compare(sort: Sort, a: &Observed, b: &Observed, processes: &[Process]) -> Ordering {
    let by = match sort {
        Sort::Port => Ordering::Equal,
        Sort::Protocol => a.protocol.cmp(&b.protocol),
        Sort::Service => unknown_last(service(a), service(b)),
        Sort::Address => lowest_address(a).cmp(&lowest_address(b)),
        Sort::Exposure => widest(b).cmp(&widest(a)),
        Sort::Process => unknown_last(first_process(a, processes), first_process(b, processes)),
        Sort::Pid => unknown_last(first_pid(a), first_pid(b)),
        Sort::User => unknown_last(user(a), user(b)),
    };
    // Our own namespace comes first.
    by.then_with(|| (a.port, a.protocol, &a.namespace).cmp(&(b.port, b.protocol, &b.namespace)))
}

fn unknown_last<T: Ord>(a: Option<T>, b: Option<T>) -> Ordering {
    (a.is_none(), a).cmp(&(b.is_none(), b))
}

fn service(answer: &Observed) -> Option<&str> {
    answer.service.as_ref().and_then(|service| service.name.as_deref())
}

fn lowest_address(answer: &Observed) -> Option<std::net::IpAddr> {
    answer.sockets.iter().map(|socket| socket.local.ip()).min()
}

fn widest(answer: &Observed) -> Option<Exposure> {
    answer.sockets.iter().map(Exposure::of).max()
}

fn first_pid(answer: &Observed) -> Option<Pid> {
    answer.sockets.iter().find_map(|socket| socket.owners.pids().first().copied())
}

fn first_process(answer: &Observed, processes: &[Process]) -> Option<String> {
    find_process(processes, first_pid(answer)?).map(|process| process.name.to_lowercase())
}

fn user(answer: &Observed) -> Option<&str> {
    answer.sockets.iter().find_map(|socket| socket.user.as_deref())
}
