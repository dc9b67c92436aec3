//! The program from its arguments to its exit code: parse, run, write.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::answer::{self, Command, Exit};
use crate::cli::{self, Stop, Wish};
use crate::collect;
use crate::commands::{free, kill, wait};
use crate::model::Backend;
use crate::render::{self, ErrorKind, Format};
use crate::request::{Question, Request};
use crate::terminal::{self, Printing};

/// Does what the command line asks for.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let exit = match cli::parse(arguments).and_then(cli::resolve) {
        Ok(Wish::Answer(request, printing)) => answer(&request, &printing),
        Ok(Wish::Kill(request, options, printing)) => kill::terminal::run(request, options, &printing),
        Ok(Wish::Wait(request, wait, printing)) => wait::terminal::run(request, wait, &printing),
        Ok(Wish::Pick(picking, printing)) => free::terminal::pick(*picking, &printing),
        Ok(Wish::Leases(printing)) => free::terminal::leases(&printing),
        Ok(Wish::Release(ports, printing)) => free::terminal::release(&ports, &printing),
        Ok(Wish::KeepLeases) => free::terminal::keep_leases(),
        Ok(Wish::Explanation(rules, color)) => {
            let printed = terminal::print(Format::Table, color, |out| render::write_explanation(&rules, out));
            terminal::written(Exit::Yes, printed)
        }
        Err(Stop::Text(text)) => match text.print() {
            Ok(()) => Exit::Yes,
            Err(error) => terminal::written(Exit::Yes, Err(error)),
        },
        Err(Stop::Usage(message)) => {
            if cli::wants_json(arguments) {
                let host = collect::host(Backend::Native);
                terminal::write_error(ErrorKind::Usage, &message, None, &host)
            } else {
                terminal::complain(&message);
                Exit::Usage
            }
        }
    };
    ExitCode::from(exit.code())
}

fn answer(request: &Request, printing: &Printing) -> Exit {
    let progress = terminal::start_progress();
    let answered = answer::answer(request);
    drop(progress);
    match answered {
        // The code is settled here: what happens to the output cannot change a verdict.
        Ok(answer) => {
            let printed = printing.print(|style, out| render::write(&answer, style, out));
            terminal::written(answer.exit(), printed)
        }
        Err(error) => {
            let command = match request.question {
                Question::Check(_) => Command::Check,
                Question::List(..) => Command::List,
            };
            printing.fail(&error, command, request.backend)
        }
    }
}
