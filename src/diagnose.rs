//! From facts to verdicts: pure rules over what was collected.
//!
//! A [`Rule`] has a code, a severity, an explanation and a check. [`RULES`] lists them, the most specific first.
//! Status and exit code follow from severities alone, so a new rule is a new file and a line in the table.

mod activation;
mod address;
mod airplay;
mod backlog;
mod beyond_descriptors;
mod bound;
mod browser;
mod connections;
mod denied;
mod device;
mod ephemeral;
mod excluded;
mod free;
mod hidden;
mod holder_state;
mod holders;
mod inherited;
mod kernel;
mod leased;
mod listener;
mod one_protocol;
mod overlap;
mod reach;
pub(crate) mod remedy;
mod remnants;
mod reuseport;
mod self_connect;
mod split_localhost;
mod unseen;
mod windows_services;

pub use airplay::is_receiver as is_airplay_receiver;
pub use holders::{Group, groups, name_spot, name_spots};

use std::net::IpAddr;

use crate::model::{
    Circumstances, Family, Gap, Hides, Host, Lease, Pid, Process, Protocol, Socket, State, find_process,
};
use crate::probe::{Attempt, Outcome};

/// What the rules look at: everything that concerns one port of one protocol.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The addresses asked about; every one if empty.
    pub addresses: &'a [IpAddr],
    /// The interface named behind them.
    pub zone: Option<&'a str>,
    /// The family asked about; both if `None`.
    pub family: Option<Family>,
    /// The sockets that hold the port on one of these addresses.
    pub sockets: &'a [Socket],
    /// The processes, by ascending pid.
    pub processes: &'a [Process],
    /// What could not be looked at.
    pub gaps: &'a [Gap],
    /// What bind(2) answered; empty if it was not asked.
    pub attempts: &'a [Attempt],
    /// What it answered on other addresses than those asked about; empty if these can be bound.
    pub attempts_elsewhere: &'a [Attempt],
    /// Whether the port of the other protocol was asked about too, and can be bound.
    pub other_is_free: bool,
    /// The lease on the port, if it has one.
    pub lease: Option<&'a Lease>,
    /// Whether to judge for a server that sets SO_REUSEADDR.
    pub reuse_address: bool,
    /// The machine.
    pub host: &'a Host,
    /// Our sandbox and the addresses, where bind(2) gave a reason to look at them.
    pub circumstances: &'a Circumstances,
    /// What this program is called by, for remedies that call it again.
    pub program: &'a str,
}

/// Nothing, for facts that need no more.
static NO_CIRCUMSTANCES: Circumstances =
    Circumstances { addresses: Vec::new(), ipv6_disabled_by: None, sandbox: None, excluded_ranges: None };

impl<'a> Facts<'a> {
    /// Nothing but a port: no socket, no gap, and bind(2) was not asked. To be completed with what is known.
    #[must_use]
    pub fn of(port: u16, protocol: Protocol, host: &'a Host) -> Self {
        Self {
            port,
            protocol,
            addresses: &[],
            zone: None,
            family: None,
            sockets: &[],
            processes: &[],
            gaps: &[],
            attempts: &[],
            attempts_elsewhere: &[],
            other_is_free: false,
            lease: None,
            reuse_address: false,
            host,
            circumstances: &NO_CIRCUMSTANCES,
            program: "portcheck",
        }
    }

