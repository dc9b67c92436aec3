//! `portcheck list`: what is in use, which sockets that is, and in which order.

use std::cmp::Ordering;
use std::mem;

use super::check;
use super::diagnosis::{Diagnosis, by_port};
use super::exit::Command;
use super::hint::{Hint, hint};
use super::unseen::misses_wanted;
use crate::classify::Exposure;
use crate::collect::{self, Detail};
use crate::diagnose::Observed;
use crate::error::Error;
use crate::model::{Container, EngineContainer, Namespace, Pid, Process, Snapshot, Socket, State, find_process};
use crate::port_set::PortSet;
use crate::request::{Column, Filter, Order, Request};

/// What is in use.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The ports in use.
    pub diagnosis: Diagnosis,
    /// What there is besides, if nothing fits.
    pub hint: Option<Hint>,
}

/// Lists what is in use and fits `filter`.
pub fn list(request: &Request, filter: &Filter, order: Order<Column>) -> Result<Listing, Error> {
    let scope = request.scope();
    let snapshot = collect::snapshot(&scope)?;
    let is_asked = |socket: &Socket| is_listed(request, socket) && filter.has_ends(socket.local, socket.remote);
    let misses_wanted = misses_wanted(filter, &snapshot, is_asked);
    let diagnosis = Diagnosis { misses_wanted, ..listed(request, filter, order, snapshot) };
    let is_told = diagnosis.ports.is_empty() && scope.detail > Detail::Nothing;
    let hint = is_told.then(|| hint(request, filter, Command::List)).flatten();
    Ok(Listing { diagnosis, hint })
}

/// The same of what was seen already.
pub fn listed(request: &Request, filter: &Filter, order: Order<Column>, mut snapshot: Snapshot) -> Diagnosis {
    let inside = request.namespaces.inside();
    let leases = check::leases_on(request, &bound_ports(inside, &snapshot), &mut snapshot);
    let mut sockets = mem::take(&mut snapshot.sockets);
    sockets.retain(|socket| is_listed(request, socket) && filter.fits(socket, &snapshot.processes));
    let mut ports = by_port(sockets);
    for port in ports.iter_mut().filter(|port| port.namespace.as_deref() == inside) {
        port.lease = leases.on(port.port).cloned().map(Box::new);
    }
    let mut diagnosis = Diagnosis::judge(request, ports, snapshot);
    diagnosis.ports.sort_by(|a, b| {
        let (a, b) = (&a.observed, &b.observed);
        let by_column = compare(order.column, a, b, &diagnosis.processes);
        // Our own namespace comes first.
        let whole = by_column.then_with(|| (a.port, a.protocol, &a.namespace).cmp(&(b.port, b.protocol, &b.namespace)));
        if order.is_reversed { whole.reverse() } else { whole }
    });
    diagnosis
}

fn is_listed(request: &Request, socket: &Socket) -> bool {
    socket.serves(request.family) && (request.connections || socket.state.is_waiting())
}

/// The ports that a hold of `portcheck free` may have bound.
fn bound_ports(inside: Option<&Namespace>, snapshot: &Snapshot) -> PortSet {
    let is_bound = |socket: &&Socket| socket.state == State::Bound && socket.namespace.as_deref() == inside;
    let bound = snapshot.sockets.iter().filter(is_bound);
    bound.map(|socket| (socket.local.port(), socket.local.port())).collect()
}

/// Which of two ports comes first.
fn compare(column: Column, a: &Observed, b: &Observed, processes: &[Process]) -> Ordering {
    match column {
        Column::Port => Ordering::Equal,
        Column::Protocol => a.protocol.cmp(&b.protocol),
        Column::Namespace => a.namespace.cmp(&b.namespace),
        Column::State => state(a).cmp(&state(b)),
        Column::Class => a.class().cmp(&b.class()),
        Column::Service => unknown_last(service(a), service(b)),
        Column::Address => lowest_address(a).cmp(&lowest_address(b)),
        Column::Peer => unknown_last(lowest_peer(a), lowest_peer(b)),
        Column::Exposure => widest(b).cmp(&widest(a)),
        Column::Process => unknown_last(first_process(a, processes), first_process(b, processes)),
        Column::Pid => unknown_last(first_pid(a), first_pid(b)),
        Column::User => unknown_last(user(a), user(b)),
        Column::Unit => unknown_last(unit(a, processes), unit(b, processes)),
        Column::Command => unknown_last(command(a, processes), command(b, processes)),
    }
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

fn first_owner<'a>(answer: &Observed, processes: &'a [Process]) -> Option<&'a Process> {
    find_process(processes, first_pid(answer)?)
}

fn first_process(answer: &Observed, processes: &[Process]) -> Option<String> {
    first_owner(answer, processes).map(|process| process.name.to_lowercase())
}

fn unit<'a>(answer: &Observed, processes: &'a [Process]) -> Option<&'a str> {
    let process = first_owner(answer, processes)?;
    let container = process.engine_container.as_deref().map(EngineContainer::title);
    let container = container.or_else(|| process.container.as_ref().map(Container::short_id));
    container.or_else(|| process.unit.as_ref().map(|unit| &*unit.name))
}

fn command<'a>(answer: &Observed, processes: &'a [Process]) -> Option<&'a [String]> {
    first_owner(answer, processes).map(|process| &*process.command).filter(|command| !command.is_empty())
}

fn state(answer: &Observed) -> Option<&'static str> {
    answer.sockets.iter().map(|socket| socket.state.into_str()).min()
}

fn lowest_peer(answer: &Observed) -> Option<std::net::SocketAddr> {
    answer.sockets.iter().filter_map(|socket| socket.remote).min()
}

fn user(answer: &Observed) -> Option<&str> {
    answer.sockets.iter().find_map(|socket| socket.user.as_deref())
}
