//! `--wait` at the terminal: tells what is going on, writes how it went, and becomes the command behind `--`.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use super::{Goal, Options, Outcome, Report, Watcher, wait};
use crate::answer::{Answer, Command, Exit};
use crate::collect::Detail;
use crate::platform;
use crate::render::{self, Style};
use crate::request::Request;
use crate::terminal::{Printing, cannot_run, complain, written};

/// A wait, and what comes after it.
#[derive(Debug)]
pub struct Waiting {
    /// What is waited for.
    pub options: Options,
    /// Where.
    pub goals: Vec<Goal>,
    /// The command to become on success; none if empty.
    pub command: Vec<OsString>,
    /// Whether to tell what is going on although nobody may be at a terminal.
    pub is_verbose: bool,
    /// What was asked for and is not waited for.
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
        // Who holds a port is worth a look for somebody who watches.
        request.detail = request.detail.max(Detail::Brief);
    }
    let (told_goals, told_options) = (goals.clone(), options.clone());
    let mut tell = |answer: &Answer| {
        let mut out = printing.stderr();
        // Nothing depends on whether anybody reads it.
        let _ = render::write_waiting(&told_goals, &told_options, answer, style, &mut out).and_then(|()| out.flush());
    };
    let watcher: Option<&mut Watcher<'_>> = if is_watched { Some(&mut tell) } else { None };
    match wait(&request, options, goals, watcher) {
        Ok(report) => {
            let exit = written(report.exit(), write(&report, &command, printing));
            match command.first() {
                Some(program) if exit == Exit::Yes => cannot_run(program, &platform::exec(&command, &[])),
                _ => exit,
            }
        }
        Err(error) => printing.fail(&error, Command::Wait, request.backend),
    }
}

/// Nothing is written before a command takes over: standard output is the command's own.
fn write(report: &Report, command: &[OsString], printing: &Printing) -> io::Result<()> {
    if report.outcome == Outcome::Met && !command.is_empty() {
        return Ok(());
    }
    printing.print(|style, out| render::write_wait(report, style, out))
}