    /// The process `pid`, unless it has ended since.
    #[must_use]
    pub fn process(&self, pid: Pid) -> Option<&'a Process> {
        find_process(self.processes, pid)
    }

    /// The gaps that could hide a holder of this port.
    pub fn hiding_gaps(&self) -> impl Iterator<Item = &'a Gap> {
        let protocol = self.protocol;
        self.gaps
            .iter()
            .filter(move |gap| gap.hides == Hides::Sockets && gap.protocol.is_none_or(|only| only == protocol))
    }

    /// The answers of bind(2) that count: those for a server as it is judged for. An address or a family that this
    /// machine does not have says nothing about the port, unless it is all that was asked about. Nor does a low port on loopback, on
    /// macOS: everybody may bind it on the wildcards, and root only elsewhere.
    pub fn answers(&self) -> impl Iterator<Item = &'a Attempt> + use<'a> {
        // UDP is not tried with SO_REUSEADDR, and whole ranges are not either.
        let reuse_address = self.reuse_address && self.attempts.iter().any(|attempt| attempt.reuse_address);
        let is_all_there_is =
            !self.addresses.is_empty() && self.attempts.iter().all(|attempt| attempt.outcome.is_about_the_address());
        let may_bind_wildcards = self.host.os == "macos"
            && self.addresses.is_empty()
            && self
                .attempts
                .iter()
                .any(|attempt| attempt.spot.address.is_unspecified() && !attempt.outcome.is_refused());
        self.attempts.iter().filter(move |attempt| {
            attempt.reuse_address == reuse_address
                && (is_all_there_is || !attempt.outcome.is_about_the_address())
                && !(may_bind_wildcards && attempt.outcome == Outcome::AccessDenied)
        })
    }

    /// Whether bind(2) was asked, and worked everywhere.
    #[must_use]
    pub fn can_bind(&self) -> bool {
        let mut answers = self.answers().peekable();
        answers.peek().is_some() && answers.all(|attempt| attempt.outcome == Outcome::Bound)
    }

    /// Whether `socket` is in the way of the server that is judged for. Who waits for peers always is; bound sockets and
    /// connections are not if bind(2) says that the port can be shared with them.
    #[must_use]
    pub fn is_in_the_way(&self, socket: &Socket) -> bool {
        match socket.state {
            State::Listen | State::Unconnected => true,
            State::Bound => !(self.reuse_address && self.can_bind()),
            _ => !self.can_bind(),
        }
    }

    /// The sockets that are in the way of the server that is judged for.
    pub fn obstacles(&self) -> impl Iterator<Item = &'a Socket> + use<'a> {
        let facts = *self;
        self.sockets.iter().filter(move |socket| facts.is_in_the_way(socket))
    }

    /// Whether bind(2) failed somewhere with `outcome`.
    #[must_use]
    pub fn fails_with(&self, outcome: Outcome) -> bool {
        self.answers().any(|attempt| attempt.outcome == outcome)
    }

    /// `80/tcp`.
    #[must_use]
    pub fn port_name(&self) -> String {
        format!("{}/{}", self.port, self.protocol)
    }

    /// The command that asks the same about this port: `portcheck 127.0.0.1:80/tcp`.
    #[must_use]
    pub fn call(&self) -> String {
        self.call_on(self.addresses.iter().map(|&address| (address, self.zone)))
    }

    /// The command that asks about this port on these addresses, each with its interface if it needs one, or on every one if there
    /// are none.
    #[must_use]
    pub fn call_on(&self, places: impl IntoIterator<Item = (IpAddr, Option<&'a str>)>) -> String {
        let name = self.port_name();
        let targets = places.into_iter().map(|(address, zone)| match (address, zone) {
            (IpAddr::V4(address), _) => format!("{address}:{name}"),
            // To a shell, what is in brackets is a pattern.
            (IpAddr::V6(address), None) => format!("\"[{address}]:{name}\""),
            (IpAddr::V6(address), Some(zone)) => format!("\"[{address}%{zone}]:{name}\""),
        });
        let mut words = vec![self.program.to_owned()];
        words.extend(targets);
        if words.len() == 1 {
            words.push(name.clone());
            // An address says it by itself.
            words.extend(self.family.map(|family| if family == Family::Ipv4 { "-4" } else { "-6" }.to_owned()));
        }
        words.extend(self.reuse_address.then(|| "--reuse-addr".to_owned()));
        words.join(" ")
    }
}

/// How much a finding stands in the way of a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A bind fails because of it.
    Conflict,
    /// A bind fails, though nobody holds the port.
    Blocked,
    /// Whether a bind works cannot be told.
    Unknown,
    /// A bind works, or fails for another reason; this may surprise.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// The name used in every output format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// In words.
    pub text: String,
    /// The exact command, if there is one.
    pub command: Option<String>,
}

