//! Frees a port: ends whoever holds it, and verifies that it can be bound.
//!
//! The story of `portcheck 8080 --kill`: the ordinary diagnosis says who holds the port ([`prepare`]). From it [`plan()`]
//! derives, without looking at anything else, who is to be signalled, who is refused and why, and what else can be done. Of everybody
//! to be signalled a handle is taken then, so that what was shown is what is meant. [`Prepared::execute`] checks each process
//! through its handle right before each signal, waits for its end, and looks twice whether the port can be bound.

mod consent;
mod execute;
mod heirs;
mod keeper;
mod keepers;
mod next;
mod plan;
mod restarter;
mod starters;
mod surroundings;
mod verify;

use std::time::Duration;

pub use consent::{Consent, Objection, users};
pub use keeper::Keeper;
pub use keepers::Returns;
pub use plan::{Holder, Plan, Reason, Refusal, plan};
pub use restarter::Restarter;
pub use surroundings::Surroundings;

use crate::commands::check::check;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::Exit;
use crate::diagnose::{Remedy, RemedyKind, Status};
use crate::error::Error;
use crate::model::{Pid, Process, Socket, find_process};
use crate::platform::Signal;
use crate::platform::process::{self, Handle};
use crate::request::Request;
use keepers::Keepers;
use starters::Starters;

/// What is asked for.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct Options {
    /// What to end processes with first.
    pub signal: Signal,
    /// How long they get to end.
    pub grace: Duration,
    /// Whether to send SIGKILL to those that have not ended by then.
    pub force: bool,
    /// Whether to end processes that hold the port by a connection as well.
    pub clients: bool,
    /// Whether to stop units and containers by their own tools, instead of signalling their processes.
    pub supervisor: bool,
    /// Whether to drop what is left of connections that no process has.
    pub remnants: bool,
    /// How long the port has to stay free.
    pub settle: Duration,
    /// Whether somebody has agreed to what is going to be done.
    pub consent: Consent,
    /// Whether it is a failure if nobody holds the port.
    pub expect_held: bool,
}

/// What is going to be done, with a hold on everybody it is done to.
#[derive(Debug)]
pub struct Prepared {
    /// The diagnosis that it rests on.
    pub diagnosis: Diagnosis,
    /// What is going to be done.
    pub plan: Plan,
    /// Of those to be signalled, in the order of the plan. `None` for who has ended already.
    handles: Vec<Option<Handle>>,
    starters: Starters,
    request: Request,
    options: Options,
    surroundings: Surroundings,
}

/// What was done.
#[derive(Debug)]
pub struct Report {
    /// What was asked for.
    pub options: Options,
    /// The plan.
    pub plan: Plan,
    /// Why nothing was done, if the consent did not cover the plan.
    pub objection: Option<Objection>,
    /// Whether several ports were asked about.
    pub is_about_several_ports: bool,
    /// Each thing that was done, in order.
    pub steps: Vec<Step>,
    /// What it came to.
    pub outcome: Outcome,
    /// How long the port was watched, and free for all of it unless somebody took it.
    pub watched: Duration,
    /// Who came to hold the port meanwhile, and how to keep them from it.
    pub takers: Vec<Taker>,
    /// Who started a holder, still runs, and may start it again.
    pub survivors: Vec<Survivor>,
    /// What to do about what is not free, the best first.
    pub next_steps: Vec<Remedy>,
    /// The last diagnosis.
    pub diagnosis: Diagnosis,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub action: Action,
    /// What came of it.
    pub result: StepResult,
    /// Why, where that is not plain.
    pub reason: Option<String>,
    /// How long it took: for a signal until the process ended, or until nobody waited any longer.
    pub took: Duration,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A signal is sent to a process.
    Signal {
        /// The process.
        pid: Pid,
        /// Its name.
        name: String,
        /// The signal.
        signal: Signal,
    },
    /// A supervisor's tool is run.
    Supervisor {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// What is left of a connection is dropped.
    Drop {
        /// It.
        socket: Box<Socket>,
    },
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum StepResult {
    /// The process ended, the tool did its work, or the remnant is gone.
    Done,
    /// The process had ended before; nothing was sent.
    Gone,
    /// The process does not have the socket any more; nothing was sent.
    LetGo,
    /// The process got the socket after the plan was made, and is not part of what was shown; nothing was sent.
    NotShown,
    /// The signal was sent, and the process has not ended.
    StillRunning,
    /// This user may not do it.
    NotPermitted,
    /// The tool that would do it is not installed.
    Missing,
    /// It failed otherwise.
    Failed,
}

/// What it all came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Outcome {
    /// There was nothing to do.
    AlreadyFree,
    /// The port is free, and stayed so.
    Freed,
    /// Nothing was done, as asked for: the plan would deal with every holder.
    WouldFree,
    /// Nothing was done, as asked for: the plan would leave holders alone.
    WouldNotFree,
    /// Who was asked said no.
    Declined,
    /// Nobody could be ended.
    Refused,
    /// Some holders are still there.
    StillHeld,
    /// No process holds it any more, but what is left of connections does.
    Remnants,
    /// It was free or about to be, and somebody else took it.
    TakenAgain,
    /// Nobody holds it any more, but this user may not bind it, so that it could not be tried.
    Blocked,
    /// Whether it is free cannot be told.
    Unknown,
}

impl Outcome {
    /// The exit code that it means.
    pub const fn exit(self) -> Exit {
        match self {
            Self::AlreadyFree | Self::Freed | Self::WouldFree => Exit::Yes,
            Self::Unknown => Exit::Unknown,
            _ => Exit::No,
        }
    }
}

/// A process that started a holder, and has not ended with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// It.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// When it starts a holder again.
    pub returns: Returns,
}

