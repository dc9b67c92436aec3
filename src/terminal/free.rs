//! `free`, `leases` and `release` at the terminal: pick, become the command or keep the lease,
//! write.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Printing, cannot_run, complain, is_found, written};
use crate::answer::Answer;
use crate::collect;
use crate::commands::exit::{Command, Exit};
use crate::commands::free::{self, Appended, Choice, Demand, Found, Handover, Leased, Picked, Report, Terms};
use crate::error::Error;
use crate::model::{Backend, Host, Lease, Pid};
use crate::platform;
use crate::render;

/// What to pick, and what to do with it.
#[derive(Debug)]
pub struct Picking {
    /// What to pick.
    pub demand: Demand,
    /// How long a lease lasts; none if zero.
    pub ttl: Duration,
    /// Whether to keep the ports bound.
    pub hold: bool,
    /// The process with which the lease ends.
    pub pid: Option<Pid>,
    /// The names of the ports.
    pub names: Vec<String>,
    /// Where to write them.
    pub env_file: Option<PathBuf>,
    /// The command to become.
    pub command: Option<(Vec<OsString>, Handover)>,
}

/// Picks ports. Does not return if this process becomes a command.
pub fn pick(picking: Picking, printing: &Printing) -> Exit {
    try_to_pick(picking, printing).unwrap_or_else(|error| fail(&error, printing))
}

/// Lists the leases.
pub fn leases(printing: &Printing) -> Exit {
    free::list_leases().map_or_else(|error| fail(&error, printing), |report| tell(report, printing))
}

/// Releases these ports.
pub fn release(ports: &[u16], printing: &Printing) -> Exit {
    free::release_leases(ports).map_or_else(|error| fail(&error, printing), |report| tell(report, printing))
}

fn try_to_pick(mut picking: Picking, printing: &Printing) -> Result<Exit, Error> {
    let host = collect::host(Backend::Native);
    match picking.command.take() {
        Some((command, handover)) => pick_for_command(&picking, &command, handover, host, printing),
        None => pick_for_caller(&picking, host, printing),
    }
}

fn pick_for_command(
    picking: &Picking,
    command: &[OsString],
    handover: Handover,
    host: Host,
    printing: &Printing,
) -> Result<Exit, Error> {
    let (choice, picked) = free::pick(&picking.demand, &host)?;
    let Some(picked) = picked else { return Ok(tell(free::nothing_left(choice, host), printing)) };
    let found: Vec<Found> = picked.attempts().collect();
    notes(&free::picked(choice, &found, Vec::new(), host), printing);
    if !is_found(&command[0]) {
        return Ok(cannot_run(&command[0], &io::ErrorKind::NotFound.into()));
    }
    let appended = append(picking, &picked.ports())?;
    let error = picked.become_command(command, picking.names.clone(), handover);
    appended.take_back();
    Ok(cannot_run(&command[0], &error))
}

/// Prints the ports last, after everything that may fail. If they cannot be printed, nothing is
/// leased.
fn pick_for_caller(picking: &Picking, host: Host, printing: &Printing) -> Result<Exit, Error> {
    let Taken { report, leased, appended } = take(picking, host)?;
    if !report.is_done {
        return Ok(tell(report, printing));
    }
    notes(&report, printing);
    let answer = Answer::Free(report);
    let output = output(&answer, printing);
    if output.is_err() {
        appended.take_back();
        leased.call_off();
    }
    Ok(written(printing.exit(&answer), output))
}

/// Ports that were picked for a caller, if enough were found. They can still be given back.
#[derive(Debug)]
pub struct Taken {
    /// The answer.
    pub report: Report,
    /// Their leases.
    pub leased: Leased,
    appended: Appended,
}

/// Picks ports for a caller, and prints nothing.
pub fn take(picking: &Picking, host: Host) -> Result<Taken, Error> {
    let terms = terms(picking)?;
    let (mut choice, picked) = free::pick(&picking.demand, &host)?;
    let Some(picked) = picked else {
        let report = free::nothing_left(choice, host);
        return Ok(Taken { report, leased: Leased::default(), appended: Appended::default() });
    };
    let found: Vec<Found> = picked.attempts().collect();
    let ports = picked.ports();
    let leased = keep(picked, &terms, &mut choice)?;
    let appended = match append(picking, &ports) {
        Ok(appended) => appended,
        Err(error) => {
            leased.call_off();
            return Err(error);
        }
    };
    let leases = leased.leases.iter().map(|lease| Lease { uid: host.euid, ..lease.clone() }).collect();
    Ok(Taken { report: free::picked(choice, &found, leases, host), leased, appended })
}

fn terms(picking: &Picking) -> Result<Terms, Error> {
    let client = match picking.pid {
        Some(pid) => Some(free::watch(pid).map_err(|source| Error::Watch { pid, source })?),
        None => free::watch_caller(),
    };
    let ends_with_client = picking.hold || picking.pid.is_some();
    Ok(Terms { ttl: picking.ttl, hold: picking.hold, client, ends_with_client, key: picking.demand.key })
}

fn append(picking: &Picking, ports: &[u16]) -> Result<Appended, Error> {
    match &picking.env_file {
        Some(path) => free::append_to_env_file(path, &picking.names, ports),
        None => Ok(Appended::default()),
    }
}

/// Makes the lease, if one is wanted. Without a lease the port is still useful, so a failure is
/// only reported. A hold must not fail.
fn keep(picked: Picked, terms: &Terms, choice: &mut Choice) -> Result<Leased, Error> {
    if terms.ttl == Duration::ZERO || (choice.no_lease.is_some() && !terms.hold) {
        return Ok(Leased::default());
    }
    match picked.keep(terms) {
        Err(error) if !terms.hold => {
            choice.no_lease = Some(error.to_string());
            Ok(Leased::default())
        }
        kept => kept,
    }
}

fn tell(report: Report, printing: &Printing) -> Exit {
    notes(&report, printing);
    let answer = Answer::Free(report);
    // The code is settled: output cannot change it.
    written(printing.exit(&answer), output(&answer, printing))
}

/// Writes the answer to standard output.
fn output(answer: &Answer, printing: &Printing) -> io::Result<()> {
    if printing.style.is_some() && platform::is_stdout_closed() {
        return Err(io::Error::other("it is closed"));
    }
    printing.print(answer)
}

/// What readers of the ports do not need: problems, and with `-v` what was excluded.
fn notes(report: &Report, printing: &Printing) {
    let Some(style) = printing.style.as_ref().filter(|_| !printing.is_json()) else { return };
    for problem in &report.problems {
        complain(problem);
    }
    if style.verbose {
        let _ = render::write_choice(report, &mut io::stderr().lock());
    }
}

fn fail(error: &Error, printing: &Printing) -> Exit {
    printing.fail(error, Command::Free, Backend::Native)
}

/// Runs as the process in the background. Nobody reads its output, unless it was called by hand.
pub fn keep_leases() -> Exit {
    match free::serve_as_lease_daemon() {
        Ok(()) => Exit::Yes,
        Err(error) => {
            complain(&format!("--keep-leases is for the process in the background: {error}"));
            Exit::Usage
        }
    }
}
