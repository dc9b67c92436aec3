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
    let by = options.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let (what, is_one) = names(goals.iter(), options.any);
    let what = match (options.awaited, is_one) {
        (Awaited::Listening, true) => format!("{what} listens{by}"),
        (Awaited::Listening, false) => format!("{what} listen{by}"),
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
        [] => paper.sentence("  now: nobody is there"),
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
        paper.sentence("to wait until it exists, add --wait-for-dns")?;
    }
    if report.outcome != Outcome::Met {
        if report.diagnosis.ports.is_empty() {
            return Ok(());
        }
        paper.gap()?;
        return super::ports(&report.diagnosis, style, paper.out);
    }
    if report.options.awaited == Awaited::Listening {
        let listens = report.diagnosis.ports.iter().flat_map(|port| &port.verdict.findings);
        for finding in listens.filter(|finding| finding.severity == Severity::Conflict && !finding.pids.is_empty()) {
            paper.sentence(&prose::sentence(finding, &report.diagnosis.processes))?;
        }
    }
    Ok(())
}

fn headline(report: &Report) -> String {
    let is_listening = report.options.awaited == Awaited::Listening;
    let after = words(report.elapsed);
    let missing = report.goals.iter().filter(|goal| !goal.is_met);
    let (missing, is_one) = names(missing, report.options.any);
    let not = match (is_listening, is_one) {
        (true, true) => format!("{missing} does not listen"),
        (true, false) => format!("{missing} do not listen"),
        (false, true) => format!("{missing} is not free"),
        (false, false) => format!("{missing} are not free"),
    };
    match report.outcome {
        Outcome::Met => {
            let (met, is_one) = names(report.goals.iter().filter(|goal| goal.is_met), false);
            let verb = match (is_listening, is_one) {
                (true, true) => "listens",
                (true, false) => "listen",
                (false, true) => "is free",
                (false, false) => "are free",
            };
            format!("{met} {verb}, after {after}")
        }
        Outcome::Timeout | Outcome::UnknownName => format!("{not}, after {after}"),
        Outcome::ProcessEnded(pid) => format!("{not}, and process {pid} has ended, after {after}"),
        Outcome::TakenByAnother => {
            let by = report.options.by.as_ref().map(By::to_string).unwrap_or_default();
            format!("another process than {by} listens there, after {after}")
        }
        Outcome::Blocked => format!("{not} for you: it may not be bound, however long you wait"),
        Outcome::Unknown => format!("somebody listens there after {after}, and who it is cannot be seen"),
    }
}

/// `8080/tcp`, `8080/tcp and 8081/tcp`, `8080/tcp or 8081/tcp`, `12 ports`, and whether that is one.
fn names<'a>(goals: impl Iterator<Item = &'a Goal>, any: bool) -> (String, bool) {
    let goals: Vec<&Goal> = goals.collect();
    let joint = if any { " or " } else { " and " };
    match goals.len() {
        1..=4 => (goals.iter().map(|goal| goal.name()).collect::<Vec<_>>().join(joint), goals.len() == 1 || any),
        count if any => (format!("one of {count} ports"), true),
        count => (format!("{count} ports"), false),
    }
}
