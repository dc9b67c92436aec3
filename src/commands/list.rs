//! `portcheck list`: what is in use, which sockets that is, and in which order.

pub mod order;

use std::mem;

use super::check;
use super::diagnosis::{Diagnosis, by_port};
use super::exit::Command;
use super::hint::{Hint, hint};
use super::unseen::misses_wanted;
use crate::collect::{self, Detail};
use crate::error::Error;
use crate::model::{Namespace, Snapshot, Socket, State};
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
    diagnosis.ports.sort_by(|a, b| order::compare(order, a, b, &diagnosis.processes));
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
