//! The command `portcheck`: parse, answer, write, exit. The only place that prints an error or exits.

// What must never happen in the program itself, though tests do it.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod exec;
mod killing;
mod pick;
mod progress;
mod waiting;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use portcheck::answer::{self, Answer, Command, Exit};
use portcheck::collect;
use portcheck::error::Error;
use portcheck::model::Backend;
use portcheck::render::{self, ErrorKind, Format, escape};
use portcheck::request::Question;

use cli::{Invocation, Stop, Wish};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let exit = match cli::parse(&arguments).and_then(cli::resolve) {
        Ok(Wish::Answer(invocation)) => run(&invocation),
        Ok(Wish::Kill(invocation, options)) => killing::run(&invocation, options),
        Ok(Wish::Wait(invocation, wait)) => waiting::run(&invocation, wait),
        Ok(Wish::Free(wish, printing)) => pick::run(wish, &printing),
        Ok(Wish::KeepLeases) => pick::keep_leases(),
        Ok(Wish::Explanation(rules, color)) => {
            written(Exit::Yes, print(Format::Table, color, |out| render::write_explanation(&rules, out)))
        }
        Err(Stop::Text(text)) => match text.print() {
            Ok(()) => Exit::Yes,
            Err(error) => written(Exit::Yes, Err(error)),
        },
        Err(Stop::Usage(message)) => {
            if cli::wants_json(&arguments) {
                let host = collect::host(Backend::Native);
                write_error(ErrorKind::Usage, &message, None, &host)
            } else {
                complain(&message);
                Exit::Usage
            }
        }
    };
    ExitCode::from(exit.code())
}

fn run(invocation: &Invocation) -> Exit {
    let progress = progress::start();
    let answered = answer::answer(&invocation.request);
    drop(progress);
    match answered {
        // The code is settled here: what happens to the output cannot change a verdict.
        Ok(answer) => written(answer.exit(), write(&answer, invocation)),
        Err(error) => fail(&error, command_of(invocation), invocation),
    }
}

fn command_of(invocation: &Invocation) -> Command {
    match invocation.request.question {
        Question::Check(_) => Command::Check,
        Question::List(..) => Command::List,
    }
}

fn write(answer: &Answer, invocation: &Invocation) -> io::Result<()> {
    let Some(style) = &invocation.style else { return Ok(()) };
    print(style.format, invocation.color, |out| render::write(answer, style, out))
}

/// Writes to standard output, with colours where they are wanted and `format` has any.
fn print(
    format: Format,
    color: anstream::ColorChoice,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let out = io::stdout().lock();
    // What takes colours out also takes out what only looks like them, which no format for programs may lose.
    let out: &mut dyn Write = match format {
        Format::Table => &mut BufWriter::new(anstream::AutoStream::new(out, color)),
        Format::Json | Format::Ndjson | Format::Csv | Format::Markdown => &mut BufWriter::new(out),
    };
    write(out)?;
    out.flush()
}

fn fail(error: &Error, command: Command, invocation: &Invocation) -> Exit {
    let is_json = invocation.style.as_ref().is_some_and(|style| style.format == Format::Json);
    if !is_json {
        complain(&error.to_string());
        return Exit::Failure;
    }
    let host = collect::host(invocation.request.backend);
    write_error(ErrorKind::Failure, &error.to_string(), Some(command), &host)
}

fn write_error(kind: ErrorKind, message: &str, command: Option<Command>, host: &portcheck::model::Host) -> Exit {
    let exit = match kind {
        ErrorKind::Usage => Exit::Usage,
        ErrorKind::Failure => Exit::Failure,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    written(exit, render::write_error(kind, message, command, host, &mut out).and_then(|()| out.flush()))
}

/// A reader that hung up has seen enough; any other trouble with the output is a failure.
fn written(exit: Exit, result: io::Result<()>) -> Exit {
    match result {
        Ok(()) => exit,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(error) => {
            complain(&Error::Write(error).to_string());
            Exit::Failure
        }
    }
}

fn complain(message: &str) {
    // Nothing is left to do if standard error is closed too.
    let _ = writeln!(io::stderr(), "portcheck: {}", escape::terminal(message));
}
