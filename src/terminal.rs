//! The standard streams: prints answers, errors and signs of life, and returns the exit code.

pub mod ansible;
mod exec;
pub mod free;
pub mod kill;
#[cfg(feature = "live")]
pub mod live;
pub mod preflight;
mod progress;
pub mod wait;
pub mod watch;

use std::io::{self, BufWriter, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use crate::answer::Answer;
use crate::collect;
use crate::commands::exit::{Command, Exit};
use crate::error::Error;
use crate::model::{Backend, Host};
use crate::render::{self, ErrorKind, Format, Style, escape};

pub use exec::{cannot_run, is_found};
pub use progress::{ASKING, LOOKING, start as start_progress};

/// How to print an answer.
#[derive(Debug)]
pub struct Printing {
    /// The style; `None` if nothing is to be printed.
    pub style: Option<Style>,
    /// When to use colour.
    pub color: ColorChoice,
}

impl Printing {
    /// Writes an answer to standard output, unless nothing is to be printed.
    pub fn print(&self, answer: &Answer) -> io::Result<()> {
        let Some(style) = &self.style else { return Ok(()) };
        print(style.format, self.color, |out| render::write(answer, style, out))
    }

    /// Writes an answer to standard output, and to standard error what its format has no room for.
    /// The exit code is settled: output cannot change it.
    pub fn finish(&self, answer: &Answer) -> Exit {
        let exit = written(self.exit(answer), self.print(answer));
        for line in self.style.iter().flat_map(|style| render::asides(answer, style)) {
            complain(&line);
        }
        exit
    }

    /// The exit code for an answer.
    pub fn exit(&self, answer: &Answer) -> Exit {
        self.style.as_ref().map_or_else(|| answer.exit(), |style| style.exit(answer))
    }

    /// Reports that the tool itself failed.
    pub fn fail(&self, error: &Error, command: Command, backend: Backend) -> Exit {
        if !self.is_json() {
            complain(&error.to_string());
            return Exit::Failure;
        }
        write_error(ErrorKind::Failure, &error.to_string(), Some(command), &collect::host(backend))
    }

    /// Whether a program reads the answer as one document.
    pub fn is_json(&self) -> bool {
        self.style.as_ref().is_some_and(|style| style.format == Format::Json)
    }

    /// Standard error, with colour if that is wanted.
    pub fn stderr(&self) -> AutoStream<io::StderrLock<'static>> {
        AutoStream::new(io::stderr().lock(), self.color)
    }
}

/// Writes to standard output, with colours where they are wanted and `format` has any.
pub fn print(
    format: Format,
    color: ColorChoice,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if format == Format::Table && !out.is_terminal() {
        // What removes colours passes on each piece between two of them by itself.
        let mut text = AutoStream::new(Vec::new(), color);
        write(&mut text)?;
        return out.write_all(&text.into_inner()).and_then(|()| out.flush());
    }
    // What removes colours also removes text that looks like them, which formats for programs must
    // keep.
    let out: &mut dyn Write = match format {
        Format::Table => &mut BufWriter::new(AutoStream::new(out, color)),
        // There may be much, and standard output cuts what it gets at the last line break.
        _ => &mut BufWriter::with_capacity(1 << 16, out),
    };
    write(out)?;
    out.flush()
}

/// Writes an error as JSON.
pub fn write_error(kind: ErrorKind, message: &str, command: Option<Command>, host: &Host) -> Exit {
    let exit = match kind {
        ErrorKind::Usage => Exit::Usage,
        ErrorKind::Failure => Exit::Failure,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    written(exit, render::write_error(kind, message, command, host, &mut out).and_then(|()| out.flush()))
}

/// The exit code after writing. If the reader has hung up, it has seen enough. Any other error is a
/// failure.
pub fn written(exit: Exit, result: io::Result<()>) -> Exit {
    match result {
        Ok(()) => exit,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(error) => {
            complain(&Error::Write(error).to_string());
            Exit::Failure
        }
    }
}

/// Writes a line to standard error.
pub fn complain(message: &str) {
    // If standard error is closed, nothing can be done.
    let _ = writeln!(io::stderr(), "portcheck: {}", escape::terminal(message));
}
