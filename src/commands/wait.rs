//! Waits until somebody listens on ports, or until they are free.
//!
//! Each port is a [`Goal`]. The kernel is asked again and again for listeners on these ports, which
//! is cheap (`look`). Ports of other machines are tried by connecting, in threads of their own
//! (`remote`). Before a wait ends, or for somebody who watches, the ordinary diagnosis is made, and
//! decides. Between two looks this process sleeps in poll(2) on the watched processes, so it
//! notices their end at once.

mod answering;
mod end;
mod look;
mod pace;
mod remote;

use std::collections::HashMap;
use std::time::{Duration, Instant};

pub use answering::Accepted;
pub use look::By;
pub use remote::{Progress, Remote, parse as parse_remote};

use crate::collect;
use crate::commands::check::check;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::Exit;
use crate::commands::identify::Typed;
use crate::diagnose::PortReport;
use crate::error::Error;
use crate::model::{Pid, Protocol};
use crate::request::Request;
use crate::target::Target;
use answering::Asker;
use end::End;
use look::{Look, Looker};
use pace::Pace;
use remote::Attempts;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Awaited {
    /// Somebody listens on it.
    Listening,
    /// It can be bound.
    Free,
    /// Somebody listens on it, and answers a question.
    Answering,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is waited for.
    pub awaited: Awaited,
    /// The longest time; no limit if `None`.
    pub timeout: Option<Duration>,
    /// Whether one port is enough.
    pub any: bool,
    /// The process that must listen; any process if `None`. Unused for ports that are to be free.
    pub by: Option<By>,
    /// Processes whose end ends the wait.
    pub pids: Vec<Pid>,
    /// Whether to wait until the name of another machine exists.
    pub wait_for_dns: bool,
    /// The statuses of HTTP that are good enough; those below 500 if `None`. Only for answers.
    pub status: Option<Accepted>,
}

/// A port that is waited for, and its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Where it is.
    pub place: Place,
    /// Whether it is as awaited.
    pub is_met: bool,
    /// The URL that was typed, if it was one.
    pub typed: Option<Typed>,
    /// The progress of attempts to connect, for a port of another machine.
    pub progress: Option<Progress>,
}

/// Where an awaited port is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this machine: a target with one port.
    Here(Target),
    /// On another machine.
    There(Remote),
}

impl Goal {
    /// One goal for each port of the targets.
    pub fn all(here: &[Target], there: Vec<Remote>) -> Vec<Self> {
        let single = |target: &Target, port| Target { first: port, last: port, ..target.clone() };
        let here = here.iter().flat_map(|target| target.ports().map(move |port| Place::Here(single(target, port))));
        let places = here.chain(there.into_iter().map(Place::There));
        let progress = |place: &Place| matches!(place, Place::There(_)).then_some(Progress::NotTried);
        places.map(|place| Self { progress: progress(&place), place, is_met: false, typed: None }).collect()
    }

