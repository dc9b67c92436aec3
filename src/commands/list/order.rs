//! The order of a list: of its ports, and of the rows that are printed.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};

use crate::classify::Exposure;
use crate::diagnose::{Observed, PortReport};
use crate::model::{Container, EngineContainer, Pid, Process, Socket, find_process};
use crate::request::{Column, Order};

/// What is put in order.
pub trait Listed {
    /// The port.
    fn port(&self) -> &Observed;
    /// The sockets that it stands for.
    fn sockets(&self) -> impl Iterator<Item = &Socket>;
}

impl Listed for PortReport {
    fn port(&self) -> &Observed {
        &self.observed
    }

    fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.observed.sockets.iter()
    }
}

/// Which of two comes first. Those that are alike are ordered by their ports.
pub fn compare<T: Listed>(order: Order<Column>, a: &T, b: &T, processes: &[Process]) -> Ordering {
    let by_column = by_column(order.column, a, b, processes);
    let (one, other) = (a.port(), b.port());
    // Our own namespace comes first.
    let by_port = || (one.port, one.protocol, &one.namespace).cmp(&(other.port, other.protocol, &other.namespace));
    let whole = by_column.then_with(by_port);
    if order.is_reversed { whole.reverse() } else { whole }
}

fn by_column<T: Listed>(column: Column, a: &T, b: &T, processes: &[Process]) -> Ordering {
    let (one, other) = (a.port(), b.port());
    match column {
        Column::Port => Ordering::Equal,
        Column::Protocol => one.protocol.cmp(&other.protocol),
        Column::Namespace => one.namespace.cmp(&other.namespace),
        Column::State => state(a).cmp(&state(b)),
        Column::Class => one.class().cmp(&other.class()),
        Column::Service => unknown_last(service(one), service(other)),
        Column::Address => lowest_address(a).cmp(&lowest_address(b)),
        Column::Peer => unknown_last(lowest_peer(a), lowest_peer(b)),
        Column::Exposure => widest(b).cmp(&widest(a)),
        Column::Process => unknown_last(first_process(a, processes), first_process(b, processes)),
        Column::Pid => unknown_last(first_pid(a), first_pid(b)),
        Column::User => unknown_last(user(a, processes), user(b, processes)),
        Column::Unit => unknown_last(unit(a, processes), unit(b, processes)),
        Column::Command => unknown_last(command(a, processes), command(b, processes)),
    }
}

fn unknown_last<T: Ord>(a: Option<T>, b: Option<T>) -> Ordering {
    (a.is_none(), a).cmp(&(b.is_none(), b))
}

fn service(port: &Observed) -> Option<&str> {
    port.service.as_ref().and_then(|service| service.name.as_deref())
}

fn lowest_address(listed: &impl Listed) -> Option<IpAddr> {
    listed.sockets().map(|socket| socket.local.ip()).min()
}

fn lowest_peer(listed: &impl Listed) -> Option<SocketAddr> {
    listed.sockets().filter_map(|socket| socket.remote).min()
}

fn widest(listed: &impl Listed) -> Option<Exposure> {
    listed.sockets().map(Exposure::of).max()
}

fn state(listed: &impl Listed) -> Option<&'static str> {
    listed.sockets().map(|socket| socket.state.into_str()).min()
}

fn first_pid(listed: &impl Listed) -> Option<Pid> {
    listed.sockets().find_map(|socket| socket.owners.pids().first().copied())
}

fn first_owner<'a>(listed: &impl Listed, processes: &'a [Process]) -> Option<&'a Process> {
    find_process(processes, first_pid(listed)?)
}

fn first_process(listed: &impl Listed, processes: &[Process]) -> Option<String> {
    first_owner(listed, processes).map(|process| process.name.to_lowercase())
}

fn user<'a>(listed: &'a impl Listed, processes: &'a [Process]) -> Option<&'a str> {
    let of_socket = || listed.sockets().find_map(|socket| socket.user.as_deref());
    first_owner(listed, processes).and_then(|process| process.user.as_deref()).or_else(of_socket)
}

/// The unit, or the engine and the container, as a row has them.
fn unit(listed: &impl Listed, processes: &[Process]) -> Option<String> {
    let named = |container: &EngineContainer| format!("{} {}", container.engine.runtime.into_str(), container.title());
    let published = listed.sockets().find_map(|socket| socket.forward.as_deref()?.container.as_deref());
    published.map(named).or_else(|| {
        let process = first_owner(listed, processes)?;
        let by_id = |container: &Container| format!("{} {}", container.runtime.into_str(), container.short_id());
        let container = process.engine_container.as_deref().map(named);
        let container = container.or_else(|| process.container.as_ref().map(by_id));
        container.or_else(|| process.unit.as_ref().map(|unit| unit.name.clone()))
    })
}

fn command<'a>(listed: &impl Listed, processes: &'a [Process]) -> Option<&'a [String]> {
    first_owner(listed, processes).map(|process| &*process.command).filter(|command| !command.is_empty())
}
