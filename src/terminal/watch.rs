//! `portcheck watch` at the terminal: prints events as they happen, and runs a command for each.

mod command;

use std::ffi::OsString;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anstream::AutoStream;

use super::{Printing, written};
use crate::commands::exit::{Command, Exit};
use crate::commands::watch::{Event, Kind, Watcher};
use crate::error::Error;
use crate::platform::ends::Ends;
use crate::render::{self, Format};
use crate::request::{Filter, Request};
use command::Runner;

/// What is watched, and what is done about it.
#[derive(Debug)]
pub struct Watching {
    /// What it is narrowed to.
    pub filter: Filter,
    /// The longest time between two looks.
    pub interval: Duration,
    /// When to end; never if `None`.
    pub timeout: Option<Duration>,
    /// The events that are told; all if empty.
    pub kinds: Vec<Kind>,
    /// The command to run for each event; none if empty.
    pub command: Vec<OsString>,
}

/// Why the watch is over.
enum End {
    /// It was asked to end, or nobody reads any more.
    Asked,
    /// It failed to look.
    Failed(Error),
    /// It failed to write.
    Unwritten(io::Error),
}

/// Watches until it is to end.
pub fn run(request: &Request, watching: Watching, printing: &Printing) -> Exit {
    // Before any thread is started.
    let ends = match Ends::of_stream() {
        Ok(ends) => ends,
        Err(error) => return printing.fail(&error, Command::Watch, request.backend),
    };
    let runner = match Runner::start(watching.command) {
        Ok(runner) => runner,
        Err(exit) => return exit,
    };
    let mut teller = Teller { printing, kinds: watching.kinds, runner };
    let mut watcher = Watcher::new(request, &watching.filter, watching.interval);
    let until = watching.timeout.map(|timeout| Instant::now() + timeout);
    let end = watch(&mut watcher, &ends, until, &mut teller);
    if let Some(runner) = teller.runner {
        runner.end();
    }
    match end {
        End::Asked => Exit::Yes,
        End::Failed(error) => printing.fail(&error, Command::Watch, request.backend),
        End::Unwritten(error) => written(Exit::Yes, Err(error)),
    }
}

fn watch(watcher: &mut Watcher, ends: &Ends, until: Option<Instant>, teller: &mut Teller<'_>) -> End {
    let left = || until.map_or(Duration::from_hours(1), |until| until.saturating_duration_since(Instant::now()));
    loop {
        let is_last = left().is_zero();
        let mut events = match watcher.look() {
            Ok(events) => events,
            Err(error) => return End::Failed(error),
        };
        if is_last {
            events.extend(watcher.untold());
        }
        for event in &events {
            if let Err(error) = teller.tell(event) {
                return End::Unwritten(error);
            }
        }
        if is_last {
            return End::Asked;
        }
        match watcher.wait_or_end(ends, left()) {
            Ok(true) => return End::Asked,
            Ok(false) => {}
            Err(error) => return End::Failed(error),
        }
    }
}

/// Tells events: prints them, and gives them to a command.
struct Teller<'a> {
    printing: &'a Printing,
    kinds: Vec<Kind>,
    runner: Option<Runner>,
}

impl Teller<'_> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        if !self.kinds.is_empty() && !self.kinds.contains(&event.kind) {
            return Ok(());
        }
        if let Some(runner) = &mut self.runner {
            runner.give(event);
        }
        self.print(event)
    }

    /// Prints an event at once, in one piece.
    fn print(&self, event: &Event) -> io::Result<()> {
        let Some(style) = &self.printing.style else { return Ok(()) };
        let mut line = Vec::new();
        let mut out = io::stdout().lock();
        if style.format == Format::Ndjson {
            render::write_event_line(event, &mut line)?;
            out.write_all(&line)?;
            return out.flush();
        }
        render::write_event(event, style, &mut line)?;
        let mut out = AutoStream::new(out, self.printing.color);
        out.write_all(&line)?;
        out.flush()
    }
}
