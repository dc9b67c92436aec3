//! Whether the port can be bound now, and still can a moment later; and who took it if not.

use std::time::{Duration, Instant};

use super::Surroundings;
use super::keepers::{Keepers, SOON};
use super::{Holder, Keeper, Outcome, Prepared, Taker, look, plan};
use crate::collect::Detail;
use crate::commands::check::check;
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{PortReport, Remedy, RemedyKind, Status};
use crate::error::Error;
use crate::model::{Ancestor, Process, Socket, find_process};
use crate::platform::process;
use crate::probe;
use crate::request::Request;

/// How often to check while ended processes may still be closing their sockets.
const PAUSE: Duration = Duration::from_millis(10);
/// How long that may take. Descriptors in an io_uring are closed later than others.
const CLOSING: Duration = Duration::from_millis(300);
/// How often to check whether a holder has come back.
const PACE: Duration = Duration::from_millis(50);

/// The result.
pub struct Verified {
    pub outcome: Outcome,
    pub takers: Vec<Taker>,
    pub diagnosis: Diagnosis,
    /// How long it was watched and free.
    pub watched: Duration,
}

/// Checks that the ports are free, and stay so for `settle`, or longer while something may start a
/// holder again.
pub fn verify(prepared: &Prepared) -> Result<Verified, Error> {
    let Prepared { request, diagnosis: before, surroundings, .. } = prepared;
    let watched = if gets_free(request)? { watch(prepared)? } else { Duration::ZERO };
    let diagnosis = look(request)?;
    let outcome = outcome(before, &diagnosis);
    let takers = if outcome == Outcome::TakenAgain { takers(before, &diagnosis, surroundings) } else { Vec::new() };
    Ok(Verified { outcome, takers, diagnosis, watched })
}

/// Whether the ports become free after the ended processes have closed their sockets.
fn gets_free(request: &Request) -> Result<bool, Error> {
    let quick = Request { detail: Detail::Nothing, ..request.clone() };
    let start = Instant::now();
    while !check(&quick)?.ports.iter().all(is_freed) {
        if start.elapsed() > CLOSING {
            return Ok(false);
        }
        process::wait_for_exits(&[], Some(PAUSE))?;
    }
    Ok(true)
}

/// Waits until nothing may come back any more, or somebody has taken a port. Returns how long they
/// stayed free.
///
/// Nothing is bound meanwhile: that could block a server that comes back, and delay it.
fn watch(prepared: &Prepared) -> Result<Duration, Error> {
    let Prepared { request, diagnosis: before, starters, options, plan, .. } = prepared;
    let returns = plan.holders.iter().filter_map(Holder::noticed_within).max();
    let settle = options.settle.max(returns.unwrap_or_default());
    let glance = Request { detail: Detail::Nothing, probe: false, ..request.clone() };
    let (start, mut pace) = (Instant::now(), PACE);
    loop {
        let wanted = if starters.threats().is_empty() { settle } else { settle.max(SOON) };
        let left = wanted.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(wanted);
        }
        process::wait_for_exits(&[], Some(left.min(pace)))?;
        let looked = Instant::now();
        let now = check(&glance)?;
        // Looking at many ports takes longer, and must not use the whole machine.
        pace = PACE.max(looked.elapsed() * 10);
        if now.ports.iter().flat_map(|port| &port.observed.sockets).any(|socket| is_taken(before, socket)) {
            return Ok(start.elapsed());
        }
    }
}

/// Whether nobody has the port any more. A lease of `portcheck free` on it goes on, and blocks no
/// server.
fn is_freed(port: &PortReport) -> bool {
    let can_bind = || {
        !port.observed.attempts.is_empty()
            && port.observed.attempts.iter().all(|attempt| attempt.outcome == probe::Outcome::Bound)
    };
    port.verdict.status == Status::Free
        || (port.observed.lease.is_some() && port.observed.sockets.is_empty() && can_bind())
}

