//! `--kill` at the terminal: shows what will be done, asks, has it done, and writes what came of it.

use std::io::{self, IsTerminal, Write};

use portcheck::act::kill::{self, Consent, Options, Outcome, Prepared, Report};
use portcheck::answer::{Command, Exit};
use portcheck::error::Error;
use portcheck::render::{self, ErrorKind, Format, Style};

use crate::cli::Invocation;
use crate::{complain, fail, print, progress, write_error, written};

/// Frees the ports that `invocation` asks about.
pub fn run(invocation: &Invocation, options: Options) -> Exit {
    let progress = progress::start();
    let prepared = kill::prepare(invocation.request.clone(), options);
    drop(progress);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error, Command::Kill, invocation),
    };
    let report = match (prepared.foregone(), prepared.options().consent) {
        (_, Consent::DryRun) => {
            let outcome = prepared.dry_run();
            Ok(prepared.untouched(outcome))
        }
        (Some(outcome), _) => Ok(prepared.untouched(outcome)),
        (None, Consent::Given(_)) => prepared.execute(),
        (None, Consent::Ask) if !can_ask() => return refuse_to_guess(invocation, &prepared),
        (None, Consent::Ask) => ask(prepared, invocation),
    };
    match report {
        Ok(report) => written(report.exit(), write(&report, invocation)),
        Err(error) => fail(&error, Command::Kill, invocation),
    }
}

fn write(report: &Report, invocation: &Invocation) -> io::Result<()> {
    let Some(style) = &invocation.style else { return Ok(()) };
    print(style.format, invocation.color, |out| render::write_kill(report, style, out))
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn refuse_to_guess(invocation: &Invocation, prepared: &Prepared) -> Exit {
    let message = "kill asks before it ends anything, and there is no terminal to ask on: add --yes, or --dry-run to see \
                   what it would do";
    if invocation.style.as_ref().is_some_and(|style| style.format == Format::Json) {
        return write_error(ErrorKind::Usage, message, Some(Command::Kill), &prepared.answer.host);
    }
    complain(message);
    Exit::Usage
}

/// Shows the plan on standard error, where the answer is typed too, as standard output may be a file.
fn ask(prepared: Prepared, invocation: &Invocation) -> Result<Report, Error> {
    let quiet = Style::default();
    let style = invocation.style.as_ref().unwrap_or(&quiet);
    let mut out = anstream::AutoStream::new(io::stderr().lock(), invocation.color);
    // So many that a yes may be a mistake are counted by whoever agrees.
    let count = prepared.has_to_be_counted().then(|| prepared.plan.holders.len().to_string());
    let question = match &count {
        Some(count) => format!("Type {count} to end these {count} processes: "),
        None => "Do this? [y/N] ".to_owned(),
    };
    let shown = render::write_plan(&prepared, style, &mut out).and_then(|()| write!(out, "{question}"));
    drop(out);
    let mut answer = String::new();
    // Who cannot see the question cannot have meant yes.
    let is_read = shown.is_ok() && io::stdin().read_line(&mut answer).is_ok();
    let typed = answer.trim().to_ascii_lowercase();
    let is_yes = is_read && count.map_or(matches!(&*typed, "y" | "yes"), |count| typed == count);
    if is_yes { prepared.execute() } else { Ok(prepared.untouched(Outcome::Declined)) }
}
