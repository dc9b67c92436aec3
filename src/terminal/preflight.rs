//! `portcheck preflight` at the terminal: writes free ports to a file, prints the report, and
//! becomes the command behind `--`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{LOOKING, Printing, cannot_run, complain, start_progress, write_error};
use crate::answer::Answer;
use crate::collect;
use crate::commands::exit::{Command, Exit};
use crate::commands::free::{self, Appended, Leased, Terms};
use crate::commands::preflight::{Failure, Fault, Options, Report, Substitutes, preflight};
use crate::error::Error;
use crate::platform;
use crate::render::{self, ErrorKind, Format};
use crate::request::Request;

/// What to do besides looking.
#[derive(Debug, Default)]
pub struct Following {
    /// Where to write free ports for those that are not available.
    pub env_file: Option<PathBuf>,
    /// The command to become if all are available; none if empty.
    pub command: Vec<OsString>,
}

/// How long the free ports are kept from other callers.
const TTL: Duration = Duration::from_mins(1);

/// Looks at the ports that the files ask for.
pub fn run(request: &Request, options: &Options, following: &Following, printing: &Printing) -> Exit {
    let progress = start_progress(LOOKING);
    let found = preflight(request, options);
    drop(progress);
    let found = found.and_then(|mut report| {
        let kept = keep(&mut report, following)?;
        Ok((report, kept))
    });
    match found {
        Ok((report, kept)) => conclude(report, kept, &following.command, printing),
        Err(Failure::Failed(error)) => printing.fail(&error, Command::Preflight, request.backend),
        Err(Failure::Malformed(fault)) => {
            annotate(&fault, printing);
            refuse(&fault.to_string(), request, printing)
        }
        Err(Failure::Usage(message)) => refuse(&message, request, printing),
    }
}

/// Shows the line of a malformed file in a format for CI.
fn annotate(fault: &Fault, printing: &Printing) {
    let format = printing.style.as_ref().map(|style| style.format);
    if let Some(format @ (Format::Github | Format::Gitlab | Format::Junit)) = format {
        // The message is on standard error, too.
        let _ = super::print(format, printing.color, |out| render::write_fault(fault, format, out));
    }
}

fn refuse(message: &str, request: &Request, printing: &Printing) -> Exit {
    if printing.is_json() {
        return write_error(ErrorKind::Usage, message, Some(Command::Preflight), &collect::host(request.backend));
    }
    complain(message);
    Exit::Usage
}

/// Free ports that were written to a file, and can still be taken back.
#[derive(Debug, Default)]
struct Kept {
    variables: Vec<(String, String)>,
    leased: Leased,
    appended: Appended,
}

/// Picks, leases and writes free ports, if a file for them is named.
fn keep(report: &mut Report, following: &Following) -> Result<Kept, Error> {
    let Some(path) = &following.env_file else { return Ok(Kept::default()) };
    let mut substitutes: Substitutes = report.substitute()?;
    if substitutes.names.is_empty() {
        return Ok(Kept::default());
    }
    let client = free::watch_caller();
    let terms = Terms { ttl: TTL, hold: false, client, ends_with_client: false, key: None };
    // Without a lease the ports are still useful.
    let leased = substitutes.keep(&terms).unwrap_or_default();
    match free::append_to_env_file(path, &substitutes.names, &substitutes.ports) {
        Ok(appended) => {
            let ports = substitutes.ports.iter().map(ToString::to_string);
            Ok(Kept { variables: substitutes.names.into_iter().zip(ports).collect(), leased, appended })
        }
        Err(error) => {
            leased.call_off();
            Err(error)
        }
    }
}

/// Prints the report, or becomes the command, whose standard output nothing else is printed to.
fn conclude(report: Report, kept: Kept, command: &[OsString], printing: &Printing) -> Exit {
    if report.exit() == Exit::Yes && !command.is_empty() {
        let error = platform::exec(command, &kept.variables);
        kept.appended.take_back();
        kept.leased.call_off();
        return cannot_run(&command[0], &error);
    }
    printing.finish(&Answer::Preflight(Box::new(report)))
}
