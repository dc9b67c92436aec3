//! The program from its arguments to its exit code: parse, run, write.

mod ansible;

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::process::ExitCode;

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
use crate::render::{self, ErrorKind, Format};
use crate::request::Request;
use crate::terminal::{self, Printing};

/// Does what the command line asks for.
pub fn run(arguments: &[OsString]) -> ExitCode {
    if let Some(shell) = cli::asking_shell() {
        return ExitCode::from(terminal::written(Exit::Yes, cli::complete(shell, arguments)).code());
    }
    let wish = cli::version(arguments).map_or_else(|| cli::parse(arguments).and_then(cli::resolve), Ok);
    let exit = match wish {
        Ok(Wish::Check(request, printing)) => {
            look(Command::Check, &request, &printing, || check(&request).map(Answer::Check))
        }
        Ok(Wish::List(request, filter, order, printing)) => {
            look(Command::List, &request, &printing, || list(&request, &filter, order).map(Answer::List))
        }
        Ok(Wish::Connections(request, filter, arrangement, printing)) => {
            look(Command::Connections, &request, &printing, || {
                connections(&request, &filter, arrangement).map(|report| Answer::Connections(Box::new(report)))
            })
        }
        Ok(Wish::Summary(request, filter, printing)) => look(Command::List, &request, &printing, || {
            summary(&request, &filter).map(|counted| Answer::Summary(Box::new(counted)))
        }),
        Ok(Wish::Reach(request, from, printing)) => {
            look(Command::Reach, &request, &printing, || reach(&request, &from).map(Answer::Reach))
        }
        Ok(Wish::Identify(request, urls, printing)) => {
            look(Command::Identify, &request, &printing, || identify(&request, &urls).map(Answer::Identify))
        }
        Ok(Wish::Preflight(request, options, following, printing)) => {
            terminal::preflight::run(&request, &options, &following, &printing)
        }
        Ok(Wish::Kill(request, options, printing)) => terminal::kill::run(request, options, &printing),
        Ok(Wish::Wait(request, wait, printing)) => terminal::wait::run(request, wait, &printing),
        Ok(Wish::Watch(request, watching, printing)) => terminal::watch::run(&request, *watching, &printing),
        Ok(Wish::Hosts(question, printing)) => ask(&question, &printing),
        Ok(Wish::Pick(picking, printing)) => terminal::free::pick(*picking, &printing),
        Ok(Wish::Leases(printing)) => terminal::free::leases(&printing),
        Ok(Wish::Release(ports, printing)) => terminal::free::release(&ports, &printing),
        Ok(Wish::Module(module)) => ansible::run(module),
        Ok(Wish::KeepLeases) => terminal::free::keep_leases(),
        Ok(Wish::Explanation(rules, color)) => {
            let printed = terminal::print(Format::Table, color, |out| render::write_explanation(&rules, out));
            terminal::written(Exit::Yes, printed)
        }
        Ok(Wish::Page(page)) => {
            let printed =
                terminal::print(Format::Count, anstream::ColorChoice::Never, |out| out.write_all(page.as_bytes()));
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
