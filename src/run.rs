//! The program from its arguments to its exit code: parse, run, write.

mod ansible;

use std::ffi::OsString;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::process::ExitCode;

use anstream::ColorChoice;

use crate::answer::Answer;
use crate::cli::{self, Stop, Wish};
use crate::collect;
use crate::commands::check::check;
use crate::commands::connections::connections;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::{Command, Exit};
use crate::commands::hosts;
use crate::commands::identify::identify;
use crate::commands::list::list;
use crate::commands::reach::reach;
use crate::commands::summary::summary;
use crate::error::Error;
use crate::model::Backend;
use crate::platform::memory;
use crate::render::{self, ErrorKind, Format};
use crate::request::Request;
use crate::terminal::{self, Printing, preflight};

/// Does what the command line asks for.
pub fn run(arguments: &[OsString]) -> ExitCode {
    if let Some(shell) = cli::asking_shell() {
        return ExitCode::from(terminal::written(Exit::Yes, cli::complete(shell, arguments)).code());
    }
    let wish = cli::version(arguments).map_or_else(|| cli::parse(arguments).and_then(cli::resolve), Ok);
    let exit = match wish {
        Ok(wish) => fulfil(wish),
        Err(Stop::Text(text)) => terminal::written(Exit::Yes, text.print()),
        Err(Stop::Usage(message)) if cli::wants_json(arguments) => {
            terminal::write_error(ErrorKind::Usage, &message, None, &collect::host(Backend::Native))
        }
        Err(Stop::Usage(message)) => {
            terminal::complain(&message);
            Exit::Usage
        }
    };
    ExitCode::from(exit.code())
}

fn fulfil(wish: Wish) -> Exit {
    match wish {
        Wish::Check(request, printing) => {
            look(Command::Check, &request, &printing, || check(&request).map(Answer::Check))
        }
        Wish::List(request, filter, order, printing) => {
            look(Command::List, &request, &printing, || list(&request, &filter, order).map(Answer::List))
        }
        Wish::Connections(request, filter, arrangement, printing) => {
            memory::give_back_large_blocks();
            look(Command::Connections, &request, &printing, || {
                connections(&request, &filter, arrangement).map(Box::new).map(Answer::Connections)
            })
        }
        Wish::Summary(request, filter, printing) => {
            memory::give_back_large_blocks();
            look(Command::List, &request, &printing, || summary(&request, &filter).map(Box::new).map(Answer::Summary))
        }
        Wish::Reach(request, from, printing) => {
            look(Command::Reach, &request, &printing, || reach(&request, &from).map(Answer::Reach))
        }
        Wish::Identify(request, urls, printing) => {
            look(Command::Identify, &request, &printing, || identify(&request, &urls).map(Answer::Identify))
        }
        Wish::Preflight(request, options, following, printing) => {
            preflight::run(&request, &options, &following, &printing)
        }
        Wish::Kill(request, options, printing) => terminal::kill::run(request, options, &printing),
        Wish::Wait(request, wait, printing) => terminal::wait::run(request, wait, &printing),
        Wish::Watch(request, watching, printing) => terminal::watch::run(&request, *watching, &printing),
        Wish::Hosts(question, printing) => ask(&question, &printing),
        Wish::Pick(picking, printing) => terminal::free::pick(*picking, &printing),
        Wish::Leases(printing) => terminal::free::leases(&printing),
        Wish::Release(ports, printing) => terminal::free::release(&ports, &printing),
        Wish::Module(module) => ansible::run(module),
        Wish::KeepLeases => terminal::free::keep_leases(),
        Wish::Explanation(rules, color) => show(Format::Table, color, |out| render::write_explanation(&rules, out)),
        // As it is: a page for a program may have what looks like colours.
        Wish::Page(page) => show(Format::Count, ColorChoice::Never, |out| out.write_all(page.as_bytes())),
    }
}

/// Writes a text of the program's own.
fn show(format: Format, color: ColorChoice, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Exit {
    terminal::written(Exit::Yes, terminal::print(format, color, write))
}

/// Asks other machines, and writes what they said.
fn ask(question: &hosts::Question, printing: &Printing) -> Exit {
    let progress = terminal::start_progress(terminal::ASKING);
    let hosts = hosts::ask(question);
    drop(progress);
    let diagnosis = Diagnosis::of_no_ports(collect::host(Backend::Native));
    printing.finish(&Answer::Hosts(Box::new(hosts::Report { command: question.command, diagnosis, hosts })))
}

/// Looks, with a sign of life if that takes long, and writes what was seen.
fn look(
    command: Command,
    request: &Request,
    printing: &Printing,
    answer: impl FnOnce() -> Result<Answer, Error>,
) -> Exit {
    let progress = terminal::start_progress(terminal::LOOKING);
    let answered = answer();
    drop(progress);
    match answered {
        // The process ends now. To free a hundred thousand sockets one by one would only delay that.
        Ok(answer) => printing.finish(&ManuallyDrop::new(answer)),
        Err(error) => printing.fail(&error, command, request.backend),
    }
}
