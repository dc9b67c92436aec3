//! What --wait waits for, and how that went, in words.

use std::io::{self, Write};

use super::paper::Paper;
use super::{Style, colour};
use crate::commands::diagnosis::Diagnosis;
use crate::commands::wait::{Awaited, By, Goal, Options, Outcome, Progress, Report};
use crate::diagnose::{Severity, Status};
use crate::duration::words;
use crate::prose;

/// Writes what is waited for, and who is there now.
pub fn now(
    goals: &[Goal],
    options: &Options,
    diagnosis: &Diagnosis,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let paper = &mut Paper::new(style.width, out);
    let limit = options.timeout.map(|timeout| format!(", at most {}", words(timeout))).unwrap_or_default();
    let (what, is_one) = names(goals.iter(), if options.any { "or" } else { "and" });
    let what = match (options.awaited, is_one) {
        (Awaited::Listening, _) => format!("{} listens on {what}", listener(options)),
        (Awaited::Answering, true) => format!("{what} answers"),
        (Awaited::Answering, false) => format!("{what} answer"),
        (Awaited::Free, true) => format!("{what} is free"),
        (Awaited::Free, false) => format!("{what} are free"),
    };
    paper.sentence(&format!("waiting until {what}{limit}"))?;
    situation(diagnosis, paper)
}

/// Who is there: the conflicts that the diagnosis found.
fn situation(diagnosis: &Diagnosis, paper: &mut Paper<'_>) -> io::Result<()> {
    const MOST: usize = 8;
    let conflicts = diagnosis.ports.iter().flat_map(|port| &port.verdict.findings);
    let conflicts: Vec<_> = conflicts.filter(|finding| finding.severity <= Severity::Unknown).collect();
    for finding in conflicts.iter().take(MOST) {
        paper.sentence(&format!("  now: {}", prose::sentence(finding, &diagnosis.processes)))?;
    }
    match &conflicts[..] {
        [] if diagnosis.ports.is_empty() => Ok(()),
        [] => paper.sentence("  now: free"),
        several if several.len() > MOST => paper.sentence(&format!("  and {} more", several.len() - MOST)),
        _ => Ok(()),
    }
}

/// Writes the report.
pub fn report(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let paper = &mut Paper::new(style.width, out);
    let status = if report.outcome == Outcome::Met { Status::Free } else { Status::Held };
    paper.coloured(&headline(report), colour::of(status))?;
    for goal in &report.goals {
        match &goal.progress {
            None => {}
            Some(Progress::Answers(address)) => paper.sentence(&format!("{} answers at {address}", goal.name()))?,
            Some(progress) => paper.sentence(&format!("{}: {progress}", goal.name()))?,
        }
    }
    if report.outcome == Outcome::UnknownName {
        paper.sentence("to wait until the name exists, add --wait-for-dns")?;
    }
    if report.outcome != Outcome::Met {
        if report.diagnosis.ports.is_empty() {
            return Ok(());
        }
        paper.gap()?;
        return super::ports(&report.diagnosis, style, paper.out);
    }
    if report.options.awaited != Awaited::Free {
        let listens = report.diagnosis.ports.iter().flat_map(|port| &port.verdict.findings);
        for finding in listens.filter(|finding| finding.severity == Severity::Conflict && !finding.pids.is_empty()) {
            paper.sentence(&prose::sentence(finding, &report.diagnosis.processes))?;
        }
    }
    Ok(())
}

/// How it went.
pub fn headline(report: &Report) -> String {
    let after = words(report.elapsed);
    match report.outcome {
        Outcome::Met => format!("{}, after {after}", met(report)),
        Outcome::Timeout | Outcome::UnknownName => format!("{}, after {after}", not_met(report)),
        Outcome::ProcessEnded(pid) => format!("{}, and process {pid} has ended, after {after}", not_met(report)),
        Outcome::TakenByAnother => {
            format!("a process other than {} listens there, after {after}", listener(&report.options))
        }
        Outcome::Blocked => format!("{} for you: you may not bind it, however long you wait", not_met(report)),
        Outcome::Unknown => format!("somebody listens there after {after}, but who it is cannot be seen"),
    }
}

fn met(report: &Report) -> String {
    let (met, is_one) = names(report.goals.iter().filter(|goal| goal.is_met), "and");
    match (report.options.awaited, is_one) {
        (Awaited::Listening, _) => format!("{} listens on {met}", listener(&report.options)),
        (Awaited::Answering, true) => format!("{met} answers"),
        (Awaited::Answering, false) => format!("{met} answer"),
        (Awaited::Free, true) => format!("{met} is free"),
        (Awaited::Free, false) => format!("{met} are free"),
    }
}

fn not_met(report: &Report) -> String {
    let missing = report.goals.iter().filter(|goal| !goal.is_met);
    let awaited = report.options.awaited;
    let joint = if awaited == Awaited::Listening || report.options.any { "or" } else { "and" };
    match (awaited, names(missing, joint)) {
        (Awaited::Listening, (missing, _)) => format!("nobody listens on {missing}"),
        (Awaited::Free, (missing, true)) => format!("{missing} is not free"),
        (Awaited::Free, (missing, false)) => format!("{missing} are not free"),
        (Awaited::Answering, (missing, true)) => format!("{missing} does not answer as awaited"),
        (Awaited::Answering, (missing, false)) => format!("{missing} do not answer as awaited"),
    }
}

/// Who is to listen: `a process`, or the one that `--by` names.
fn listener(options: &Options) -> String {
    match &options.by {
        None => "a process".to_owned(),
        Some(By::Pid(pid)) => format!("process {pid}"),
        Some(By::Name(name)) => name.clone(),
    }
}

/// `8080/tcp`, `8080/tcp and 8081/tcp`, `8080/tcp or 8081/tcp`, `12 ports`, and whether a singular
/// follows.
fn names<'a>(goals: impl Iterator<Item = &'a Goal>, joint: &str) -> (String, bool) {
    let goals: Vec<&Goal> = goals.collect();
    let is_any = joint == "or";
    match goals.len() {
        1..=4 => {
            let names: Vec<String> = goals.iter().map(|goal| goal.name()).collect();
            (names.join(&format!(" {joint} ")), names.len() == 1 || is_any)
        }
        count if is_any => (format!("any of {count} ports"), true),
        count => (format!("{count} ports"), false),
    }
}
