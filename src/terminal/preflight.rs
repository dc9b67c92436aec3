//! `portcheck preflight` at the terminal.

use super::{LOOKING, Printing, complain, start_progress, write_error};
use crate::answer::Answer;
use crate::collect;
use crate::commands::exit::{Command, Exit};
use crate::commands::preflight::{Failure, Options, preflight};
use crate::render::ErrorKind;
use crate::request::Request;

/// Looks at the ports that the files ask for.
pub fn run(request: &Request, options: &Options, printing: &Printing) -> Exit {
    let progress = start_progress(LOOKING);
    let found = preflight(request, options);
    drop(progress);
    match found {
        Ok(report) => printing.finish(&Answer::Preflight(Box::new(report))),
        Err(Failure::Failed(error)) => printing.fail(&error, Command::Preflight, request.backend),
        Err(Failure::Usage(message)) if printing.is_json() => {
            write_error(ErrorKind::Usage, &message, Some(Command::Preflight), &collect::host(request.backend))
        }
        Err(Failure::Usage(message)) => {
            complain(&message);
            Exit::Usage
        }
    }
}
