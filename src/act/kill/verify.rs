//! Whether the port can be bound now, and still can a moment later; and who took it if not.

use std::time::{Duration, Instant};

use super::{Keeper, Outcome, Taker, plan};
use crate::act::{Surroundings, system};
use crate::answer::{self, Answer, Command};
use crate::collect::Detail;
use crate::diagnose::{PortReport, Remedy, Status};
use crate::error::Error;
use crate::model::{Ancestor, Owners, Process, Socket, find_process};
use crate::probe;
use crate::request::Request;

/// How often to look while what was ended may still be closing its sockets.
const PAUSE: Duration = Duration::from_millis(10);
/// How long that may take: descriptors that an io_uring has are closed later than the others.
const CLOSING: Duration = Duration::from_millis(300);

/// What became of the port.
pub struct Verified {
    pub outcome: Outcome,
    pub takers: Vec<Taker>,
    pub answer: Answer,
}

/// Looks whether the ports are free, and once more after `settle`.
pub fn verify(
    request: &Request,
    before: &Answer,
    surroundings: &Surroundings,
    settle: Duration,
) -> Result<Verified, Error> {
    let quick = Request { detail: Detail::Nothing, ..request.clone() };
    let is_free = |answer: &Answer| answer.ports.iter().all(is_freed);
    let start = Instant::now();
    while !is_free(&answer::answer(&quick)?) {
        if start.elapsed() > CLOSING {
            break;
        }
        system::wait_for_exits(&[], Some(PAUSE))?;
    }
    // Who comes back, mostly does so at once.
    system::wait_for_exits(&[], Some(settle.saturating_sub(start.elapsed())))?;
    let answer = Answer { command: Command::Kill, ..answer::answer(request)? };
    let outcome = outcome(before, &answer);
    let takers = if outcome == Outcome::TakenAgain { takers(before, &answer, surroundings) } else { Vec::new() };
    Ok(Verified { outcome, takers, answer })
}

/// Whether nobody has the port any more. A lease that a caller of --free has on it goes on, and is in no server's way.
fn is_freed(port: &PortReport) -> bool {
    let can_bind = || {
        !port.observed.attempts.is_empty()
            && port.observed.attempts.iter().all(|attempt| attempt.outcome == probe::Outcome::Bound)
    };
    port.verdict.status == Status::Free
        || (port.observed.lease.is_some() && port.observed.sockets.is_empty() && can_bind())
}

/// What it came to, by comparing the diagnoses before and after.
fn outcome(before: &Answer, after: &Answer) -> Outcome {
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

/// Whether a socket that waits on its port was not there before: by its inode, or by its owners where there are none.
fn is_taken(before: &Answer, socket: &Socket) -> bool {
    let mut known = before.ports.iter().flat_map(|port| &port.observed.sockets);
    let is_known = match (socket.inode, socket.owners.pids()) {
        (Some(_), _) => known.any(|known| known.inode == socket.inode),
        (None, []) => true,
        (None, pids) => known.any(|known| known.owners.pids().iter().any(|pid| pids.contains(pid))),
    };
    socket.state.is_waiting() && !is_known
}

/// Who has sockets on the ports that were not there before.
fn takers(before: &Answer, after: &Answer, surroundings: &Surroundings) -> Vec<Taker> {
    let mut takers: Vec<Taker> = Vec::new();
    for socket in after.ports.iter().flat_map(|port| &port.observed.sockets).filter(|socket| is_taken(before, socket)) {
        // The leader of a group speaks for it.
        let Owners::Known(pids) = &socket.owners else { continue };
        let Some(process) = pids.first().and_then(|&pid| find_process(&after.processes, pid)) else { continue };
        if takers.iter().all(|taker| taker.pid != process.pid) {
            takers.push(taker(before, process, surroundings));
        }
    }
    takers
}

fn taker(before: &Answer, process: &Process, surroundings: &Surroundings) -> Taker {
    let keeper = Keeper::of(process, surroundings, system::loops_in_a_shell);
    // What the old and the new holder descend from alike, and portcheck does not.
    let started_before = |ancestor: &&Ancestor| {
        // One that is started again is the same program: a terminal that both were started in has nothing to do with it.
        let is_same = |old: &Process| old.command == process.command && !old.command.is_empty();
        let is_its = |old: &Process| is_same(old) && old.ancestors.iter().any(|other| other.pid == ancestor.pid);
        ancestor.pid != 1 && !surroundings.protects(ancestor.pid) && before.processes.iter().any(is_its)
    };
    // An engine is never ended for a container that it starts again.
    let starter = process.ancestors.iter().find(started_before).filter(|_| process.forwarder.is_none());
    let remedies = match (&keeper, starter) {
        (Some(keeper), _) => vec![keeper.remedy()],
        (None, Some(starter)) => {
            let text = format!("end {}, which starts it, first", starter.name);
            let kill = if before.host.os == "windows" { "taskkill /F /PID" } else { "kill" };
            vec![Remedy { text, command: Some(format!("{kill} {}", starter.pid)) }]
        }
        (None, None) => Vec::new(),
    };
    let starter = starter.map(|starter| format!("{} (pid {})", starter.name, starter.pid));
    Taker {
        pid: process.pid,
        name: process.name.clone(),
        starter: keeper.map(|keeper| keeper.name()).or(starter),
        remedies,
    }
}
