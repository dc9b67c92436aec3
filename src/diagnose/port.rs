//! One port of one protocol: what was observed, and the verdict.

use std::net::IpAddr;

use super::{Finding, Severity};
use crate::classify::Class;
use crate::classify::services::Service;
use crate::model::{
    Diversion, Identified, Lease, LeaseKind, NameTaken, Namespace, Owners, Pid, Protocol, Reach, Socket, State,
    VirtualHost,
};
use crate::probe::{Attempt, Outcome};

/// What was observed of one port of one protocol.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Observed {
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The network namespace that it is a port of; `None` for our own.
    pub namespace: Option<Box<Namespace>>,
    /// The addresses asked about; every one if empty.
    pub addresses: Vec<IpAddr>,
    /// The interface named behind them.
    pub zone: Option<String>,
    /// Whether other addresses were asked about as well. Then the port alone does not say which are
    /// meant.
    pub is_one_of_several_places: bool,
    /// What is usually there.
    pub service: Option<Box<Service>>,
    /// The sockets that hold it on these addresses.
    pub sockets: Vec<Socket>,
    /// The sockets that have it in other network namespaces, and block nothing here.
    pub elsewhere: Vec<Socket>,
    /// What bind(2) answered; empty if it was not asked.
    pub attempts: Vec<Attempt>,
    /// What bind(2) answered on addresses that were not asked about; empty if those asked about can
    /// be bound.
    pub attempts_elsewhere: Vec<Attempt>,
    /// Whether the port of the other protocol was asked about too, and can be bound.
    pub other_is_free: bool,
    /// Who has it from `portcheck free`.
    pub lease: Option<Box<Lease>>,
    /// The rule of the firewall that sends what arrives for it elsewhere, if the rules were read.
    pub diversion: Option<Box<Diversion>>,
    /// Who can reach it, if that was asked.
    pub reach: Vec<Reach>,
    /// What answered, if it was asked.
    pub identified: Option<Box<Identified>>,
    /// The sites that a web server serves on it.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Who has the name of its lease without being a lease daemon.
    pub name_taken: Option<Box<NameTaken>>,
}

/// Addresses that were asked about together, and the interface named behind them.
pub type Place<'a> = (&'a [IpAddr], Option<&'a str>);

impl Observed {
    /// Only a port: no socket was seen, and bind(2) was not asked.
    pub fn of(port: u16, protocol: Protocol) -> Self {
        Self {
            port,
            protocol,
            namespace: None,
            addresses: Vec::new(),
            zone: None,
            is_one_of_several_places: false,
            service: None,
            sockets: Vec::new(),
            elsewhere: Vec::new(),
            attempts: Vec::new(),
            attempts_elsewhere: Vec::new(),
            other_is_free: false,
            lease: None,
            diversion: None,
            reach: Vec::new(),
            identified: None,
            virtual_hosts: Vec::new(),
            name_taken: None,
        }
    }

    /// The class of the port.
    pub fn class(&self) -> Class {
        Class::of(self.port)
    }

    /// `80/tcp`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.port, self.protocol)
    }

    /// Where the port was asked about. Together with number and protocol this identifies an answer.
    pub fn place(&self) -> Place<'_> {
        (&self.addresses, self.zone.as_deref())
    }

    /// Whether bind(2) worked wherever it was asked, and nobody holds the port.
    pub fn is_free(&self) -> bool {
        self.sockets.is_empty() && self.can_bind() && !self.is_leased_to_others()
    }

    /// Whether it is kept for another than our caller.
    pub fn is_leased_to_others(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| !lease.is_own)
    }

    /// Whether it is bound for our caller, whose server is known to set SO_REUSEADDR then.
    pub fn is_held_for_caller(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.is_own && lease.kind != LeaseKind::Reserved)
    }

    /// Whether a socket is what keeps the port leased.
    pub fn is_hold(&self, socket: &Socket) -> bool {
        socket.state == State::Bound && self.lease.as_deref().is_some_and(|lease| is_kept_by(lease, socket))
    }

    /// Whether a socket keeps the port for our caller.
    pub fn is_own_hold(&self, socket: &Socket) -> bool {
        self.is_held_for_caller() && self.is_hold(socket)
    }

    /// Its sockets in all network namespaces that were looked at, our own first.
    pub fn everywhere(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().chain(&self.elsewhere)
    }

    /// The sockets that are worth showing: beside a server, what keeps the port for it is not.
    pub fn shown_sockets(&self) -> impl Iterator<Item = &Socket> {
        let servers = || self.sockets.iter().filter(|socket| socket.state == State::Listen);
        let has_server = servers().next().is_some();
        let pids: Vec<Pid> = servers().flat_map(|socket| socket.owners.pids()).copied().collect();
        let is_kept_for_it = move |socket: &Socket| {
            has_server
                && socket.state == State::Bound
                && (self.is_hold(socket) || socket.owners.pids().iter().any(|pid| pids.contains(pid)))
        };
        self.sockets.iter().filter(move |socket| !is_kept_for_it(socket))
    }

    /// Whether bind(2) was asked, and always worked.
    pub fn can_bind(&self) -> bool {
        !self.attempts.is_empty() && self.attempts.iter().all(|attempt| attempt.outcome == Outcome::Bound)
    }

    /// Whether bind(2) failed somewhere because the port is in use.
    pub fn is_in_use(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.outcome == Outcome::InUse)
    }

    /// Whether it is in use, as bind(2) says, and no socket is seen on it.
    pub fn is_taken_by_nobody(&self) -> bool {
        self.sockets.is_empty() && self.is_in_use()
    }
}

/// Whether the process that keeps a lease has the socket. Where it cannot be inspected, its user
/// has to be the same.
fn is_kept_by(lease: &Lease, socket: &Socket) -> bool {
    match socket.owners {
        Owners::Hidden { .. } => lease.kind == LeaseKind::Held && lease.uid.is_some() && lease.uid == socket.uid,
        _ => lease.pids.iter().any(|pid| socket.owners.pids().contains(pid)),
    }
}

/// What the rules say of a port.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether it can be bound.
    pub status: Status,
    /// Why.
    pub findings: Vec<Finding>,
}

impl From<Observed> for PortReport {
    /// One that is still to be judged.
    fn from(observed: Observed) -> Self {
        Self { observed, verdict: Vec::new().into() }
    }
}

impl From<Vec<Finding>> for Verdict {
    fn from(mut findings: Vec<Finding>) -> Self {
        // A free port has one or two, and there may be a hundred thousand of those.
        findings.shrink_to_fit();
        Self { status: Status::of(&findings), findings }
    }
}

/// The report on one port of one protocol.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PortReport {
    /// What was observed.
    pub observed: Observed,
    /// The verdict on it.
    pub verdict: Verdict,
}

/// Whether a port can be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
#[non_exhaustive]
pub enum Status {
    /// Somebody or something holds it.
    Held,
    /// Nobody holds it, but it may not be bound.
    Blocked,
    /// What could not be seen may hold it.
    Unknown,
    /// It can be bound.
    Free,
}

impl Status {
    /// The status that follows from findings.
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).min() {
            Some(Severity::Conflict) => Self::Held,
            Some(Severity::Blocked) => Self::Blocked,
            Some(Severity::Unknown) => Self::Unknown,
            Some(Severity::Warning | Severity::Info) | None => Self::Free,
        }
    }
}
