//! `portcheck watch` at the terminal: prints events as they happen, and runs a command for each.

mod command;
mod outlet;

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};

use super::{Printing, complain, written};
use crate::collect::Missed;
use crate::commands::exit::{Command, Exit};
use crate::commands::watch::{Event, INTERVAL, Kind, Watcher};
use crate::error::Error;
use crate::platform::ends::{Ends, Woken};
use crate::platform::memory;
use crate::render::{self, Format, Style};
use crate::request::{Column, Filter, Order, Request};
use outlet::{Outlet, PATIENCE};

/// How often to look whether a slow reader has caught up.
const PAUSE: Duration = Duration::from_millis(10);

/// What is watched, and what is done about it.
#[derive(Debug)]
pub struct Watching {
    /// What it is narrowed to.
    pub filter: Filter,
    /// The longest time between two looks; the usual one if `None`.
    pub interval: Option<Duration>,
    /// What the live view is ordered by at first.
    pub order: Order<Column>,
    /// Whether the live view has to panic, for a test.
    #[cfg_attr(not(feature = "live"), expect(dead_code, reason = "only the live view changes the terminal"))]
    pub has_to_panic: bool,
    /// When to end; never if `None`.
    pub timeout: Option<Duration>,
    /// The events that are told; all if empty.
    pub kinds: Vec<Kind>,
    /// The command to run for each event; none if empty.
    pub command: Vec<OsString>,
}

/// Watches until it is to end.
pub fn run(request: &Request, watching: Watching, printing: &Printing) -> Exit {
    memory::give_back_large_blocks();
    #[cfg(feature = "live")]
    if is_for_people(&watching, printing) {
        return super::live::run(request, &watching, printing);
    }
    if asks_for_live_view(&watching, printing) {
        complain("--columns and --sort are for the live view, which needs a terminal: leave them out");
        return Exit::Usage;
    }
    let fail = |error: &Error| printing.fail(error, Command::Watch, request.backend);
    // Before any thread is started.
    let ends = match Ends::of_stream() {
        Ok(ends) => ends,
        Err(error) => return fail(&error),
    };
    let command = match command::start(watching.command) {
        Ok(command) => command,
        Err(exit) => return exit,
    };
    let printer = match printing.style.clone().map(|style| printer(style, printing.color)).transpose() {
        Ok(printer) => printer,
        Err(error) => return written(Exit::Yes, Err(error)),
    };
    let mut teller = Teller { kinds: watching.kinds, command, printer };
    let mut watcher = Watcher::new(request, &watching.filter, watching.interval.unwrap_or(INTERVAL));
    let until = watching.timeout.map(|timeout| Instant::now() + timeout);
    let watched = watch(&mut watcher, &ends, until, &mut teller);
    let told = teller.end();
    match watched {
        Ok(()) => written(Exit::Yes, told),
        Err(error) => fail(&error),
    }
}

/// Whether somebody looks on, and asks for nothing that only a stream of events has.
#[cfg(feature = "live")]
fn is_for_people(watching: &Watching, printing: &Printing) -> bool {
    use std::io::IsTerminal;
    let is_table = printing.style.as_ref().is_some_and(|style| style.format == Format::Table);
    let is_plain = watching.timeout.is_none() && watching.kinds.is_empty() && watching.command.is_empty();
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    is_table && is_plain && !is_dumb && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether an option was given that only the live view has.
fn asks_for_live_view(watching: &Watching, printing: &Printing) -> bool {
    let has_columns = printing.style.as_ref().is_some_and(|style| !style.columns.is_empty());
    has_columns || watching.order != Order::default()
}

fn watch(watcher: &mut Watcher, ends: &Ends, until: Option<Instant>, teller: &mut Teller) -> Result<(), Error> {
    let left = || until.map_or(Duration::from_hours(1), |until| until.saturating_duration_since(Instant::now()));
    loop {
        let is_last = left().is_zero();
        let mut events = watcher.look()?;
        while let Some(event) = events.next() {
            if event.kind == Kind::Present && teller.wait_or_end(ends, left() + PATIENCE)? {
                teller.leave_out(events.len() + 1);
                return Ok(());
            }
            teller.tell(&Arc::new(event));
        }
        teller.miss(watcher.missed());
        if is_last || teller.has_failed() || watcher.wait_or_end(ends, left())? {
            return Ok(());
        }
    }
}

/// Prints events to standard output, each at once and in one piece.
fn printer(style: Style, color: ColorChoice) -> io::Result<Outlet> {
    Outlet::start(READER.to_owned(), move |event| {
        let out = io::stdout().lock();
        match style.format {
            Format::Ndjson => write_out(out, &json(event)),
            _ => {
                let mut line = Vec::new();
                render::write_event(event, &style, &mut line)?;
                write_out(AutoStream::new(out, color), &line)
            }
        }
    })
}

fn write_out(mut out: impl Write, line: &[u8]) -> io::Result<()> {
    out.write_all(line)?;
    out.flush()
}

/// Who gets what is printed.
const READER: &str = "the reader of the events";

/// An event as a line of JSON.
fn json(event: &Event) -> Vec<u8> {
    let mut line = Vec::new();
    // Writing to memory does not fail.
    let _ = render::write_event_line(event, &mut line);
    line
}

/// Tells events: prints them, and gives them to a command.
struct Teller {
    kinds: Vec<Kind>,
    command: Option<Outlet>,
    printer: Option<Outlet>,
}

impl Teller {
    fn tell(&mut self, event: &Arc<Event>) {
        if self.is_wanted(event.kind) {
            self.outlets_mut().for_each(|outlet| outlet.give(event));
        }
    }

    /// Waits until there is room for what is there at the start, however much it is. Returns whether the
    /// watch is to end.
    fn wait_or_end(&self, ends: &Ends, timeout: Duration) -> Result<bool, Error> {
        let end = Instant::now() + timeout;
        while self.outlets().any(Outlet::is_behind) {
            if Instant::now() >= end || ends.wait(None, PAUSE)? == Woken::Ended {
                return Ok(true);
            }
        }
        Ok(self.has_failed())
    }

    /// So many events of what is there at the start cannot be told.
    fn leave_out(&mut self, count: usize) {
        if self.is_wanted(Kind::Present) {
            self.outlets_mut().for_each(|outlet| outlet.leave_out(count));
        }
    }

    /// Tells that something was missed, now or later.
    fn miss(&mut self, missed: Missed) {
        let missed = if self.is_wanted(Kind::Lost) { missed } else { Missed::default() };
        self.outlets_mut().for_each(|outlet| outlet.miss(missed));
    }

    fn is_wanted(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn outlets(&self) -> impl Iterator<Item = &Outlet> {
        self.command.iter().chain(&self.printer)
    }

    fn outlets_mut(&mut self) -> impl Iterator<Item = &mut Outlet> {
        self.command.iter_mut().chain(&mut self.printer)
    }

    /// Whether nobody can be told any more: there is no use in looking then.
    fn has_failed(&self) -> bool {
        self.printer.as_ref().is_some_and(Outlet::has_failed)
    }

    /// Gives what still waits. Returns what has failed.
    fn end(self) -> io::Result<()> {
        let printed = self.printer.map_or(Ok(()), Outlet::end);
        let run = self.command.map_or(Ok(()), Outlet::end);
        printed.and(run)
    }
}