/// A fact that a finding rests on, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A count, an id, or milliseconds where the name says so.
    Number(u64),
    /// Anything else.
    Text(String),
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The code of the rule.
    pub code: &'static str,
    /// The severity of the rule.
    pub severity: Severity,
    /// One sentence without a full stop.
    pub summary: String,
    /// The processes it is about, the leader first.
    pub pids: Vec<Pid>,
    /// Facts that the summary rests on.
    pub details: Vec<(&'static str, Detail)>,
    /// What to do about it, the best first.
    pub remedies: Vec<Remedy>,
}

/// What a check found, before the rule puts its name to it.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// See [`Finding::summary`].
    pub summary: String,
    /// See [`Finding::pids`].
    pub pids: Vec<Pid>,
    /// See [`Finding::details`].
    pub details: Vec<(&'static str, Detail)>,
    /// See [`Finding::remedies`].
    pub remedies: Vec<Remedy>,
}

/// The text of a rule, from which `docs/verdicts.md` is made.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// What it is.
    pub what: &'static str,
    /// Why it happens.
    pub why: &'static str,
    /// How it is detected.
    pub detection: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// A verdict, and how it is reached.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable and kebab-case: scripts compare it.
    pub code: &'static str,
    /// How much it stands in the way.
    pub severity: Severity,
    /// What to tell who asks.
    pub explanation: Explanation,
    /// Pure: the same facts give the same observations.
    pub check: fn(&Facts<'_>) -> Vec<Observation>,
}

/// Every rule, the most specific first within its severity.
pub static RULES: &[&Rule] = &[
    &leased::RULE,
    &beyond_descriptors::IN_FLIGHT,
    &beyond_descriptors::IO_URING,
    &hidden::RULE,
    &windows_services::HTTP_SYS,
    &windows_services::PORTPROXY,
    &airplay::RULE,
    &kernel::RULE,
    &bound::RULE,
    &self_connect::RULE,
    &connections::OUTGOING,
    &connections::LEFTOVER,
    &remnants::ORPHANED,
    &remnants::TIME_WAIT_STUBBORN,
    &remnants::TIME_WAIT,
    &listener::RULE,
    &reuseport::OTHER_USER,
    &overlap::WILDCARD,
    &overlap::DUAL_STACK,
    &address::NEEDS_SCOPE,
    &address::TENTATIVE,
    &address::NO_IPV6,
    &address::NOT_LOCAL,
    &excluded::RULE,
    &denied::PRIVILEGED,
    &denied::SANDBOX,
    &unseen::RULE,
    &activation::RULE,
    &inherited::RULE,
    &beyond_descriptors::THREAD,
    &device::RULE,
    &holder_state::STOPPED,
    &holder_state::DELETED,
    &backlog::FULL,
    &split_localhost::RULE,
    &ephemeral::EPHEMERAL,
    &reuseport::GROUP,
    &ephemeral::RESERVED,
    &backlog::QUEUE,
    &browser::RULE,
    &reach::LOOPBACK_ONLY,
    &reach::EXPOSED,
    &one_protocol::UDP,
    &one_protocol::TCP,
    &free::RULE,
];

/// The rule with this code.
#[must_use]
pub fn rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code == code)
}

/// Whether a port can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Somebody or something holds it.
    Held,
    /// Nobody holds it, and still it may not be bound.
    Blocked,
    /// What could not be seen may hold it.
    Unknown,
    /// It can be bound.
    Free,
}

impl Status {
    /// The status that findings amount to.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).min() {
            Some(Severity::Conflict) => Self::Held,
            Some(Severity::Blocked) => Self::Blocked,
            Some(Severity::Unknown) => Self::Unknown,
            Some(Severity::Warning | Severity::Info) | None => Self::Free,
        }
    }

    /// The name used in every output format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
            Self::Free => "free",
        }
    }
}

/// Applies every rule. Conflicts come first, and within a severity the order of [`RULES`] stands.
#[must_use]
pub fn diagnose(facts: &Facts<'_>) -> Vec<Finding> {
    let apply = |rule: &&Rule| {
        let Rule { code, severity, check, .. } = **rule;
        check(facts).into_iter().map(move |Observation { summary, pids, details, remedies }| Finding {
            code,
            severity,
            summary,
            pids,
            details,
            remedies,
        })
    };
    let mut findings: Vec<Finding> = RULES.iter().flat_map(apply).collect();
    findings.extend(unseen::unexplained(facts, &findings));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

#[cfg(test)]
mod tests;
