//! `portcheck watch`: what opens, closes and changes hands on this machine.
//!
//! A [`Watcher`] looks again and again. A look is cheap: it reads the socket tables, and searches only
//! for the holders of sockets that are new. What two looks have seen is compared (`differ`). Between
//! them the kernel reports what is closed, and the watcher looks at once.

mod differ;
mod event;

use std::time::{Duration, Instant, SystemTime};

pub use event::{Event, Kind};

use crate::collect::{Follower, Missed};
use crate::error::Error;
use crate::model::{Process, Snapshot, Socket};
use crate::platform::ends::{Ends, Woken};
use crate::request::{Filter, Request};
use differ::Picture;

/// The longest time between two looks, unless another one is asked for. A port that is open for 250 ms
/// is seen with its holder, even if the machine is busy.
pub const INTERVAL: Duration = Duration::from_millis(100);
/// The shortest pause between two looks, however much is closed.
const SHORTEST: Duration = Duration::from_millis(10);
/// A look of one millisecond is followed by a pause of nine, however much is closed.
const SHARE: u32 = 9;
/// How often it is told that something was missed.
const OFTEN: Duration = Duration::from_secs(1);

/// Looks again and again, and tells what has changed.
#[derive(Debug)]
pub struct Watcher {
    request: Request,
    filter: Filter,
    interval: Duration,
    follower: Follower,
    /// What the last look saw, without the sockets.
    seen: Option<Snapshot>,
    /// The sockets that are watched.
    picture: Picture,
    /// When the last look began, and how long it took.
    last: Option<(Instant, Duration)>,
    /// What was missed and is not told yet.
    missed: Missed,
    /// When it was last told.
    told: Option<Instant>,
}

impl Watcher {
    /// Prepares to watch what `request` and `filter` ask for. Nothing has been looked at yet.
    pub fn new(request: &Request, filter: &Filter, interval: Duration) -> Self {
        Self {
            follower: Follower::new(request.scope()),
            request: request.clone(),
            filter: filter.clone(),
            interval,
            seen: None,
            picture: Picture::default(),
            last: None,
            missed: Missed::default(),
            told: None,
        }
    }

    /// Looks, and tells what has changed since the last look: the first time, what is there.
    pub fn look(&mut self) -> Result<Vec<Event>, Error> {
        let start = Instant::now();
        let (mut now, missed) = self.follower.look()?;
        // There may be many, so they are not kept twice.
        let sockets = std::mem::take(&mut now.sockets);
        let picture = Picture::of(sockets, |socket| self.is_watched(socket, &now.processes));
        let changes = differ::differ(&self.picture, &picture);
        let time = SystemTime::now();
        let mut events = event::events(&self.request, time, changes, self.seen.as_ref(), &now);
        self.missed.add(missed);
        if self.told.is_none_or(|told| told.elapsed() >= OFTEN) {
            events.extend(self.untold());
        }
        (self.picture, self.seen) = (picture, Some(now));
        self.last = Some((start, start.elapsed()));
        Ok(events)
    }

    /// What was missed and is not told yet, which is told once a second.
    pub fn untold(&mut self) -> Option<Event> {
        let missed = std::mem::take(&mut self.missed);
        missed.is_any().then(|| {
            self.told = Some(Instant::now());
            Event::lost(SystemTime::now(), (!missed.is_incomplete).then_some(missed.sockets))
        })
    }

    /// Waits until it is time for the next look: at most `timeout`, and shorter if a socket that was
    /// seen is closed. Returns whether the command is to end.
    pub fn wait_or_end(&mut self, ends: &Ends, timeout: Duration) -> Result<bool, Error> {
        let Some((start, took)) = self.last else { return Ok(false) };
        let end = Instant::now() + timeout;
        let left = |until: Instant| until.min(end).saturating_duration_since(Instant::now());
        match self.follower.wait(ends, left(start + self.interval.max(took)))? {
            Woken::Ended => Ok(true),
            Woken::InTime => Ok(false),
            // What is closed is rarely alone.
            Woken::Early => {
                let pause = SHORTEST.max(took * SHARE).min(self.interval);
                Ok(ends.wait(None, left(start + took + pause))? == Woken::Ended)
            }
        }
    }

    /// Whether a socket is one of those that are watched.
    fn is_watched(&self, socket: &Socket, processes: &[Process]) -> bool {
        let (targets, port) = (&self.request.targets, socket.local.port());
        let mut targets_of_it =
            targets.iter().filter(|target| target.ports().contains(&port) && target.wants(socket.protocol));
        (targets.is_empty() || targets_of_it.any(|target| target.covers(socket)))
            && socket.serves(self.request.family)
            && self.filter.fits(socket, processes)
    }
}
