//! `portcheck reach`: who can reach a port, and what stops the others.
//!
//! Questions are made from the machine's addresses, tried on a replica of its network, and judged.
//! Making them and judging are pure.

mod judge;
mod sources;

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;

use super::check;
use super::diagnosis::{Diagnosis, by_port};
use super::exit::Exit;
use crate::collect;
use crate::diagnose::{Observed, PortReport};
use crate::error::Error;
use crate::model::{By, Gap, Origin, Place, Protocol, Question, Reach, Reached, ShownBy, Snapshot, Socket};
use crate::request::Request;
use judge::Case;

/// What `portcheck reach` found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The ports; each has `reach`.
    pub diagnosis: Diagnosis,
    /// Whether sources were named, so that each of them counts.
    pub is_from_named: bool,
    /// Whether this is about everything that listens.
    pub is_audit: bool,
}

/// Tells who can reach the targets, or all that listens if there are none. `from` are the sources; the
/// usual ones if it is empty.
pub fn reach(request: &Request, from: &[IpAddr]) -> Result<Report, Error> {
    let is_audit = request.targets.is_empty();
    let (mut ports, mut snapshot) = if is_audit { listening(request)? } else { check::observe(request)? };
    let places = collect::places();
    snapshot.gaps.extend(add(request, from, &places, &mut ports));
    if !is_audit {
        leave_out_unasked(request, &mut ports);
    }
    let diagnosis = Diagnosis::judge(request, ports, snapshot);
    let mut report = Report { diagnosis, is_from_named: !from.is_empty(), is_audit };
    if is_audit {
        // A stable sort: ports of the same kind stay in the order of their numbers.
        report.diagnosis.ports.sort_by_key(report_order);
    }
    Ok(report)
}

/// What can be reached comes first, also if by one IP version only. Then comes what is uncertain.
fn report_order(port: &PortReport) -> usize {
    let has = |results: &[Reached]| port.observed.reach.iter().any(|reach| results.contains(&reach.result));
    match () {
        () if has(&[Reached::Open, Reached::Diverted]) => 0,
        () if has(&[Reached::Unknown]) => 1,
        () => 2,
    }
}

/// The ports without a server here that rules send elsewhere. Rules for all ports publish none.
fn published(request: &Request, known: &[Observed]) -> (Vec<Observed>, Option<Gap>) {
    const UNUSUAL: [u16; 2] = [1, u16::MAX];
    let all = |ports: &mut dyn Iterator<Item = u16>| -> Vec<(u16, Protocol)> {
        ports.flat_map(|port| request.protocols.iter().map(move |&protocol| (port, protocol))).collect()
    };
    let (unusual, gap) = collect::diversions(&all(&mut UNUSUAL.into_iter()));
    let is_for_all = UNUSUAL.iter().all(|port| unusual.iter().any(|diversion| diversion.port == *port));
    if is_for_all || gap.is_some() {
        return (Vec::new(), gap);
    }
    let (found, gap) = collect::diversions(&all(&mut (1..=u16::MAX)));
    let is_new = |port: &Observed| known.iter().all(|known| known.name() != port.name());
    let ports = found.into_iter().map(|diversion| Observed {
        diversion: Some(Box::new(diversion.clone())),
        ..Observed::of(diversion.port, diversion.protocol)
    });
    (ports.filter(is_new).collect(), gap)
}

/// Everything that waits for connections or datagrams from peers.
fn listening(request: &Request) -> Result<(Vec<Observed>, Snapshot), Error> {
    let mut snapshot = collect::snapshot(&request.scope())?;
    let mut sockets = mem::take(&mut snapshot.sockets);
    sockets.retain(|socket| socket.state.is_listening() && socket.serves(request.family));
    let mut ports = by_port(sockets);
    let (published, gap) = published(request, &ports);
    ports.extend(published);
    // Who may not read the firewall is told so once: by the gap of the trials.
    snapshot.gaps.extend(gap.filter(|gap| gap.shown_by != ShownBy::Root));
    ports.sort_by_key(|port| (port.port, port.protocol));
    Ok((ports, snapshot))
}