    /// As people write it: `8080/tcp`, `127.0.0.1:8080`, `db.internal:5432`.
    pub fn name(&self) -> String {
        let target = match &self.place {
            Place::There(remote) => return remote.to_string(),
            Place::Here(target) => target,
        };
        let protocol = target.protocol.map(|protocol| format!("/{protocol}")).unwrap_or_default();
        let zone = target.zone.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
        match &target.addresses[..] {
            [] => format!("{}{protocol}", target.first),
            [address] if address.is_ipv6() => format!("[{address}{zone}]:{}{protocol}", target.first),
            [address] => format!("{address}:{}{protocol}", target.first),
            _ => format!("localhost:{}{protocol}", target.first),
        }
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Outcome {
    /// All goals are met.
    Met,
    /// The time ran out.
    Timeout,
    /// A process that was watched has ended.
    ProcessEnded(Pid),
    /// A process other than the awaited one listens.
    TakenByAnother,
    /// This user may not bind the port, so it can never be seen to be free.
    Blocked,
    /// Somebody listens, but who it is cannot be seen.
    Unknown,
    /// A named machine does not exist.
    UnknownName,
}

/// How a wait went.
#[derive(Debug)]
pub struct Report {
    /// What was asked for.
    pub options: Options,
    /// How it ended.
    pub outcome: Outcome,
    /// The progress of each port.
    pub goals: Vec<Goal>,
    /// How long it took.
    pub elapsed: Duration,
    /// The last diagnosis of the ports of this machine.
    pub diagnosis: Diagnosis,
}

impl Report {
    /// The exit code.
    pub const fn exit(&self) -> Exit {
        match self.outcome {
            Outcome::Met => Exit::Yes,
            Outcome::Timeout => Exit::Timeout,
            Outcome::Unknown => Exit::Unknown,
            Outcome::ProcessEnded(_) | Outcome::TakenByAnother | Outcome::Blocked | Outcome::UnknownName => Exit::No,
        }
    }
}

/// The protocol of targets that name none: a server to wait for is usually a TCP server. A port is
/// free only if it is free for both.
pub fn awaited_targets(awaited: Awaited, protocols: &[Protocol], targets: Vec<Target>) -> Vec<Target> {
    if awaited == Awaited::Free {
        return targets;
    }
    let usual = if protocols == [Protocol::Udp] { Protocol::Udp } else { Protocol::Tcp };
    targets.into_iter().map(|target| Target { protocol: target.protocol.or(Some(usual)), ..target }).collect()
}

/// Called with the diagnosis when the situation has changed.
pub type Watcher<'a> = dyn FnMut(&Diagnosis) + 'a;

/// Waits until `goals` are met. `request` says how to look; its targets are made from the goals.
/// `watcher` is called at the start, and when the situation has changed.
pub fn wait(
    request: &Request,
    options: Options,
    goals: Vec<Goal>,
    mut watcher: Option<&mut Watcher<'_>>,
) -> Result<Report, Error> {
    let end = End::of(&options)?;
    let request = Request { targets: targets_of(&goals), ..request.clone() };
    let mut wait = Wait {
        attempts: Attempts::start(&goals, &request, &options)?,
        asker: Asker::new(&request, &options),
        looker: Looker::new(&request, &options),
        request: &request,
        options: &options,
        goals,
    };
    let mut pace = Pace::default();
    let mut last_seen = None;
    let (outcome, diagnosis) = loop {
        // Before the look: what a process did before its end still counts.
        let given_up = end.reached();
        let look = match wait.look_once(&mut pace)? {
            Looked::Over(outcome, diagnosis) => break (outcome, *diagnosis),
            Looked::GoOn(look) => look,
        };
        if let Some(outcome) = given_up {
            break (outcome, wait.diagnose(outcome == Outcome::Timeout)?);
        }
        if let Some(watcher) = &mut watcher
            && last_seen.as_ref() != Some(&look)
        {
            watcher(&wait.diagnose(false)?);
            last_seen = Some(look);
        }
        wait.looker.rest(&end, pace.pause())?;
    };
    let (goals, elapsed) = (wait.goals, end.start.elapsed());
    Ok(Report { options, outcome, goals, elapsed, diagnosis })
}

/// The ports on this machine.
fn targets_of(goals: &[Goal]) -> Vec<Target> {
    let here = goals.iter().filter_map(|goal| match &goal.place {
        Place::Here(target) => Some(target.clone()),
        Place::There(_) => None,
    });
    here.collect()
}

/// A running wait.
struct Wait<'a> {
    request: &'a Request,
    options: &'a Options,
    goals: Vec<Goal>,
    looker: Looker<'a>,
    attempts: Attempts,
    asker: Asker,
}

/// The result of a look.
enum Looked {
    /// The wait ends with this outcome and diagnosis.
    Over(Outcome, Box<Diagnosis>),
    /// Nothing has happened yet.
    GoOn(Look),
}

impl Wait<'_> {
    /// Looks, and lets the ordinary diagnosis confirm that the goals are met.
    fn look_once(&mut self, pace: &mut Pace) -> Result<Looked, Error> {
        let start = Instant::now();
        let (outcome, look) = self.look()?;
        pace.looked(start.elapsed());
        let Some(outcome) = outcome else { return Ok(Looked::GoOn(look)) };
        let diagnosis = self.diagnose(false)?;
        if outcome != Outcome::Met || self.confirm(&diagnosis) {
            return Ok(Looked::Over(outcome, Box::new(diagnosis)));
        }
        // For example, a lease on a port that can be bound. This may last long.
        pace.disagreed(start.elapsed());
        Ok(Looked::GoOn(look))
    }

    /// Looks at every port. Returns how the wait ends, if it does, and what was seen, to compare it
    /// with the next look.
    fn look(&mut self) -> Result<(Option<Outcome>, Look), Error> {
        self.attempts.collect(&mut self.goals);
        let look = self.looker.look(&mut self.goals)?;
        self.asker.look(&mut self.goals)?;
        let outcome = if self.is_for_enough(|goal| goal.is_met) {
            Some(Outcome::Met)
        } else if self.is_in_vain() {
            Some(Outcome::UnknownName)
        } else {
            look.failure()
        };
        Ok((outcome, look))
    }

