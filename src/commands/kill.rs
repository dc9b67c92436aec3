//! Frees a port: ends its holders, and verifies that it can be bound.
//!
//! The ordinary diagnosis says who holds the port ([`prepare`]). From it alone, [`plan()`] derives
//! who is signalled, who is left alone and why, and what else can be done. Then a handle is opened
//! to each process that is to be signalled, so the processes that were shown are the ones that are
//! ended. [`Prepared::execute`] checks each process through its handle right before each signal,
//! waits for its end, and checks twice that the port can be bound.

mod chosen;
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

#[cfg_attr(not(feature = "live"), expect(unused_imports, reason = "the live view chooses"))]
pub use chosen::{Chosen, SocketId};
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct Options {
    /// The first signal to send.
    pub signal: Signal,
    /// How long processes may take to end.
    pub grace: Duration,
    /// Whether to send SIGKILL to those that have not ended by then.
    pub force: bool,
    /// Whether to end processes that hold the port by a connection as well.
    pub clients: bool,
    /// Whether supervisors stop units and containers with their own tools, instead of signals to
    /// the processes.
    pub supervisor: bool,
    /// Whether to drop what is left of connections that no process has.
    pub remnants: bool,
    /// How long the port must stay free.
    pub settle: Duration,
    /// The user's consent.
    pub consent: Consent,
    /// Whether it is a failure if nobody holds the port.
    pub expect_held: bool,
}

impl Default for Options {
    /// As `portcheck kill` has them if nothing is said.
    fn default() -> Self {
        Self {
            signal: Signal::default(),
            grace: Duration::from_secs(5),
            force: false,
            clients: false,
            supervisor: false,
            remnants: false,
            settle: Duration::from_millis(300),
            consent: Consent::default(),
            expect_held: false,
        }
    }
}

/// The plan, with a handle to each process that is to be signalled.
#[derive(Debug)]
pub struct Prepared {
    /// The diagnosis on which it is based.
    pub diagnosis: Diagnosis,
    /// The plan.
    pub plan: Plan,
    /// Handles of the processes to signal, in the order of the plan. `None` if a process has ended.
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
    /// The outcome.
    pub outcome: Outcome,
    /// How long the port was watched. It stayed free for all of this time, unless somebody took it.
    pub watched: Duration,
    /// The new holders of the port, and how to keep them from it.
    pub takers: Vec<Taker>,
    /// What started a holder, still runs, and may start it again.
    pub survivors: Vec<Survivor>,
    /// What to do if the port is not free, the best first.
    pub next_steps: Vec<Remedy>,
    /// The last diagnosis.
    pub diagnosis: Diagnosis,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The action.
    pub action: Action,
    /// Its result.
    pub result: StepResult,
    /// Why, if that is not obvious.
    pub reason: Option<String>,
    /// How long it took. For a signal: until the process ended, or until the wait was given up.
    pub took: Duration,
}

/// An action.
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
    /// A remnant of a connection is dropped.
    Drop {
        /// The remnant.
        socket: Box<Socket>,
    },
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum StepResult {
    /// The process ended, the tool did its work, or the remnant is gone.
    Done,
    /// The process had ended before; nothing was sent.
    Gone,
    /// The process no longer has the socket; nothing was sent.
    LetGo,
    /// The process got the socket after the plan was shown, and is not in it; nothing was sent.
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

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Outcome {
    /// There was nothing to do.
    AlreadyFree,
    /// The port is free, and stayed so.
    Freed,
    /// A dry run: the plan would free the port.
    WouldFree,
    /// A dry run: the plan would leave holders alone.
    WouldNotFree,
    /// The user said no.
    Declined,
    /// Nobody could be ended.
    Refused,
    /// Some holders are still there.
    StillHeld,
    /// No process holds the port any more, but remnants of connections do.
    Remnants,
    /// The port was free or about to be, and somebody else took it.
    TakenAgain,
    /// Nobody holds the port any more, but this user may not bind it.
    Blocked,
    /// Whether it is free cannot be told.
    Unknown,
}

impl Outcome {
    /// The exit code.
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
    /// Its id.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// When it starts a holder again.
    pub returns: Returns,
}

/// A new holder of the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taker {
    /// Its id.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// What started it, if that started the old holder, too.
    pub starter: Option<String>,
    /// How to keep it from coming back.
    pub remedies: Vec<Remedy>,
}

impl Report {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self.outcome {
            Outcome::AlreadyFree if self.options.expect_held => Exit::No,
            outcome => outcome.exit(),
        }
    }
}

/// Finds out who holds the ports of `request`, and opens handles to the processes that are to be
/// ended.
pub fn prepare(request: Request, options: Options) -> Result<Prepared, Error> {
    let diagnosis = look(&request)?;
    let surroundings = Surroundings::read(diagnosis.host.euid, diagnosis.processes.iter().map(|process| process.pid));
    let keepers = Keepers::of(&diagnosis, &surroundings);
    let plan = plan(&diagnosis, &surroundings, &keepers, &options, &request);
    let signalled = plan.holders.iter().filter(|holder| !holder.is_stopped_by_keeper);
    let processes: Vec<&Process> =
        signalled.filter_map(|holder| find_process(&diagnosis.processes, holder.pid)).collect();
    // Most have only a shell above them.
    process::allow_descriptors(plan.holders.len() * 4);
    let handles = plan.holders.iter().map(|holder| Handle::open(holder.pid)).collect::<Result<Vec<_>, _>>()?;
    let starters = Starters::of(&processes, &surroundings)?;
    Ok(Prepared { diagnosis, plan, handles, starters, request, options, surroundings })
}

/// Looks at the ports. Remedies that this command itself carries out are left out.
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

    /// The outcome if nothing is to be done, or nothing can be done.
    pub fn foregone(&self) -> Option<Outcome> {
        let is_unknown = self.diagnosis.exit() == Exit::Unknown;
        match () {
            () if self.is_free() => Some(Outcome::AlreadyFree),
            () if is_unknown => Some(Outcome::Unknown),
            () if self.plan.is_empty() || self.objection().is_some() => Some(Outcome::Refused),
            () => None,
        }
    }

    /// Whether a holder would come back after the port is no longer watched.
    fn is_in_vain(&self) -> bool {
        self.plan.holders.iter().any(|holder| holder.outlasts(self.options.settle))
    }

    /// The outcome of a dry run.
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