/// A process that holds the port though everybody who did was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taker {
    /// It.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// What started it, and did so before.
    pub starter: Option<String>,
    /// How to keep it from coming back.
    pub remedies: Vec<Remedy>,
}

impl Report {
    /// What it amounts to for a caller.
    pub fn exit(&self) -> Exit {
        match self.outcome {
            Outcome::AlreadyFree if self.options.expect_held => Exit::No,
            outcome => outcome.exit(),
        }
    }
}

/// Finds out who holds the ports that `request` asks about, and takes hold of everybody who is to be ended.
pub fn prepare(request: Request, options: Options) -> Result<Prepared, Error> {
    let diagnosis = look(&request)?;
    let surroundings = Surroundings::read(diagnosis.host.euid, diagnosis.processes.iter().map(|process| process.pid));
    let keepers = Keepers::of(&diagnosis, &surroundings);
    let plan = plan(&diagnosis, &surroundings, &keepers, &options, &request);
    let signalled = plan.holders.iter().filter(|holder| !holder.is_stopped_by_keeper);
    let processes: Vec<&Process> =
        signalled.filter_map(|holder| find_process(&diagnosis.processes, holder.pid)).collect();
    // Most have a shell above them, and little else.
    process::allow_descriptors(plan.holders.len() * 4);
    let handles = plan.holders.iter().map(|holder| Handle::open(holder.pid)).collect::<Result<Vec<_>, _>>()?;
    let starters = Starters::of(&processes, &surroundings)?;
    Ok(Prepared { diagnosis, plan, handles, starters, request, options, surroundings })
}

/// Looks at the ports. What is being done is not offered.
fn look(request: &Request) -> Result<Diagnosis, Error> {
    let mut diagnosis = check(request)?;
    for finding in diagnosis.ports.iter_mut().flat_map(|port| &mut port.verdict.findings) {
        finding.remedies.retain(|remedy| !matches!(remedy.kind, RemedyKind::EndProcess | RemedyKind::DropRemnants));
    }
    Ok(diagnosis)
}

impl Prepared {
    /// Whether every port asked about is free already.
    pub fn is_free(&self) -> bool {
        self.diagnosis.ports.iter().all(|port| port.verdict.status == Status::Free)
    }

    /// What was asked for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What it comes to without doing anything, if nothing is to be done or nothing can be done.
    pub fn foregone(&self) -> Option<Outcome> {
        let is_unknown = self.diagnosis.exit() == Exit::Unknown;
        match () {
            () if self.is_free() => Some(Outcome::AlreadyFree),
            () if is_unknown => Some(Outcome::Unknown),
            () if self.plan.is_empty() || self.objection().is_some() => Some(Outcome::Refused),
            () => None,
        }
    }

    /// Whether somebody would come back after nobody looks any more.
    fn is_in_vain(&self) -> bool {
        self.plan.holders.iter().any(|holder| holder.outlasts(self.options.settle))
    }

    /// What a run that only shows the plan comes to.
    pub fn dry_run(&self) -> Outcome {
        match self.foregone() {
            Some(Outcome::Refused) | None if !self.plan.refusals.is_empty() || self.is_in_vain() => {
                Outcome::WouldNotFree
            }
            Some(outcome) => outcome,
            None => Outcome::WouldFree,
        }
    }

    /// Reports that nothing was done.
    pub fn untouched(self, outcome: Outcome) -> Report {
        let (objection, is_about_several_ports) = (self.objection(), self.is_about_several_ports());
        let Self { diagnosis, plan, options, .. } = self;
        Report {
            options,
            plan,
            objection,
            is_about_several_ports,
            steps: Vec::new(),
            outcome,
            watched: Duration::ZERO,
            takers: Vec::new(),
            survivors: Vec::new(),
            next_steps: Vec::new(),
            diagnosis,
        }
    }
}
