//! `portcheck watch`: what opens, closes and changes hands on this machine.
//!
//! A [`Watcher`] looks again and again. A look is cheap: it reads the socket tables, and searches only
//! for the holders of sockets that are new. What two looks have seen is compared (`differ`). Between
//! them the kernel reports what is closed, and the watcher looks at once.

mod differ;
mod event;

use std::time::{Duration, Instant};

pub use event::{Event, Events, Kind};

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
    /// When the last look began.
    last: Option<Instant>,
    /// What was missed and is not told yet.
    missed: Missed,
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
        }
    }

    /// Looks. The events tell what has changed since the last look: the first time, what is there.
    pub fn look(&mut self) -> Result<Events<'_>, Error> {
        self.last = Some(Instant::now());
        let (mut now, missed) = self.follower.look()?;
        // There may be many, so they are not kept twice.
        let sockets = std::mem::take(&mut now.sockets);
        let picture = Picture::of(sockets, |socket| self.is_watched(socket, &now.processes));
        self.missed.add(missed);
        let before = (std::mem::replace(&mut self.picture, picture), self.seen.take());
        let changes = differ::differ(before.0, &self.picture);
        Ok(Events::of(&self.request, changes, before.1, self.seen.insert(now)))
    }

    /// What was missed since this was last asked.
    pub fn missed(&mut self) -> Missed {
        std::mem::take(&mut self.missed)
    }

    /// Waits until it is time for the next look: at most `timeout`, and shorter if a socket that was
    /// seen is closed. Returns whether the command is to end.
    pub fn wait_or_end(&mut self, ends: &Ends, timeout: Duration) -> Result<bool, Error> {
        let Some(start) = self.last else { return Ok(false) };
        // To tell of many events takes longer than to look.
        let took = start.elapsed();
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
