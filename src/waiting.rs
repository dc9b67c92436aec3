//! `--wait` at the terminal: tells what is going on, writes how it went, and becomes the command behind `--`.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use portcheck::act::wait::{self, Outcome, Report};
use portcheck::answer::{Answer, Command, Exit};
use portcheck::collect::Detail;
use portcheck::platform;
use portcheck::render::{self, Style};

use crate::cli::{Invocation, Waiting};
use crate::{complain, exec, fail, print, written};

/// Waits for the ports that `invocation` asks about.
pub fn run(invocation: &Invocation, waiting: Waiting) -> Exit {
    let Waiting { options, goals, command, is_verbose, notes } = waiting;
    let mut request = invocation.request.clone();
    let quiet = Style::default();
    let style = invocation.style.as_ref().unwrap_or(&quiet);
    if invocation.style.is_some() {
        for note in &notes {
            complain(note);
        }
    }
    let is_watched = invocation.style.is_some() && (is_verbose || io::stderr().is_terminal());
    if is_watched {
        // Who holds a port is worth a look for somebody who watches.
        request.detail = request.detail.max(Detail::Brief);
    }
    let (told_goals, told_options) = (goals.clone(), options.clone());
    let mut tell = |answer: &Answer| {
        let mut out = anstream::AutoStream::new(io::stderr().lock(), invocation.color);
        // Nothing depends on whether anybody reads it.
        let _ = render::write_waiting(&told_goals, &told_options, answer, style, &mut out).and_then(|()| out.flush());
    };
    let watcher: Option<&mut wait::Watcher<'_>> = if is_watched { Some(&mut tell) } else { None };
    match wait::wait(&request, options, goals, watcher) {
        Ok(report) => {
            let exit = written(report.exit(), write(&report, invocation, &command));
            match command.first() {
                Some(program) if exit == Exit::Yes => exec::cannot_run(program, &platform::exec(&command, &[])),
                _ => exit,
            }
        }
        Err(error) => fail(&error, Command::Wait, invocation),
    }
}

/// Nothing is written before a command takes over: standard output is the command's own.
fn write(report: &Report, invocation: &Invocation, command: &[OsString]) -> io::Result<()> {
    let Some(style) = &invocation.style else { return Ok(()) };
    if report.outcome == Outcome::Met && !command.is_empty() {
        return Ok(());
    }
    print(style.format, invocation.color, |out| render::write_wait(report, style, out))
}
