//! What to do if a port is not free after all. Never offers what has just failed.

use std::iter;

use super::{Action, Outcome, Prepared, Step, StepResult, Taker};
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{PortReport, Remedy, RemedyKind, Status, remedy};
use crate::platform::machine::IS_WINDOWS;

/// The next steps, the best first.
pub fn next_steps(
    prepared: &Prepared,
    steps: &[Step],
    outcome: Outcome,
    takers: &[Taker],
    after: &Diagnosis,
) -> Vec<Remedy> {
    let mut remedies: Vec<Remedy> = takers.iter().flat_map(|taker| taker.remedies.clone()).collect();
    match outcome {
        Outcome::StillHeld | Outcome::TakenAgain => remedies.extend(after_steps(prepared, steps, after)),
        Outcome::Remnants => remedies.extend(after_remnants(prepared, steps, after)),
        _ => {}
    }
    remedy::each_once(&remedies).into_iter().cloned().collect()
}

fn after_steps(prepared: &Prepared, steps: &[Step], after: &Diagnosis) -> Vec<Remedy> {
    let came_to = |result: StepResult| steps.iter().any(move |step| step.result == result);
    let call = the_only_one(after).map(|port| after.facts(&prepared.request, &port.observed).kill());
    let again = |text: &str, sudo: Option<&str>, option: Option<&str>| {
        let sudo = sudo.map(str::to_owned);
        let command = call.clone().map(|call| sudo.into_iter().chain(call).chain(option.map(str::to_owned)).collect());
        Remedy { kind: RemedyKind::EndProcess, text: text.to_owned(), command }
    };
    let mut remedies = Vec::new();
    if steps.iter().any(|step| matches!(step.action, Action::Supervisor { .. }) && step.result != StepResult::Done) {
        let stopped = prepared.plan.holders.iter().filter(|holder| holder.is_stopped_by_keeper);
        remedies.extend(stopped.filter_map(|holder| Some(holder.keeper.as_ref()?.remedy())));
    }
    if came_to(StepResult::NotPermitted) {
        let (text, sudo) =
            if IS_WINDOWS { ("end it, in an elevated prompt", None) } else { ("end it as root", Some("sudo")) };
        remedies.push(again(text, sudo, None));
    }
    // If a process let go of the port or ended meanwhile, its reason says so.
    let is_stubborn = |step: &Step| step.result == StepResult::StillRunning && step.reason.is_none();
    if !prepared.options.force && steps.iter().any(is_stubborn) {
        remedies.push(again("end it with SIGKILL, which it cannot ignore", None, Some("--force")));
    }
    if came_to(StepResult::NotShown) {
        remedies.push(again("see who has it now, and be asked again", None, None));
    }
    remedies
}

fn after_remnants(prepared: &Prepared, steps: &[Step], after: &Diagnosis) -> Vec<Remedy> {
    let wait = "they end by themselves; with --reuse-addr they count only if they block a server that sets SO_REUSEADDR, \
                as most do";
    let may_help = !prepared.options.remnants || steps.iter().any(|step| step.result == StepResult::NotPermitted);
    let facts = the_only_one(after).filter(|_| may_help).map(|port| after.facts(&prepared.request, &port.observed));
    let drop = facts.and_then(|facts| remedy::drop_remnants(&facts));
    iter::once(Remedy::advice(RemedyKind::Wait, wait)).chain(drop).collect()
}

/// The port that is not free, if there is exactly one.
fn the_only_one(after: &Diagnosis) -> Option<&PortReport> {
    let mut held = after.ports.iter().filter(|port| port.verdict.status != Status::Free);
    held.next().filter(|_| held.next().is_none())
}
