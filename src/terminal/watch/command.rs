//! The command of `--exec`: run for one event after the other, in a thread of its own, so that a slow
//! one does not keep the watch from looking.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::commands::exit::Exit;
use crate::commands::watch::Event;
use crate::render;
use crate::terminal::{cannot_run, complain, is_found};

/// How many events wait for the command at most.
const MOST: usize = 10_000;
/// How long the command has for them after the watch has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the command.
pub struct Runner {
    name: String,
    events: SyncSender<Given>,
    /// How many events found no place since the last one that did.
    dropped: usize,
    state: Arc<State>,
    /// Closed when the thread has ended.
    done: Receiver<()>,
}

/// What both threads know.
#[derive(Default)]
struct State {
    /// How many events wait, or are being given to the command.
    waiting: AtomicUsize,
    is_over: AtomicBool,
}

/// An event, as the command gets it.
struct Given {
    /// What it is about, for people.
    title: String,
    json: Vec<u8>,
}

impl Runner {
    /// Prepares to run a command; `None` if there is none.
    pub fn start(words: Vec<OsString>) -> Result<Option<Self>, Exit> {
        let Some(program) = words.first() else { return Ok(None) };
        if !is_found(program) {
            return Err(cannot_run(program, &io::ErrorKind::NotFound.into()));
        }
        let name = program.to_string_lossy().into_owned();
        let ((events, given), (ended, done)) = (mpsc::sync_channel(MOST), mpsc::channel());
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let work = move || {
            for event in given {
                if !shared.is_over.load(Ordering::Relaxed) {
                    run(&words, &event);
                    shared.waiting.fetch_sub(1, Ordering::Relaxed);
                }
            }
            drop(ended);
        };
        match thread::Builder::new().name("exec".to_owned()).spawn(work) {
            Ok(_) => Ok(Some(Self { name, events, dropped: 0, state, done })),
            Err(error) => Err(cannot_run(OsStr::new(&name), &error)),
        }
    }

    /// Has the command run for an event, after those before. If too many wait, it is told later how
    /// many it was not told of.
    pub fn give(&mut self, event: &Event) {
        if self.dropped > 0 && self.try_give(&Event::lost(SystemTime::now(), Some(self.dropped))) {
            self.dropped = 0;
        }
        if self.dropped == 0 && self.try_give(event) {
            return;
        }
        if self.dropped == 0 {
            complain(&format!("--exec: {} is too slow, so it does not get all events", self.name));
        }
        self.dropped += 1;
    }

    fn try_give(&self, event: &Event) -> bool {
        let mut json = Vec::new();
        // Writing to memory does not fail.
        let _ = render::write_event_line(event, &mut json);
        let title = format!("{} {}", event.kind.into_str(), event.name());
        self.state.waiting.fetch_add(1, Ordering::Relaxed);
        let is_full = matches!(self.events.try_send(Given { title, json }), Err(TrySendError::Full(_)));
        if is_full {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        !is_full
    }

    /// Gives the command what still waits, for a short time. A run that lasts longer is left alone.
    pub fn end(self) {
        let Self { name, events, dropped, state, done } = self;
        drop(events);
        let _ = done.recv_timeout(PATIENCE);
        state.is_over.store(true, Ordering::Relaxed);
        match state.waiting.load(Ordering::Relaxed) + dropped {
            0 => {}
            1 => complain(&format!("--exec: {name} has not finished with 1 event")),
            count => complain(&format!("--exec: {name} has not finished with {count} events")),
        }
    }
}

/// Runs the command for an event, and says if that fails.
fn run(words: &[OsString], event: &Given) {
    let name = words[0].to_string_lossy();
    match feed(words, &event.json) {
        Ok(status) if status.success() => {}
        Ok(status) => complain(&format!("--exec: {name} failed for '{}': {status}", event.title)),
        Err(error) => complain(&format!("--exec: {name} could not be run for '{}': {error}", event.title)),
    }
}

/// Runs the command with `input` on its standard input, until it ends.
fn feed(words: &[OsString], input: &[u8]) -> io::Result<ExitStatus> {
    let mut child = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It need not read it.
        let _ = stdin.write_all(input);
    }
    child.wait()
}