/// Adds to each port who can reach it. Returns what could not be replayed.
fn add(request: &Request, from: &[IpAddr], places: &[Place], ports: &mut [Observed]) -> Vec<Gap> {
    let asker = sources::Asker { from, places, family: request.family, is_audit: request.targets.is_empty() };
    let questions: Vec<(usize, Question)> = ports
        .iter()
        .enumerate()
        .flat_map(|(at, port)| asker.questions(port).into_iter().map(move |one| (at, one)))
        .collect();
    let listeners: Vec<&Socket> =
        ports.iter().flat_map(|port| &port.sockets).filter(|socket| socket.state.is_listening()).collect();
    let asked: Vec<Question> = questions.iter().map(|(_, question)| question.clone()).collect();
    let replay = collect::replay(&listeners, &asked);
    let mut found: BTreeMap<usize, Vec<Reach>> = BTreeMap::new();
    for ((at, question), trial) in questions.iter().zip(&replay.trials) {
        let case = Case {
            question,
            trial: trial.as_ref(),
            sockets: &ports[*at].sockets,
            is_certain: replay.gaps.is_empty(),
            has_ufw: replay.has_ufw,
        };
        found.entry(*at).or_default().push(case.judge());
    }
    for (at, reach) in found {
        ports[at].reach = reach;
    }
    replay.gaps
}

/// Leaves out the protocol that nobody meant: where both were asked for by one number, the one that
/// nobody listens on.
fn leave_out_unasked(request: &Request, ports: &mut Vec<Observed>) {
    let is_named = |port: &Observed| {
        let mut targets = request.targets.iter().filter(|target| target.ports().contains(&port.port));
        request.protocols.len() == 1 || targets.any(|target| target.protocol == Some(port.protocol))
    };
    let is_absent = |port: &Observed| {
        port.reach.iter().all(|reach| reach.result == Reached::NotListening)
            || (port.sockets.is_empty() && port.reach.iter().all(|reach| reach.result == Reached::Unknown))
    };
    let present: Vec<(u16, Protocol)> =
        ports.iter().filter(|port| !is_absent(port)).map(|port| (port.port, port.protocol)).collect();
    ports.retain(|port| {
        let other = present.contains(&(port.port, port.protocol.other()));
        is_named(port) || !is_absent(port) || (!other && port.protocol == Protocol::Tcp)
    });
}

impl Report {
    /// The exit code: whether all sources that count can reach all ports.
    pub fn exit(&self) -> Exit {
        let results: Vec<Exit> = self.diagnosis.ports.iter().map(|port| result_of(port, self.is_from_named)).collect();
        let has = |exit: Exit| results.contains(&exit);
        let is_uncertain = self
            .diagnosis
            .ports
            .iter()
            .all(|port| port.observed.reach.iter().all(|reach| reach.result == Reached::Unknown));
        if self.is_audit {
            return if is_uncertain && !results.is_empty() { Exit::Unknown } else { Exit::Yes };
        }
        [Exit::No, Exit::Unknown].into_iter().find(|&exit| has(exit)).unwrap_or(Exit::Yes)
    }
}

/// Whether the sources that count can reach a port: those that were named, else those elsewhere.
pub fn result_of(port: &PortReport, is_from_named: bool) -> Exit {
    let reach = &port.observed.reach;
    let counts = |reach: &&Reach| is_from_named || reach.origin == Origin::Elsewhere;
    let is_open = |reach: &Reach| reach.result == Reached::Open || leads_to_its_container(port, reach);
    let any_open = reach.iter().filter(counts).any(is_open);
    // A server of one IP version is reachable over that one.
    let is_left_out = |reach: &Reach| {
        !is_from_named && any_open && reach.result == Reached::NotBoundThere && matches!(reach.by, Some(By::Binding(_)))
    };
    let rest: Vec<&Reach> = reach.iter().filter(counts).filter(|one| !is_open(one) && !is_left_out(one)).collect();
    match () {
        () if rest.iter().any(|reach| reach.result != Reached::Unknown) => Exit::No,
        () if !rest.is_empty() || !any_open => Exit::Unknown,
        () => Exit::Yes,
    }
}

/// Whether a rule leads past the forwarder on the port, to the same container.
pub fn leads_to_its_container(port: &PortReport, reach: &Reach) -> bool {
    let Some(to) = reach.diverted_to.filter(|_| reach.result == Reached::Diverted) else { return false };
    let forwards = port.observed.sockets.iter().filter_map(|socket| socket.forward.as_deref());
    forwards
        .filter_map(|forward| forward.to.as_ref())
        .any(|known| known.port == to.port() && known.host == to.ip().to_string())
}
