//! The facts that the rules look at, and the questions that several rules ask of them.

use std::iter;
use std::net::IpAddr;

use super::Observed;
use crate::model::{Circumstances, Family, Gap, Hides, Host, Pid, Process, Socket, State, find_process};
use crate::probe::{Attempt, Outcome};

/// Everything that concerns one port of one protocol.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What was observed of the port.
    pub observed: &'a Observed,
    /// The family asked about; both if `None`.
    pub family: Option<Family>,
    /// The processes, by ascending pid.
    pub processes: &'a [Process],
    /// What could not be seen.
    pub gaps: &'a [Gap],
    /// Whether to judge for a server that sets SO_REUSEADDR.
    pub reuse_address: bool,
    /// The machine.
    pub host: &'a Host,
    /// Our sandbox and addresses; read only if bind(2) gave a reason to.
    pub circumstances: &'a Circumstances,
    /// How to call this program, for remedies that call it again.
    pub program: &'a str,
}

/// Nothing, for facts that need no more.
static NO_CIRCUMSTANCES: Circumstances =
    Circumstances { addresses: Vec::new(), ipv6_disabled_by: None, sandbox: None, excluded_ranges: None };

impl<'a> Facts<'a> {
    /// Facts with only what was observed of a port on a machine. Complete them with what else is
    /// known.
    pub fn of(observed: &'a Observed, host: &'a Host) -> Self {
        Self {
            observed,
            family: None,
            processes: &[],
            gaps: &[],
            reuse_address: false,
            host,
            circumstances: &NO_CIRCUMSTANCES,
            program: "portcheck",
        }
    }

    /// The process `pid`, unless it has ended since.
    pub fn process(&self, pid: Pid) -> Option<&'a Process> {
        find_process(self.processes, pid)
    }

    /// The gaps that could hide a holder of this port.
    pub fn hiding_gaps(&self) -> impl Iterator<Item = &'a Gap> {
        let protocol = self.observed.protocol;
        self.gaps
            .iter()
            .filter(move |gap| gap.kind.hides == Hides::Sockets && gap.protocol.is_none_or(|only| only == protocol))
    }

    /// The answers of bind(2) that count for the server in question. An address or family that this
    /// machine does not have says nothing about the port, unless it is all that was asked about.
    /// Nor does a low port on loopback, on macOS: there everybody may bind it on the wildcards, and
    /// only root on other addresses.
    pub fn answers(&self) -> impl Iterator<Item = &'a Attempt> + use<'a> {
        // UDP and large ranges are not tried with SO_REUSEADDR.
        let reuse_address = self.reuse_address && self.observed.attempts.iter().any(|attempt| attempt.reuse_address);
        let is_all_there_is = !self.observed.addresses.is_empty()
            && self.observed.attempts.iter().all(|attempt| attempt.outcome.is_about_the_address());
        let may_bind_wildcards = self.host.os == "macos"
            && self.observed.addresses.is_empty()
            && self
                .observed
                .attempts
                .iter()
                .any(|attempt| attempt.spot.address.is_unspecified() && !attempt.outcome.is_refused());
        self.observed.attempts.iter().filter(move |attempt| {
            attempt.reuse_address == reuse_address
                && (is_all_there_is || !attempt.outcome.is_about_the_address())
                && !(may_bind_wildcards && attempt.outcome == Outcome::AccessDenied)
        })
    }

    /// Whether bind(2) was asked, and worked everywhere.
    pub fn can_bind(&self) -> bool {
        let mut answers = self.answers().peekable();
        answers.peek().is_some() && answers.all(|attempt| attempt.outcome == Outcome::Bound)
    }

    /// Whether `socket` blocks the server in question. A socket that waits for peers always does.
    /// Bound sockets and connections do not if bind(2) says that the port can be shared with them.
    /// Nor does a hold that was made for our caller.
    pub fn is_in_the_way(&self, socket: &Socket) -> bool {
        match socket.state {
            State::Listen | State::Unconnected => true,
            State::Bound => !(self.observed.is_own_hold(socket) || self.reuse_address && self.can_bind()),
            _ => !self.can_bind(),
        }
    }

    /// The sockets that block the server in question.
    pub fn obstacles(&self) -> impl Iterator<Item = &'a Socket> + use<'a> {
        let facts = *self;
        self.observed.sockets.iter().filter(move |socket| facts.is_in_the_way(socket))
    }

    /// Whether bind(2) failed somewhere with `outcome`.
    pub fn fails_with(&self, outcome: Outcome) -> bool {
        self.answers().any(|attempt| attempt.outcome == outcome)
    }

    /// `80/tcp`.
    pub fn port_name(&self) -> String {
        format!("{}/{}", self.observed.port, self.observed.protocol)
    }

    /// The command that asks the same about this port: `portcheck 127.0.0.1:80/tcp`.
    pub fn check(&self) -> Vec<String> {
        self.look(self.places())
    }

    /// The same on one address, on an interface.
    pub fn check_on(&self, address: IpAddr, interface: &str) -> Vec<String> {
        self.look([(address, Some(interface))])
    }

    /// The command that ends who holds this port: `portcheck kill 80/tcp`.
    pub fn kill(&self) -> Vec<String> {
        self.act(self.call(&["kill"], self.places()))
    }

    /// The same for who holds it on these addresses, each with its interface if it needs one.
    pub fn kill_on(&self, places: impl IntoIterator<Item = (IpAddr, Option<&'a str>)>) -> Vec<String> {
        self.act(self.call(&["kill"], places))
    }

    /// The command that takes a free port with a number close to this one.
    pub fn take_near(&self) -> Vec<String> {
        self.act([self.program, "free", "--near", &self.observed.port.to_string()].map(str::to_owned).to_vec())
    }

    /// A look from inside, if the port is one of another network namespace.
    fn look<'b>(&self, places: impl IntoIterator<Item = (IpAddr, Option<&'b str>)>) -> Vec<String> {
        let inside = self.observed.namespace.as_ref().map(|namespace| ["--in".to_owned(), namespace.argument()]);
        self.call(&[], places).into_iter().chain(inside.into_iter().flatten()).collect()
    }

    /// A command that acts, run where the port is.
    fn act(&self, command: Vec<String>) -> Vec<String> {
        match &self.observed.namespace {
            None => command,
            Some(namespace) => namespace.entering().into_iter().chain(command).collect(),
        }
    }

    fn places(&self) -> impl Iterator<Item = (IpAddr, Option<&'a str>)> + use<'a> {
        let observed = self.observed;
        observed.addresses.iter().map(|&address| (address, observed.zone.as_deref()))
    }

    fn call<'b>(&self, command: &[&str], places: impl IntoIterator<Item = (IpAddr, Option<&'b str>)>) -> Vec<String> {
        let name = self.port_name();
        let targets = places.into_iter().map(|(address, zone)| match (address, zone) {
            (IpAddr::V4(address), _) => format!("{address}:{name}"),
            (IpAddr::V6(address), None) => format!("[{address}]:{name}"),
            (IpAddr::V6(address), Some(zone)) => format!("[{address}%{zone}]:{name}"),
        });
        let mut words = Vec::with_capacity(command.len() + 2);
        words.extend(iter::once(&self.program).chain(command).map(ToString::to_string));
        let start = words.len();
        words.extend(targets);
        if words.len() == start {
            words.push(name);
            // An address implies its family.
            words.extend(self.family.map(|family| if family == Family::Ipv4 { "-4" } else { "-6" }.to_owned()));
        }
        words.extend(self.reuse_address.then(|| "--reuse-addr".to_owned()));
        words
    }
}