/// The outcome, from the diagnoses before and after.
fn outcome(before: &Diagnosis, after: &Diagnosis) -> Outcome {
    let is_held = |port: &&PortReport| port.verdict.status == Status::Held && !is_freed(port);
    let mut held = after.ports.iter().filter(is_held).peekable();
    if held.peek().is_none() {
        return match after.ports.iter().filter(|port| !is_freed(port)).map(|port| port.verdict.status).min() {
            Some(Status::Blocked) => Outcome::Blocked,
            Some(Status::Unknown) => Outcome::Unknown,
            _ => Outcome::Freed,
        };
    }
    let is_new = |socket: &Socket| is_taken(before, socket);
    let sockets = || after.ports.iter().filter(is_held).flat_map(|port| &port.observed.sockets);
    match () {
        () if sockets().any(is_new) => Outcome::TakenAgain,
        () if held
            .all(|port| !port.observed.sockets.is_empty() && port.observed.sockets.iter().all(plan::is_remnant)) =>
        {
            Outcome::Remnants
        }
        () => Outcome::StillHeld,
    }
}

/// Whether a waiting socket was not there before, by its inode, or by its owners if it has none.
fn is_taken(before: &Diagnosis, socket: &Socket) -> bool {
    let mut known = before.ports.iter().flat_map(|port| &port.observed.sockets);
    let is_known = match (socket.inode, socket.owners.pids()) {
        (Some(_), _) => known.any(|known| known.inode == socket.inode),
        (None, []) => true,
        (None, pids) => known.any(|known| known.owners.pids().iter().any(|pid| pids.contains(pid))),
    };
    socket.state.is_waiting() && !is_known
}

/// The processes with sockets on the ports that were not there before.
fn takers(before: &Diagnosis, after: &Diagnosis, surroundings: &Surroundings) -> Vec<Taker> {
    let keepers = Keepers::of(after, surroundings);
    let mut takers: Vec<Taker> = Vec::new();
    for socket in after.ports.iter().flat_map(|port| &port.observed.sockets).filter(|socket| is_taken(before, socket)) {
        // The leader of a group speaks for it.
        let Some(pids) = socket.owners.seen() else { continue };
        let Some(process) = pids.first().and_then(|&pid| find_process(&after.processes, pid)) else { continue };
        if takers.iter().all(|taker| taker.pid != process.pid) {
            takers.push(taker(before, process, surroundings, &keepers));
        }
    }
    takers
}

fn taker(before: &Diagnosis, process: &Process, surroundings: &Surroundings, keepers: &Keepers) -> Taker {
    let keeper = keepers.get(process.pid).map(|(keeper, _)| keeper);
    // An ancestor of both the old and the new holder, and not of portcheck.
    let started_before = |ancestor: &&Ancestor| {
        // A process that is started again has the same command. A common terminal does not matter.
        let is_same = |old: &Process| old.command == process.command && !old.command.is_empty();
        let is_its = |old: &Process| is_same(old) && old.ancestors.iter().any(|other| other.pid == ancestor.pid);
        ancestor.pid != 1 && !surroundings.protects(ancestor.pid) && before.processes.iter().any(is_its)
    };
    // An engine is never ended for a container that it starts again.
    let starter = process.ancestors.iter().find(started_before).filter(|_| process.forwarder.is_none());
    let remedies = match (keeper, starter) {
        (Some(keeper), _) => vec![keeper.remedy()],
        (None, Some(starter)) => {
            let text = format!("end {}, which starts it, first", starter.name);
            let kill: &[&str] = if before.host.os == "windows" { &["taskkill", "/F", "/PID"] } else { &["kill"] };
            let pid = starter.pid.to_string();
            vec![Remedy::run(RemedyKind::StopProgram, &text, kill.iter().copied().chain([&*pid]))]
        }
        (None, None) => Vec::new(),
    };
    let starter = starter.map(|starter| format!("{} (pid {})", starter.name, starter.pid));
    Taker { pid: process.pid, name: process.name.clone(), starter: keeper.map(Keeper::name).or(starter), remedies }
}