    /// Whether enough goals are as `is` says: one of them with `--any`, else all.
    fn is_for_enough(&self, is: impl Fn(&Goal) -> bool) -> bool {
        if self.options.any { self.goals.iter().any(is) } else { self.goals.iter().all(is) }
    }

    /// Whether the wait cannot end, because machines do not exist.
    fn is_in_vain(&self) -> bool {
        let may_be_met = |goal: &Goal| goal.progress != Some(Progress::UnknownName);
        !self.options.wait_for_dns && !self.is_for_enough(may_be_met)
    }

    /// The ordinary diagnosis of the ports of this machine. While a server is awaited, nothing is
    /// bound, as that could block the server.
    fn diagnose(&self, is_given_up: bool) -> Result<Diagnosis, Error> {
        let is_here = |goal: &Goal| matches!(goal.place, Place::Here(_));
        if self.goals.iter().any(is_here) {
            let probe = self.request.probe && (is_given_up || self.options.awaited == Awaited::Free);
            return check(&Request { probe, ..self.request.clone() });
        }
        // A request without ports would ask about all of them.
        Ok(Diagnosis::of_no_ports(collect::host(self.request.backend)))
    }

    /// Whether the ordinary diagnosis agrees. After the look, a server may have ended or started.
    /// Goals that it does not confirm are not met.
    fn confirm(&mut self, diagnosis: &Diagnosis) -> bool {
        let by_port = reports_by_port(diagnosis);
        let agrees = |goal: &Goal| match &goal.place {
            Place::There(_) => true,
            Place::Here(target) => {
                let mut its = reports_on(&by_port, target).peekable();
                its.peek().is_some() && its.all(|port| look::is_as_awaited(self.options.awaited, port, target))
            }
        };
        let met: Vec<bool> = self.goals.iter().map(|goal| goal.is_met && agrees(goal)).collect();
        for (goal, &is_met) in self.goals.iter_mut().zip(&met) {
            goal.is_met = is_met;
        }
        if self.options.any { met.contains(&true) } else { !met.contains(&false) }
    }
}

/// The reports by port. Searching all of them for each of thousands of goals would take long.
fn reports_by_port(diagnosis: &Diagnosis) -> HashMap<u16, Vec<&PortReport>> {
    let mut by_port: HashMap<u16, Vec<&PortReport>> = HashMap::new();
    for port in &diagnosis.ports {
        by_port.entry(port.observed.port).or_default().push(port);
    }
    by_port
}

/// The reports on a target with one port.
fn reports_on<'a>(
    by_port: &HashMap<u16, Vec<&'a PortReport>>,
    target: &Target,
) -> impl Iterator<Item = &'a PortReport> {
    let found = by_port.get(&target.first).map_or(&[][..], Vec::as_slice).iter().copied();
    found.filter(|port| target.wants(port.observed.protocol) && port.observed.addresses == target.addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_named_as_people_write_them() {
        let names = crate::target::Names {
            services: |_| Vec::new(),
            nearest: |_| None,
            hostname: || None,
            addresses: |_| Vec::new(),
        };
        for (typed, expected) in [
            ("8080", vec!["8080"]),
            ("8080-8081/tcp", vec!["8080/tcp", "8081/tcp"]),
            ("127.0.0.1:80,81", vec!["127.0.0.1:80", "127.0.0.1:81"]),
            ("[fe80::1%eth0]:80", vec!["[fe80::1%eth0]:80"]),
            ("localhost:80/udp", vec!["localhost:80/udp"]),
        ] {
            let goals = Goal::all(&crate::target::parse(typed, &names).unwrap(), Vec::new());
            assert_eq!(goals.iter().map(Goal::name).collect::<Vec<_>>(), expected, "{typed}");
        }
    }

    #[test]
    fn what_listens_is_tcp_unless_said_otherwise() {
        let target = |protocol| Target { first: 80, last: 80, protocol, addresses: Vec::new(), zone: None };
        let protocol = |awaited, protocols: &[Protocol], named| {
            awaited_targets(awaited, protocols, vec![target(named)])[0].protocol
        };
        let both = &Protocol::ALL[..];
        assert_eq!(protocol(Awaited::Listening, both, None), Some(Protocol::Tcp));
        assert_eq!(protocol(Awaited::Listening, both, Some(Protocol::Udp)), Some(Protocol::Udp));
        assert_eq!(protocol(Awaited::Listening, &[Protocol::Udp], None), Some(Protocol::Udp));
        assert_eq!(protocol(Awaited::Free, both, None), None);
    }
}
