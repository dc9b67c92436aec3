//! What --kill is going to do, and what it did, in words.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use super::also;
use super::paper::{Length, Paper};
use super::rows::on;
use super::{Style, colour, escape};
use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::Exit;
use crate::commands::kill::{
    Action, Holder, Keeper, Objection, Outcome, Plan, Prepared, Reason, Refusal, Report, Returns, Step, StepResult,
    Survivor, users,
};
use crate::diagnose::{Place, PortReport, Remedy, Status, enumerate, remedy};
use crate::duration::words;
use crate::model::Process;
use crate::prose;

/// Writes the plan.
pub fn plan(prepared: &Prepared, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let paper = &mut Paper::new(style.width, out);
    if prepared.is_about_several_ports() {
        summary(&prepared.plan, paper)?;
    }
    intentions(&prepared.plan, prepared.options().signal, paper)?;
    refusals(&prepared.plan.refusals, &prepared.diagnosis, paper)
}

/// Writes the report.
pub fn report(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let paper = &mut Paper::new(style.width, out);
    match report.outcome {
        Outcome::WouldFree | Outcome::WouldNotFree => return dry_run(report, paper),
        Outcome::AlreadyFree => return conclude(report, paper),
        _ => {}
    }
    for step in &report.steps {
        self::step(step, paper)?;
    }
    refusals(&report.plan.refusals, &report.diagnosis, paper)?;
    if let Some(objection) = report.objection {
        summary(&report.plan, paper)?;
        paper.sentence(&sentence_of(objection))?;
    }
    conclude(report, paper)?;
    if report.exit() == Exit::Yes {
        for Survivor { pid, name, returns } in &report.survivors {
            paper.sentence(&format!("{name} (pid {pid}) still runs: it {}", returns.verb()))?;
        }
    }
    remedies(&report.next_steps, paper)?;
    let is_told = matches!(report.outcome, Outcome::Declined | Outcome::Refused);
    if report.exit() != Exit::Yes && !is_told {
        paper.gap()?;
        return super::ports(&report.diagnosis, style, out);
    }
    Ok(())
}

fn dry_run(report: &Report, paper: &mut Paper<'_>) -> io::Result<()> {
    if report.is_about_several_ports {
        summary(&report.plan, paper)?;
    }
    intentions(&report.plan, report.options.signal, paper)?;
    refusals(&report.plan.refusals, &report.diagnosis, paper)?;
    paper.sentence(match report.outcome {
        Outcome::WouldFree => "nothing was done: this was a dry run",
        _ if report.plan.refusals.is_empty() => {
            "nothing was done: this was a dry run, and the port would be taken again"
        }
        _ if report.plan.has_nobody_to_end() => {
            "nothing was done: this was a dry run, and no process was seen that could be ended"
        }
        _ => "nothing was done: this was a dry run, and the port would not become free",
    })
}

fn conclude(report: &Report, paper: &mut Paper<'_>) -> io::Result<()> {
    let status = if report.exit() == Exit::Yes { Status::Free } else { Status::Held };
    paper.coloured(&conclusion(report), colour::of(status))
}

