//! `portcheck kill` at the terminal: shows the plan, asks, carries it out, and prints the result.

use std::io::{self, IsTerminal, Write};

use super::{LOOKING, Printing, complain, start_progress, write_error};
use crate::answer::Answer;
use crate::commands::exit::{Command, Exit};
use crate::commands::kill::{Consent, Options, Outcome, Prepared, Report, prepare};
use crate::error::Error;
use crate::render::{self, ErrorKind, Style, escape};
use crate::request::Request;

/// Frees the ports that `request` asks about.
pub fn run(request: Request, options: Options, printing: &Printing) -> Exit {
    let backend = request.backend;
    let progress = start_progress(LOOKING);
    let prepared = prepare(request, options);
    drop(progress);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return printing.fail(&error, Command::Kill, backend),
    };
    let report = match (prepared.foregone(), prepared.options().consent) {
        (_, Consent::DryRun) => {
            let outcome = prepared.dry_run();
            Ok(prepared.untouched(outcome))
        }
        (Some(outcome), _) => Ok(prepared.untouched(outcome)),
        (None, Consent::Given(_)) => execute(prepared),
        (None, Consent::Ask) if !can_ask() => return refuse_to_guess(&prepared, printing),
        (None, Consent::Ask) => ask(prepared, printing),
    };
    match report {
        Ok(report) => printing.finish(&Answer::Kill(Box::new(report))),
        Err(error) => printing.fail(&error, Command::Kill, backend),
    }
}

/// Carries the plan out. Docker gives a container ten seconds to end.
fn execute(prepared: Prepared) -> Result<Report, Error> {
    let stops = prepared.plan.stops.iter().filter_map(|stop| stop.what.as_ref().or_else(|| stop.command.last()));
    let ends = prepared.plan.holders.iter().filter(|holder| !holder.is_stopped_by_keeper);
    let ends = ends.map(|holder| format!("{} (pid {})", holder.name, holder.pid));
    let names: Vec<String> = stops.cloned().chain(ends).collect();
    let _progress = match &names[..] {
        [only] => start_progress(format!("waiting for {} to end …", escape::terminal(only))),
        _ => start_progress(format!("waiting for {} processes and containers to end …", names.len())),
    };
    prepared.execute()
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn refuse_to_guess(prepared: &Prepared, printing: &Printing) -> Exit {
    let message = "kill asks before it ends anything, and there is no terminal to ask on: add --yes, or --dry-run to see \
                   what it would do";
    if printing.is_json() {
        return write_error(ErrorKind::Usage, message, Some(Command::Kill), &prepared.diagnosis.host);
    }
    complain(message);
    Exit::Usage
}

/// Shows the plan on standard error, as standard output may be a file.
fn ask(prepared: Prepared, printing: &Printing) -> Result<Report, Error> {
    let quiet = Style::default();
    let style = printing.style.as_ref().unwrap_or(&quiet);
    let mut out = printing.stderr();
    // So many processes that a yes may be a mistake: then the user types their number.
    let count = prepared.has_to_be_counted().then(|| prepared.plan.holders.len().to_string());
    let question = match &count {
        Some(count) => format!("Type {count} to end these {count} processes: "),
        None => "Do this? [y/N] ".to_owned(),
    };
    let shown = render::write_plan(&prepared, style, &mut out).and_then(|()| write!(out, "{question}"));
    drop(out);
    let mut diagnosis = String::new();
    // A user who cannot see the question cannot have meant yes.
    let is_read = shown.is_ok() && io::stdin().read_line(&mut diagnosis).is_ok();
    let typed = diagnosis.trim().to_ascii_lowercase();
    let is_yes = is_read && count.map_or(matches!(&*typed, "y" | "yes"), |count| typed == count);
    if is_yes { execute(prepared) } else { Ok(prepared.untouched(Outcome::Declined)) }
}
