//! What an empty list would show if something else were asked: who has no row often holds
//! something all the same.

use std::collections::{BTreeMap, BTreeSet};

use super::exit::Command;
use crate::collect::{self, Namespaces};
use crate::model::{Backend, Family, Protocol, Socket, State};
use crate::request::{Filter, Request};

/// What there is besides, and how to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// How many ports are in use.
    pub ports: usize,
    /// How many connections there are.
    pub connections: usize,
    /// What shows them.
    pub steps: Vec<Step>,
    /// The options that say whose they are, and where to look.
    pub whose: Vec<String>,
}

/// A change of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// This option is added.
    Add(&'static str),
    /// This option is left out.
    LeaveOut(&'static str),
    /// Ports are listed, and no connections.
    ListPorts,
}

/// What takes the fewest steps to see, after a list of `command` that was empty. `None` if there is
/// nothing, or it could not be read.
///
/// Without a holder in the question, only connections are worth a hint: other sockets are not meant.
pub fn hint(request: &Request, filter: &Filter, command: Command) -> Option<Hint> {
    let is_about_holders = filter.names_holders();
    if !is_about_holders && (command != Command::List || request.connections) {
        return None;
    }
    let wide = if is_about_holders { everywhere(request) } else { request.clone() };
    let wide = Request { connections: true, ..wide };
    // Either end of a connection may have the port, so all have to be read.
    let snapshot = collect::snapshot(&Request { targets: Vec::new(), ..wide.clone() }.scope()).ok()?;
    let mut found: BTreeMap<(usize, Vec<Step>), Vec<&Socket>> = BTreeMap::new();
    for socket in snapshot.sockets.iter().filter(|it| wide.concerns(it) && filter.fits(it, &snapshot.processes)) {
        // Those are told by themselves.
        let is_told = command == Command::Connections && socket.state == State::TimeWait;
        let steps = steps(request, command, socket);
        if !is_told && !steps.is_empty() {
            found.entry((steps.len(), steps)).or_default().push(socket);
        }
    }
    let ((_, steps), sockets) = found.into_iter().next()?;
    let (waiting, connected): (Vec<&Socket>, Vec<&Socket>) =
        sockets.into_iter().partition(|socket| socket.state.is_waiting());
    let port = |socket: &Socket| (socket.local.port(), socket.protocol, socket.namespace.clone());
    let ends = |socket: &Socket| {
        (socket.protocol, socket.remote.min(Some(socket.local)), socket.remote.max(Some(socket.local)))
    };
    Some(Hint {
        ports: waiting.into_iter().map(port).collect::<BTreeSet<_>>().len(),
        connections: connected.into_iter().map(ends).collect::<BTreeSet<_>>().len(),
        steps,
        whose: filter.holder_options().into_iter().chain(place(&request.namespaces)).collect(),
    })
}

/// The same question about all protocols, families and network namespaces.
fn everywhere(request: &Request) -> Request {
    let namespaces = match (&request.namespaces, request.backend) {
        (Namespaces::Own, Backend::Native) => Namespaces::All,
        (asked, _) => asked.clone(),
    };
    Request { protocols: Protocol::ALL.to_vec(), family: None, namespaces, ..request.clone() }
}

/// What has to change for a socket to be shown.
fn steps(request: &Request, command: Command, socket: &Socket) -> Vec<Step> {
    let protocol = match request.protocols[..] {
        [Protocol::Tcp] => Step::LeaveOut("--tcp"),
        _ => Step::LeaveOut("--udp"),
    };
    let family = match request.family {
        Some(Family::Ipv4) => Step::LeaveOut("-4"),
        _ => Step::LeaveOut("-6"),
    };
    let is_waiting = socket.state.is_waiting();
    let is_elsewhere = request.namespaces == Namespaces::Own && socket.namespace.is_some();
    let steps = [
        (command == Command::List && !is_waiting && !request.connections, Step::Add("--all")),
        (is_elsewhere, Step::Add("-A")),
        (!request.protocols.contains(&socket.protocol), protocol),
        (!socket.serves(request.family), family),
        (command == Command::Connections && is_waiting, Step::ListPorts),
    ];
    steps.into_iter().filter(|&(is_needed, _)| is_needed).map(|(_, step)| step).collect()
}

/// The options that say where to look.
fn place(namespaces: &Namespaces) -> Vec<String> {
    match namespaces {
        Namespaces::Own => Vec::new(),
        Namespaces::All => vec!["-A".to_owned()],
        Namespaces::Inside(inside) => vec!["--in".to_owned(), inside.namespace.argument()],
    }
}
