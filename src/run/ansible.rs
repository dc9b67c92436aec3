//! A task of Ansible: does what it asks for, and prints one JSON object.

use crate::answer::Answer;
use crate::cli::{Module, Wish};
use crate::collect;
use crate::commands::ansible::Task;
use crate::commands::check::check;
use crate::commands::exit::Exit;
use crate::commands::free::Leased;
use crate::commands::kill::{Outcome, Prepared, Report, prepare};
use crate::commands::list::list;
use crate::commands::preflight::{Failure, preflight};
use crate::commands::reach::reach;
use crate::commands::wait::wait;
use crate::error::Error;
use crate::model::Backend;
use crate::render::ErrorKind;
use crate::terminal;

/// Does a task.
pub fn run(module: Module) -> Exit {
    let Module { task, wish } = module;
    let answered = wish.map_err(Failure::Usage).and_then(|wish| answer(*wish, task));
    let (kind, message) = match answered {
        Ok((answer, leased)) => {
            let told = terminal::ansible::tell(&answer, task);
            if told.is_err() {
                leased.call_off();
            }
            return told.unwrap_or_else(|error| terminal::written(Exit::Failure, Err(error)));
        }
        Err(Failure::Usage(message)) => (ErrorKind::Usage, message),
        Err(Failure::Malformed(fault)) => (ErrorKind::Usage, fault.to_string()),
        Err(Failure::Failed(error)) => (ErrorKind::Failure, error.to_string()),
    };
    terminal::ansible::fail(kind, &message, &collect::host(Backend::Native))
}

/// The answer, and the leases of the ports in it.
fn answer(wish: Wish, task: Task) -> Result<(Answer, Leased), Failure> {
    let answer = match wish {
        Wish::Check(request, _) => Answer::Check(check(&request)?),
        Wish::List(request, filter, order, _) => Answer::List(list(&request, &filter, order)?),
        Wish::Reach(request, from, _) => Answer::Reach(reach(&request, &from)?),
        Wish::Preflight(request, options, ..) => Answer::Preflight(Box::new(preflight(&request, &options)?)),
        Wish::Kill(request, options, _) => Answer::Kill(Box::new(kill(prepare(request, options)?, task)?)),
        Wish::Wait(request, waiting, _) => {
            Answer::Wait(Box::new(wait(&request, waiting.options, waiting.goals, None)?))
        }
        Wish::Pick(picking, _) => {
            let taken = terminal::free::take(&picking, collect::host(Backend::Native))?;
            return Ok((Answer::Free(taken.report), taken.leased));
        }
        _ => return Err(Failure::Usage("this is no task of the module".to_owned())),
    };
    Ok((answer, Leased::default()))
}

/// Ends the holders, or tells what would be done. The consent has to cover the plan in both cases.
fn kill(prepared: Prepared, task: Task) -> Result<Report, Error> {
    let outcome = match prepared.foregone() {
        Some(Outcome::Refused) if task.is_check && prepared.objection().is_none() => prepared.dry_run(),
        Some(outcome) => outcome,
        None if task.is_check => prepared.dry_run(),
        None => return prepared.execute(),
    };
    Ok(prepared.untouched(outcome))
}
