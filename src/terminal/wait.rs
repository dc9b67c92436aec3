//! `portcheck wait` at the terminal: reports progress, prints the result, and becomes the command
//! behind `--`.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use super::{Printing, cannot_run, complain};
use crate::answer::Answer;
use crate::collect::Detail;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::{Command, Exit};
use crate::commands::wait::{Goal, Options, Outcome, Report, Watcher, wait};
use crate::platform;
use crate::render::{self, Style};
use crate::request::Request;

/// A wait, and what follows it.
#[derive(Debug)]
pub struct Waiting {
    /// What is waited for.
    pub options: Options,
    /// Where.
    pub goals: Vec<Goal>,
    /// The command to become on success; none if empty.
    pub command: Vec<OsString>,
    /// Whether to report progress even without a terminal.
    pub is_verbose: bool,
    /// What was asked for, but is not waited for.
    pub notes: Vec<String>,
}

/// Waits for the ports that `request` asks about.
pub fn run(mut request: Request, waiting: Waiting, printing: &Printing) -> Exit {
    let Waiting { options, goals, command, is_verbose, notes } = waiting;
    let quiet = Style::default();
    let style = printing.style.as_ref().unwrap_or(&quiet);
    if printing.style.is_some() {
        for note in &notes {
            complain(note);
        }
    }
    let is_watched = printing.style.is_some() && (is_verbose || io::stderr().is_terminal());
    if is_watched {
        // Somebody who watches wants to know who holds the port.
        request.detail = request.detail.max(Detail::Brief);
    }
    let (told_goals, told_options) = (goals.clone(), options.clone());
    let mut tell = |diagnosis: &Diagnosis| {
        let mut out = printing.stderr();
        // It does not matter whether anybody reads it.
        let _ =
            render::write_waiting(&told_goals, &told_options, diagnosis, style, &mut out).and_then(|()| out.flush());
    };
    let watcher: Option<&mut Watcher<'_>> = if is_watched { Some(&mut tell) } else { None };
    match wait(&request, options, goals, watcher) {
        // Nothing is printed before the command runs: standard output is the command's own.
        Ok(Report { outcome: Outcome::Met, .. }) if !command.is_empty() => {
            cannot_run(&command[0], &platform::exec(&command, &[]))
        }
        Ok(report) => printing.finish(&Answer::Wait(Box::new(report))),
        Err(error) => printing.fail(&error, Command::Wait, request.backend),
    }
}
