//! Gives events to somebody who may be slow, one after the other, in a thread of its own. So the watch
//! goes on looking meanwhile.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::collect::Missed;
use crate::commands::watch::Event;
use crate::terminal::complain;

/// How many events wait at most.
const MOST: usize = 10_000;
/// If more wait, what is there at the start does not come too. So there is always room for what happens.
const FEW: usize = 1000;
/// How often it is told that something was missed.
const OFTEN: Duration = Duration::from_secs(1);
/// How long there is time for them after the watch has ended.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Gives events to somebody.
pub struct Outlet {
    /// Who gets them, for complaints.
    name: String,
    events: SyncSender<Arc<Event>>,
    /// How many events found no place, and nobody was told.
    dropped: usize,
    /// What else was missed, and nobody was told.
    missed: Missed,
    /// When it was last told.
    told: Option<Instant>,
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
        let missed = Missed::default();
        Ok(Self { name, events, dropped: 0, missed, told: None, state, done })
    }

    /// Gives an event after those before. If too many wait, it is told later how many were left out.
    pub fn give(&mut self, event: &Arc<Event>) {
        if self.try_give(Arc::clone(event)) {
            return;
        }
        if self.dropped == 0 {
            complain(&format!("{} is too slow, so it does not get all events", self.name));
        }
        self.dropped += 1;
    }

    /// Tells what was missed, and how many events found no place: at most once a second, as long as
    /// this is asked again and again.
    pub fn miss(&mut self, missed: Missed) {
        self.missed.add(missed);
        if self.told.is_none_or(|told| told.elapsed() >= OFTEN) {
            let _ = self.tell_missed();
        }
    }

    /// Returns whether that is told.
    fn tell_missed(&mut self) -> bool {
        let missed = Missed { sockets: self.missed.sockets + self.dropped, ..self.missed };
        let count = (!missed.is_incomplete).then_some(missed.sockets);
        let is_told = missed.is_any() && self.try_give(Arc::new(Event::lost(SystemTime::now(), count)));
        if is_told {
            (self.missed, self.dropped, self.told) = (Missed::default(), 0, Some(Instant::now()));
        }
        is_told
    }

    /// So many events are not given.
    pub const fn leave_out(&mut self, count: usize) {
        self.dropped += count;
    }

    /// Whether so many events wait that others can wait, too.
    pub fn is_behind(&self) -> bool {
        !self.has_failed() && self.state.waiting.load(Ordering::Relaxed) > FEW
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
    pub fn end(mut self) -> io::Result<()> {
        let dropped = self.dropped;
        let is_told = self.tell_missed();
        let Self { name, events, state, done, .. } = self;
        drop(events);
        let _ = done.recv_timeout(PATIENCE);
        state.is_over.store(true, Ordering::Relaxed);
        let failure = state.failure().take();
        if failure.is_none() {
            let left = match state.waiting.load(Ordering::Relaxed) {
                0 if is_told => 0,
                waiting => waiting.saturating_sub(is_told.into()) + dropped,
            };
            match left {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against hundreds of `lost` lines a second, one for each place that a slow reader made.
    #[test]
    fn what_a_slow_reader_misses_is_summed_up_once_a_second() {
        let ((go, may_go), (tell, told)) = (mpsc::channel::<()>(), mpsc::channel());
        let give = move |event: &Event| {
            // It takes nothing at first, and everything later.
            let _ = may_go.recv();
            let _ = tell.send(event.missed);
            Ok(())
        };
        let mut outlet = Outlet::start("a test".to_owned(), give).unwrap();
        let (event, start) = (Arc::new(Event::lost(SystemTime::UNIX_EPOCH, None)), Instant::now());
        for _ in 0..MOST + 100 {
            outlet.give(&event);
            outlet.miss(Missed::default());
        }
        assert!(outlet.is_behind());
        drop(go);
        let given = (0..MOST).filter_map(|_| told.recv().unwrap()).count();
        for _ in 0..100 {
            outlet.miss(Missed { sockets: 1, is_incomplete: false });
        }
        let dropped = outlet.dropped;
        outlet.end().unwrap();
        let sums: Vec<usize> = told.iter().flatten().collect();
        let most = usize::try_from(start.elapsed().as_secs()).unwrap() + 2;
        assert!(given == 0 && sums.len() <= most, "{sums:?} {dropped}");
        // One may be under way while as many wait as can.
        assert!([199, 200].contains(&sums.iter().sum()), "{sums:?}");
    }
}
