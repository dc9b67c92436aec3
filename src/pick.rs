//! `--free` from the wish to the exit: pick, write, become the command or keep the lease, print.

use std::io::{self, Write};
use std::time::Duration;

use portcheck::answer::{Answer, Command, Exit, picking};
use portcheck::collect;
use portcheck::error::Error;
use portcheck::free::{self, Choice, EnvFile, Picked, Terms};
use portcheck::model::{Backend, Host, Lease};
use portcheck::render::{self, ErrorKind, escape};

use super::{complain, exec, print, write_error, written};
use crate::cli::{FreeWish, Picking, Printing};

/// Does what is wished for. Does not return if that is to become a command, and it works.
pub fn run(wish: FreeWish, printing: &Printing) -> Exit {
    let answered = match wish {
        FreeWish::Leases => picking::list_leases(),
        FreeWish::Release(ports) => picking::release_leases(&ports),
        FreeWish::Pick(picking) => match pick(*picking, printing) {
            Ok(Outcome::Answer(answer)) => Ok(*answer),
            Ok(Outcome::Exit(exit)) => return exit,
            Err(error) => Err(error),
        },
    };
    match answered {
        Ok(answer) => tell(&answer, printing),
        Err(error) => fail(&error, printing),
    }
}

enum Outcome {
    Answer(Box<Answer>),
    /// All has been said.
    Exit(Exit),
}

fn pick(picking: Picking, printing: &Printing) -> Result<Outcome, Error> {
    let Picking { demand, ttl, hold, pid, names, env_file, command } = picking;
    let host = collect::host(Backend::Native);
    // What can fail without a port comes first.
    let env_file = env_file.as_deref().map(EnvFile::open).transpose()?;
    let ends_with_client = hold || pid.is_some();
    let client = match pid {
        Some(pid) => match free::watch(pid) {
            Ok(client) => Some(client),
            Err(source) => return Err(Error::Watch { pid, source }),
        },
        None => free::watch_caller(),
    };
    let (mut choice, picked) = free::pick(&demand, &host)?;
    let Some(picked) = picked else {
        return Ok(Outcome::Answer(Box::new(picking::nothing_left(choice, host))));
    };
    let found: Vec<picking::Found> = picked.attempts().collect();
    if let Some(env_file) = env_file {
        env_file.append(&names, &picked.ports())?;
    }
    if let Some((command, handover)) = command {
        let answer = picking::picked(choice, &found, Vec::new(), host);
        notes(&answer, printing);
        let error = picked.become_command(&command, names, handover);
        return Ok(Outcome::Exit(exec::cannot_run(&command[0], &error)));
    }
    let terms = Terms { ttl, hold, client, ends_with_client, key: demand.key };
    let leases = keep(picked, &terms, &mut choice, &host)?;
    Ok(Outcome::Answer(Box::new(picking::picked(choice, &found, leases, host))))
}

/// Leaves a lease behind, where one is wanted. Without it a port is still worth having, which is why it is only said if
/// none can be had; but a hold is what was asked for.
fn keep(picked: Picked, terms: &Terms, choice: &mut Choice, host: &Host) -> Result<Vec<Lease>, Error> {
    if terms.ttl == Duration::ZERO || (choice.no_lease.is_some() && !terms.hold) {
        return Ok(Vec::new());
    }
    match picked.keep(terms) {
        Ok(leases) => Ok(leases.into_iter().map(|lease| Lease { uid: host.euid, ..lease }).collect()),
        Err(error) if !terms.hold => {
            choice.no_lease = Some(error.to_string());
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

fn tell(answer: &Answer, printing: &Printing) -> Exit {
    // Settled here: what happens to the output changes no answer.
    let exit = answer.exit();
    notes(answer, printing);
    let Some(style) = &printing.style else { return exit };
    written(exit, print(style.format, printing.color, |out| render::write(answer, style, out)))
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
