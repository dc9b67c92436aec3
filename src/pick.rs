//! `--free` from the wish to the exit: pick, become the command or keep the lease, write.

use std::ffi::OsString;
use std::io::{self, Write};
use std::time::Duration;

use portcheck::answer::{Answer, Command, Exit, picking};
use portcheck::collect;
use portcheck::error::Error;
use portcheck::free::{self, Appended, Choice, Handover, Leased, Picked, Terms};
use portcheck::model::{Backend, Host, Lease};
use portcheck::platform;
use portcheck::render::{self, ErrorKind, escape};

use super::{complain, exec, print, write_error, written};
use crate::cli::{FreeWish, Picking, Printing};

/// Does what is wished for. Does not return if that is to become a command, and it works.
pub fn run(wish: FreeWish, printing: &Printing) -> Exit {
    let answered = match wish {
        FreeWish::Leases => picking::list_leases().map(|answer| tell(&answer, printing)),
        FreeWish::Release(ports) => picking::release_leases(&ports).map(|answer| tell(&answer, printing)),
        FreeWish::Pick(picking) => pick(*picking, printing),
    };
    answered.unwrap_or_else(|error| fail(&error, printing))
}

fn pick(mut picking: Picking, printing: &Printing) -> Result<Exit, Error> {
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
    let Some(picked) = picked else { return Ok(tell(&picking::nothing_left(choice, host), printing)) };
    let found: Vec<picking::Found> = picked.attempts().collect();
    notes(&picking::picked(choice, &found, Vec::new(), host), printing);
    if !exec::is_found(&command[0]) {
        return Ok(exec::cannot_run(&command[0], &io::ErrorKind::NotFound.into()));
    }
    let appended = append(picking, &picked.ports())?;
    let error = picked.become_command(command, picking.names.clone(), handover);
    appended.take_back();
    Ok(exec::cannot_run(&command[0], &error))
}

/// Tells the ports last, when all that may fail has been done. Whoever cannot be told has no ports either.
fn pick_for_caller(picking: &Picking, host: Host, printing: &Printing) -> Result<Exit, Error> {
    let terms = terms(picking)?;
    let (mut choice, picked) = free::pick(&picking.demand, &host)?;
    let Some(picked) = picked else { return Ok(tell(&picking::nothing_left(choice, host), printing)) };
    let found: Vec<picking::Found> = picked.attempts().collect();
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
    let answer = picking::picked(choice, &found, leases, host);
    notes(&answer, printing);
    let output = output(&answer, printing);
    if output.is_err() {
        appended.take_back();
        leased.call_off();
    }
    Ok(written(answer.exit(), output))
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

/// Leaves a lease behind, where one is wanted. Without it a port is still worth having, which is why it is only said if
/// none can be had; but a hold is what was asked for.
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

fn tell(answer: &Answer, printing: &Printing) -> Exit {
    notes(answer, printing);
    // The code is settled: what happens to the output changes no answer.
    written(answer.exit(), output(answer, printing))
}

/// Writes the answer to standard output.
fn output(answer: &Answer, printing: &Printing) -> io::Result<()> {
    let Some(style) = &printing.style else { return Ok(()) };
    if platform::is_stdout_closed() {
        return Err(io::Error::other("it is closed"));
    }
    print(style.format, printing.color, |out| render::write(answer, style, out))
}

/// What is not for the one who reads the ports: problems, and with `-v` what was excluded.
fn notes(answer: &Answer, printing: &Printing) {
    let Some(style) = &printing.style else { return };
    if style.format == render::Format::Json {
        return;
    }
    for problem in answer.free.iter().flat_map(|free| &free.problems) {
        complain(problem);
    }
    if style.verbose {
        let _ = render::write_choice(answer, &mut io::stderr().lock());
    }
}

fn fail(error: &Error, printing: &Printing) -> Exit {
    let is_json = printing.style.as_ref().is_some_and(|style| style.format == render::Format::Json);
    if is_json {
        let host = collect::host(Backend::Native);
        return write_error(ErrorKind::Failure, &error.to_string(), Some(Command::Free), &host);
    }
    complain(&error.to_string());
    Exit::Failure
}

/// Is the process in the background. Nobody reads what it prints, unless it was called by hand.
pub fn keep_leases() -> Exit {
    match free::serve_as_lease_daemon() {
        Ok(()) => Exit::Yes,
        Err(error) => {
            let message = format!("--keep-leases is for the process in the background: {error}");
            let _ = writeln!(io::stderr(), "portcheck: {}", escape::terminal(&message));
            Exit::Usage
        }
    }
}
