//! What became of a task of Ansible: whether it failed, whether it changed anything, and a sentence
//! that says why.

use std::io::{self, Write};

use super::report::headline;
use super::{Style, json, kill, preflight, reach, wait};
use crate::answer::Answer;
use crate::commands::ansible::{State, Task};
use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::Exit;
use crate::commands::free;
use crate::commands::kill::{Report, StepResult};
use crate::diagnose::{PortReport, Status, enumerate};
use crate::model::{self, Protocol, ShownBy};

/// What became of a task.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it changed the machine, or would have.
    pub changed: bool,
    /// Whether what it requires is not so.
    pub failed: bool,
    /// Why.
    pub msg: String,
}

/// Writes what became of a task, and returns whether it failed.
pub fn write(answer: &Answer, task: Task, out: &mut dyn Write) -> io::Result<bool> {
    let outcome = Outcome { changed: changed(answer), failed: failed(answer, task), msg: message(answer, task) };
    let style = Style { now: Style::present(), ..Style::default() };
    json::task(&outcome, answer, task, &style, out)?;
    Ok(outcome.failed)
}

/// Writes that a task could not be done.
pub fn error(kind: json::ErrorKind, message: &str, host: &model::Host, out: &mut dyn Write) -> io::Result<()> {
    json::task_error(kind, message, host, out)
}

/// A lease is no change: it ends by itself.
fn changed(answer: &Answer) -> bool {
    use crate::commands::kill::Outcome::{WouldFree, WouldNotFree};
    let Answer::Kill(report) = answer else { return false };
    let is_done = |result: StepResult| matches!(result, StepResult::Done | StepResult::StillRunning);
    match report.outcome {
        WouldFree | WouldNotFree => !report.plan.is_empty(),
        _ => report.steps.iter().any(|step| is_done(step.result)),
    }
}

fn failed(answer: &Answer, task: Task) -> bool {
    match (answer, task.state) {
        (Answer::Kill(_) | Answer::Wait(_) | Answer::Free(_), _)
        | (Answer::Check(_) | Answer::Preflight(_), State::Free) => answer.exit() != Exit::Yes,
        (Answer::Check(diagnosis), State::Listening) => !silent(diagnosis).is_empty(),
        _ => false,
    }
}

/// The ports on which nobody was seen to listen. A server is usually one of TCP, so UDP counts only
/// where TCP was not asked about.
fn silent(diagnosis: &Diagnosis) -> Vec<&PortReport> {
    let has_tcp = |port: u16| {
        let is_its = |other: &&PortReport| other.observed.port == port;
        diagnosis.ports.iter().filter(is_its).any(|other| other.observed.protocol == Protocol::Tcp)
    };
    let counts = |port: &&PortReport| port.observed.protocol == Protocol::Tcp || !has_tcp(port.observed.port);
    let listens = |port: &PortReport| {
        let is_server = |state: model::State| matches!(state, model::State::Listen | model::State::Unconnected);
        port.observed.sockets.iter().any(|socket| is_server(socket.state))
    };
    diagnosis.ports.iter().filter(counts).filter(|port| !listens(port)).collect()
}

fn message(answer: &Answer, task: Task) -> String {
    let message = match answer {
        Answer::Check(diagnosis) => match &silent(diagnosis)[..] {
            silent if task.state == State::Listening && !silent.is_empty() => nobody_listens(silent),
            _ => ports(diagnosis),
        },
        Answer::Kill(report) => ended(report),
        Answer::Wait(report) => wait::headline(report),
        Answer::Free(report) => picked(report),
        Answer::Reach(report) => brief(report.diagnosis.ports.iter().map(|port| reach::headline(port, report).1)),
        Answer::Preflight(report) => preflight::conclusion(report),
        other => match other.diagnosis().ports.len() {
            1 => "1 port is in use".to_owned(),
            count => format!("{count} ports are in use"),
        },
    };
    match hint(answer.diagnosis(), failed(answer, task)) {
        Some(hint) => format!("{message}; {hint}"),
        None => message,
    }
}

/// What would show more, where that matters.
fn hint(diagnosis: &Diagnosis, has_failed: bool) -> Option<&'static str> {
    let is_unsure = |port: &PortReport| {
        port.verdict.status == Status::Unknown || port.observed.sockets.iter().any(|socket| socket.owners.is_unsure())
    };
    let is_told = has_failed && diagnosis.ports.iter().any(is_unsure);
    let by_root = diagnosis.gaps.iter().any(|gap| gap.shown_by == ShownBy::Root);
    (is_told && by_root).then_some("'become: true' would show more")
}

fn nobody_listens(silent: &[&PortReport]) -> String {
    let names: Vec<String> = silent.iter().map(|port| port.observed.name()).collect();
    match names.len() {
        count @ 9.. => format!("nobody listens on {count} of the ports"),
        _ => format!("nobody listens on {}", enumerate(&names, "or")),
    }
}

/// The answers on the ports, the worst first.
fn ports(diagnosis: &Diagnosis) -> String {
    let mut parts: Vec<Vec<&PortReport>> = Vec::new();
    for port in &diagnosis.ports {
        let is_its = |part: &&mut Vec<&PortReport>| {
            part[0].observed.port == port.observed.port
                && part[0].observed.place() == port.observed.place()
                && headline::is_same(part[0], port)
        };
        match parts.iter_mut().rev().find(is_its) {
            Some(part) => part.push(port),
            None => parts.push(vec![port]),
        }
    }
    // That the other protocol is free is not worth a word, beside one that is held.
    let held: Vec<u16> = parts.iter().filter(|part| !is_free(part[0])).map(|part| part[0].observed.port).collect();
    parts.retain(|part| !is_free(part[0]) || !held.contains(&part[0].observed.port));
    parts.sort_by_key(|part| part[0].verdict.status);
    brief(parts.iter().map(|part| match part[0].verdict.status {
        Status::Free => headline::bare_free(part),
        _ => headline::of(part, diagnosis).text,
    }))
}

fn is_free(port: &PortReport) -> bool {
    port.verdict.status == Status::Free
}

/// The first of these sentences, and how many more there are.
fn brief(sentences: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 8;
    let more = sentences.len().saturating_sub(MOST);
    let mut parts: Vec<String> = sentences.take(MOST).collect();
    parts.extend((more > 0).then(|| format!("and {more} more")));
    parts.join("; ")
}

/// What was done about holders, or would be.
fn ended(report: &Report) -> String {
    let plan = kill::in_brief(report);
    let refusals = report.plan.refusals.iter();
    let refusals = refusals.map(|refusal| kill::sentence_on(refusal, &report.diagnosis.processes));
    let objection = report.objection.map(|objection| match objection {
        crate::commands::kill::Objection::Miscounted { expected, processes } => {
            format!("'processes: {expected}' does not cover the {processes} processes that would be ended")
        }
        crate::commands::kill::Objection::Uncounted { processes, .. } => {
            format!("to end so many processes, add 'processes: {processes}'")
        }
    });
    let parts: Vec<String> = [plan].into_iter().chain(refusals).chain(objection).collect();
    brief(parts.into_iter())
}

fn picked(report: &free::Report) -> String {
    let names: Vec<String> = report.ports.iter().take(8).map(ToString::to_string).collect();
    let found = match report.ports.len() {
        0 => None,
        1 => Some(format!("{} is free", names[0])),
        count @ 9.. => Some(format!("{count} ports are free")),
        _ => Some(format!("{} are free", enumerate(&names, "and"))),
    };
    brief(found.into_iter().chain(report.problems.iter().cloned()).collect::<Vec<_>>().into_iter())
}
