//! Gives events to somebody who may be slow, one after the other, in a thread of its own. So the watch
//! goes on looking meanwhile.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::commands::watch::Event;
use crate::terminal::complain;

/// How many events wait at most.
const MOST: usize = 10_000;
/// How long there is time for them after the watch has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// Gives events to somebody.
pub struct Outlet {
    /// Who gets them, for complaints.
    name: String,
    events: SyncSender<Arc<Event>>,
    /// How many events found no place since the last one that did.
    dropped: usize,
    state: Arc<State>,
    /// Closed when the thread has ended.
    done: Receiver<()>,
}

/// What both threads know.
#[derive(Default)]
struct State {
    /// How many events wait, or are being given.
    waiting: AtomicUsize,
    is_over: AtomicBool,
    failure: Mutex<Option<io::Error>>,
}

impl Outlet {
    /// Starts a thread that calls `give` for each event, until that fails.
    pub fn start(name: String, give: impl FnMut(&Event) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let ((events, given), (ended, done)) = (mpsc::sync_channel(MOST), mpsc::channel());
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let work = move || {
            shared.work(&given, give);
            drop(ended);
        };
        thread::Builder::new().spawn(work)?;
        Ok(Self { name, events, dropped: 0, state, done })
    }

    /// Gives an event after those before. If too many wait, it is told later how many were left out.
    pub fn give(&mut self, event: &Arc<Event>) {
        if self.dropped > 0 && self.try_give(Arc::new(Event::lost(SystemTime::now(), Some(self.dropped)))) {
            self.dropped = 0;
        }
        if self.dropped == 0 && self.try_give(Arc::clone(event)) {
            return;
        }
        if self.dropped == 0 {
            complain(&format!("{} is too slow, so it does not get all events", self.name));
        }
        self.dropped += 1;
    }

    fn try_give(&self, event: Arc<Event>) -> bool {
        self.state.waiting.fetch_add(1, Ordering::Relaxed);
        let is_full = matches!(self.events.try_send(event), Err(TrySendError::Full(_)));
        if is_full {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        !is_full
    }

    /// Whether events are not given any more.
    pub fn has_failed(&self) -> bool {
        self.state.failure().is_some()
    }

    /// Gives what still waits, for a short time. Whatever lasts longer is left alone. Returns what has
    /// failed.
    pub fn end(self) -> io::Result<()> {
        let Self { name, events, dropped, state, done } = self;
        drop(events);
        let _ = done.recv_timeout(PATIENCE);
        state.is_over.store(true, Ordering::Relaxed);
        let failure = state.failure().take();
        if failure.is_none() {
            match state.waiting.load(Ordering::Relaxed) + dropped {
                0 => {}
                1 => complain(&format!("{name} has not finished with 1 event")),
                count => complain(&format!("{name} has not finished with {count} events")),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

impl State {
    fn failure(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, events: &Receiver<Arc<Event>>, mut give: impl FnMut(&Event) -> io::Result<()>) {
        for event in events {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = give(&event) {
                *self.failure() = Some(error);
                return;
            }
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