/// How many processes a plan for several ports ends, and which: `7 processes of 2 users are to be
/// ended: nginx (5), node (2)`.
fn summary(plan: &Plan, paper: &mut Paper<'_>) -> io::Result<()> {
    /// So many names are easy to read.
    const MOST: usize = 8;
    if plan.holders.is_empty() {
        return Ok(());
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for holder in &plan.holders {
        *counts.entry(&holder.name).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|&(name, count)| (Reverse(count), name));
    let mut names: Vec<String> = Vec::new();
    for (name, count) in counts.iter().take(MOST) {
        names.push(if *count == 1 { (*name).to_owned() } else { format!("{name} ({count})") });
    }
    if counts.len() > MOST {
        names.push(format!("{} more names", counts.len() - MOST));
    }
    let processes = count(plan.holders.len(), "process");
    let are = if plan.holders.len() == 1 { "is" } else { "are" };
    let users = count(users(plan), "user");
    paper.sentence(&format!("{processes} of {users} {are} to be ended: {}", names.join(", ")))
}

fn intentions(plan: &Plan, signal: crate::platform::Signal, paper: &mut Paper<'_>) -> io::Result<()> {
    for stop in &plan.stops {
        writeln!(paper.out, "run  {0}{1}{0:#}", colour::STRONG, escape::command_line(&stop.command))?;
        if let Some(what) = &stop.what {
            paper.sentence(&format!("that stops {what}"))?;
        }
    }
    let mut shown: Option<&[String]> = None;
    for holder in &plan.holders {
        let user = holder.user.as_ref().map(|user| format!(" of user {user}")).unwrap_or_default();
        let verb = if holder.is_stopped_by_keeper { "that ends".to_owned() } else { format!("send {signal} to") };
        let ports: Vec<String> = holder.ports.iter().map(|(port, protocol)| format!("{port}/{protocol}")).collect();
        let text = format!("{verb} {} (pid {}){user}, which holds {}", holder.name, holder.pid, ports.join(", "));
        paper.sentence(&text)?;
        // The workers of a server mostly have one command line.
        if !holder.command.is_empty() && shown.replace(&holder.command) != Some(&holder.command) {
            paper.command("command", &holder.command, Length::Short)?;
        }
        if let Some(text) = also::sentence("the same process", &holder.also_holds, holder.clients) {
            paper.field("also", &text)?;
        }
    }
    for (keeper, returns) in keepers(&plan.holders) {
        let when = if returns == Returns::WithFiles { "" } else { " when it ends" };
        paper.sentence(&format!("{} {}{when}", keeper.name(), returns.verb()))?;
        let mut remedies = vec![keeper.remedy()];
        if keeper.stop_command().is_some() {
            remedies.push(remedy::let_portcheck_stop_it());
        }
        self::remedies(&remedies, paper)?;
    }
    match &plan.remnants[..] {
        [] => Ok(()),
        remnants => paper.sentence(&format!("drop what is left of {}", count(remnants.len(), "connection"))),
    }
}

/// Those that start a holder again, each once.
fn keepers(holders: &[Holder]) -> Vec<(&Keeper, Returns)> {
    let mut keepers: Vec<(&Keeper, Returns)> = Vec::new();
    for holder in holders.iter().filter(|holder| holder.noticed_within().is_some()) {
        let is_new = |keeper: &&Keeper| keepers.iter().all(|(known, _)| known != keeper);
        keepers.extend(holder.keeper.as_ref().filter(is_new).map(|keeper| (keeper, holder.returns)));
    }
    keepers
}

/// Who is left alone and why, as one sentence.
pub fn sentence_on(refusal: &Refusal, processes: &[Process]) -> String {
    match &refusal.reason {
        Reason::Said(who, reason) => format!("{who} {reason}"),
        Reason::Found(statement) => prose::whole(statement, processes),
    }
}

/// Why consent does not cover a plan, as one sentence.
pub fn sentence_of(objection: Objection) -> String {
    match objection {
        Objection::Miscounted { expected, processes } => {
            let (expects, would) = (count(expected, "process"), count(processes, "process"));
            format!("--yes {expected} expects {expects}, but {would} would be ended: --dry-run shows which")
        }
        Objection::Uncounted { processes, users } => {
            let (many, users) = (count(processes, "process"), count(users, "user"));
            format!("to end {many} of {users}, add their number: --yes {processes}; --dry-run shows them")
        }
    }
}

fn refusals(refusals: &[Refusal], diagnosis: &Diagnosis, paper: &mut Paper<'_>) -> io::Result<()> {
    for refusal in refusals {
        // What was found of a port names it already.
        let port = match refusal.reason {
            Reason::Said(..) => format!("{}/{}: ", refusal.port, refusal.protocol),
            Reason::Found(_) => String::new(),
        };
        paper.sentence(&format!("{port}{}", sentence_on(refusal, &diagnosis.processes)))?;
        remedies(&refusal.remedies, paper)?;
    }
    Ok(())
}

fn remedies(remedies: &[Remedy], paper: &mut Paper<'_>) -> io::Result<()> {
    remedies.iter().try_for_each(|remedy| paper.remedy(remedy))
}

fn step(step: &Step, paper: &mut Paper<'_>) -> io::Result<()> {
    let took = words(step.took);
    let reason = step.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let text = match (&step.action, step.result) {
        (Action::Signal { pid, name, signal: crate::platform::Signal::Cont }, _) => {
            format!("sent SIGCONT to {name} (pid {pid}){reason}")
        }
        (Action::Signal { pid, name, signal }, StepResult::Done) => {
            format!("{name} (pid {pid}) ended {took} after {signal}")
        }
        (Action::Signal { pid, name, .. }, StepResult::Gone | StepResult::LetGo | StepResult::NotShown) => {
            format!("{name} (pid {pid}) was not signalled{reason}")
        }
        (Action::Signal { pid, name, signal }, StepResult::StillRunning) => {
            format!("{name} (pid {pid}) still runs {took} after {signal}{reason}")
        }
        (Action::Signal { pid, name, signal }, _) => {
            format!("{name} (pid {pid}) could not be sent {signal}{reason}")
        }
        (Action::Supervisor { command }, StepResult::Done) => {
            format!("ran {}, which took {took}", escape::command_line(command))
        }
        (Action::Supervisor { command }, _) => format!("{} failed{reason}", escape::command_line(command)),
        (Action::Drop { socket }, result) => {
            let peer = socket.remote.map(|peer| format!(" to {peer}")).unwrap_or_default();
            let verb = if result == StepResult::Done { "dropped" } else { "did not drop" };
            format!("{verb} what was left of the connection {}{peer}, {}{reason}", socket.local, socket.state)
        }
    };
    paper.sentence(&text)
}

/// What it all came to, in one sentence also for a dry run.
pub fn in_brief(report: &Report) -> String {
    let ends = |holder: &Holder| format!("{} (pid {})", holder.name, holder.pid);
    let names: Vec<String> = report.plan.holders.iter().map(ends).collect();
    let who = match &names[..] {
        [] => "what is left of closed connections".to_owned(),
        [one, more @ ..] if more.len() > 3 => format!("{one} and {} others", more.len()),
        names => enumerate(names, "and"),
    };
    let (ports, _) = self::names(&report.diagnosis, false);
    match report.outcome {
        Outcome::WouldFree => format!("{who} would be ended, and {ports} would be free"),
        Outcome::WouldNotFree if report.plan.is_empty() => {
            format!("nothing would be done: {ports} would stay as before")
        }
        Outcome::WouldNotFree => format!("{who} would be ended, but {ports} would not be free"),
        _ => conclusion(report),
    }
}

/// What it all came to.
fn conclusion(report: &Report) -> String {
    let (names, count) = names(&report.diagnosis, report.outcome.exit() == Exit::Yes);
    let is = if count == 1 { "is" } else { "are" };
    match report.outcome {
        Outcome::AlreadyFree if report.options.expect_held => format!("{names} {is} already free: nobody held it"),
        Outcome::AlreadyFree => format!("{names} {is} already free"),
        Outcome::Freed => format!("{names} {is} free, and still {is} {} later", words(report.watched)),
        Outcome::WouldFree | Outcome::WouldNotFree => String::new(),
        Outcome::Declined | Outcome::Refused => format!("nothing was done: {names} {is} as before"),
        Outcome::StillHeld => format!("{names} {is} not free: a holder is still there"),
        Outcome::Remnants => {
            format!("no process holds {names} any more, but closed connections still do")
        }
        Outcome::TakenAgain => {
            let takers: Vec<String> =
                report.takers.iter().map(|taker| format!("{} (pid {})", taker.name, taker.pid)).collect();
            let by = if takers.is_empty() { String::new() } else { format!(" by {}", takers.join(" and ")) };
            let starters: Vec<&str> = report.takers.iter().filter_map(|taker| taker.starter.as_deref()).collect();
            let from = starters.first().map(|starter| format!(", which {starter} started")).unwrap_or_default();
            format!("{names} was taken again{by}{from}")
        }
        Outcome::Blocked => format!("nobody holds {names} any more, but you may not bind it"),
        Outcome::Unknown => format!("cannot tell whether {names} {is} free"),
    }
}

/// `8080/tcp`, `8080 and 8081`, `12 ports`, and how many these are: all of them, or those that are
/// not free.
fn names(diagnosis: &Diagnosis, all: bool) -> (String, usize) {
    let ports: Vec<&PortReport> =
        diagnosis.ports.iter().filter(|port| all || port.verdict.status != Status::Free).collect();
    let count = ports.iter().map(|port| key(port)).collect::<HashSet<_>>().len();
    if count > 2 {
        return (format!("{count} ports"), count);
    }
    let mut names: Vec<String> = Vec::new();
    for port in &ports {
        let is_both = ports.iter().filter(|other| key(other) == key(port)).count() > 1;
        let number = if is_both { port.observed.port.to_string() } else { port.observed.name() };
        let name = format!("{number}{}", on(port, if all { "and" } else { "or" }));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (names.join(" and "), count)
}

fn key(port: &PortReport) -> (u16, Place<'_>) {
    (port.observed.port, port.observed.place())
}

pub(super) fn count(number: usize, noun: &str) -> String {
    let ending = if noun.ends_with('s') { "es" } else { "s" };
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}{ending}") }
}
