//! What --kill did, as JSON: the types, and how they are made from a report.

#[cfg(test)]
use crate::commands::kill::{Outcome, StepResult};
#[cfg(test)]
use crate::model::Protocol;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use super::parts::{WireEndpoint, WirePortName, WireRemedy, endpoint, port_name, remedy};
use crate::commands::kill::{Action, Holder, Keeper, Refusal, Report, Step, Taker};
use crate::duration::milliseconds;
use crate::model::Process;
use crate::render::escape;

/// What --kill was to do, and did.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Kill"))]
pub struct WireKill<'a> {
    /// What it came to.
    #[cfg_attr(test, schemars(extend("enum" = Outcome::VARIANTS)))]
    pub outcome: &'static str,
    /// The signal that processes got first.
    pub signal: &'static str,
    /// How long they had to end.
    pub grace_ms: u64,
    /// How long the port had to stay free.
    pub settle_ms: u64,
    /// How long it was watched, and was free.
    pub watched_ms: u64,
    /// The processes that were to be ended, parents before their children.
    pub holders: Vec<WireHolder<'a>>,
    /// Why nothing was done, if `--yes` did not cover so many processes.
    pub objection: Option<String>,
    /// Who was left alone.
    pub refused: Vec<WireRefusal<'a>>,
    /// What was done, in order; empty if nothing was.
    pub steps: Vec<WireStep<'a>>,
    /// Who holds the port though every holder was ended.
    pub taken_by: Vec<WireTaker<'a>>,
    /// Who started a holder, still runs, and may start it again later.
    pub may_start_again: Vec<WireSurvivor<'a>>,
    /// What to do about what is not free, the best first; never what has just failed.
    pub next_steps: Vec<WireRemedy<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Survivor"))]
pub struct WireSurvivor<'a> {
    pub pid: u32,
    pub name: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Holder"))]
pub struct WireHolder<'a> {
    pub pid: u32,
    pub name: &'a str,
    /// Its command line, argument by argument.
    pub command: &'a [String],
    pub user: Option<&'a str>,
    pub ports: Vec<WirePortName>,
    /// Who looks after it, and may start it again.
    pub supervisor: Option<WireSupervisor>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Supervisor"))]
pub struct WireSupervisor {
    /// systemd, systemd-user, a container runtime, supervisord, pm2 or another supervisor, nodemon
    /// or another program that watches files, or shell-loop.
    pub kind: &'static str,
    pub name: String,
    /// How to stop it properly.
    pub stop: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Refusal"))]
pub struct WireRefusal<'a> {
    pub port: u16,
    #[cfg_attr(test, schemars(extend("enum" = Protocol::VARIANTS)))]
    pub protocol: &'static str,
    /// The processes, as far as they are known.
    pub pids: &'a [u32],
    /// Why, in one sentence.
    pub reason: String,
    /// Who would start them again, if that is the reason.
    pub supervisor: Option<WireSupervisor>,
    /// What can be done instead.
    pub remedies: Vec<WireRemedy<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Step"))]
pub struct WireStep<'a> {
    #[cfg_attr(test, schemars(extend("enum" = ["signal", "supervisor", "drop"])))]
    pub action: &'static str,
    /// Of a signal.
    pub pid: Option<u32>,
    /// The name of that process.
    pub name: Option<&'a str>,
    /// Without SIG in front.
    pub signal: Option<&'static str>,
    /// The supervisor's tool and its arguments.
    pub command: Option<&'a [String]>,
    /// The remnant of a connection that was dropped: its own end.
    pub local: Option<WireEndpoint>,
    /// Its other end.
    pub remote: Option<WireEndpoint>,
    /// done: the process ended, the tool did its work, the remnant is gone. gone, let-go: nothing
    /// was done, as the process had ended by itself or let the socket go. not-shown: nothing was
    /// done, as it got the socket after the plan was shown.
    #[cfg_attr(test, schemars(extend("enum" = StepResult::VARIANTS)))]
    pub result: &'static str,
    /// Why, where that is not plain.
    pub reason: Option<&'a str>,
    /// From the signal to the end of the process, or to the end of patience.
    pub elapsed_ms: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Taker"))]
pub struct WireTaker<'a> {
    pub pid: u32,
    pub name: &'a str,
    /// Who started both it and the one that was ended, or looks after it.
    pub started_by: Option<&'a str>,
    pub remedies: Vec<WireRemedy<'a>>,
}

pub fn kill(report: &Report) -> WireKill<'_> {
    WireKill {
        outcome: report.outcome.into_str(),
        signal: report.options.signal.name(),
        grace_ms: milliseconds(report.options.grace),
        settle_ms: milliseconds(report.options.settle),
        watched_ms: milliseconds(report.watched),
        holders: report.plan.holders.iter().map(holder).collect(),
        objection: report.objection.map(crate::render::kill::sentence_of),
        refused: report.plan.refusals.iter().map(|one| refusal(one, &report.diagnosis.processes)).collect(),
        steps: report.steps.iter().map(step).collect(),
        taken_by: report.takers.iter().map(taker).collect(),
        may_start_again: report.survivors.iter().map(|one| WireSurvivor { pid: one.pid, name: &one.name }).collect(),
        next_steps: report.next_steps.iter().map(remedy).collect(),
    }
}

fn holder(holder: &Holder) -> WireHolder<'_> {
    WireHolder {
        pid: holder.pid,
        name: &holder.name,
        command: &holder.command,
        user: holder.user.as_deref(),
        ports: holder.ports.iter().copied().map(port_name).collect(),
        supervisor: holder.keeper.as_ref().map(supervisor),
    }
}

fn supervisor(keeper: &Keeper) -> WireSupervisor {
    WireSupervisor {
        kind: keeper.kind(),
        name: keeper.name(),
        stop: keeper.remedy().command.as_deref().map(escape::typed),
    }
}

fn refusal<'a>(refusal: &'a Refusal, processes: &[Process]) -> WireRefusal<'a> {
    WireRefusal {
        port: refusal.port,
        protocol: refusal.protocol.into_str(),
        pids: &refusal.pids,
        reason: crate::render::kill::sentence_on(refusal, processes),
        supervisor: refusal.keeper.as_ref().map(supervisor),
        remedies: refusal.remedies.iter().map(remedy).collect(),
    }
}

fn step(step: &Step) -> WireStep<'_> {
    let mut wire = WireStep {
        action: "signal",
        pid: None,
        name: None,
        signal: None,
        command: None,
        local: None,
        remote: None,
        result: step.result.into_str(),
        reason: step.reason.as_deref(),
        elapsed_ms: milliseconds(step.took),
    };
    match &step.action {
        Action::Signal { pid, name, signal } => {
            (wire.pid, wire.name, wire.signal) = (Some(*pid), Some(name.as_str()), Some(signal.name()));
        }
        Action::Supervisor { command } => (wire.action, wire.command) = ("supervisor", Some(command.as_slice())),
        Action::Drop { socket } => {
            wire.action = "drop";
            (wire.local, wire.remote) = (Some(endpoint(socket.local)), socket.remote.map(endpoint));
        }
    }
    wire
}

fn taker(taker: &Taker) -> WireTaker<'_> {
    WireTaker {
        pid: taker.pid,
        name: &taker.name,
        started_by: taker.starter.as_deref(),
        remedies: taker.remedies.iter().map(remedy).collect(),
    }
}
