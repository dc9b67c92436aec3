//! Follows the sockets of this machine from look to look.
//!
//! A look reads the tables only. Who holds a socket is searched for when the socket is new, when a
//! holder of it has ended, and from time to time for all of them.

mod known;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use self::known::{Id, Known, Name};
use super::sock_diag::{Closed, Closings, Entry};
use super::view::View;
use super::{PROC, described, host, inside, search, with_owners};
use crate::collect::{Missed, Scope, forwards};
use crate::error::Error;
use crate::model::{Gap, Host, Pid, Process, Protocol, Snapshot, Socket, find_process};
use crate::platform::ends::{Ends, Woken};
use crate::platform::proc::Stat;
use crate::port_set::PortSet;

/// Access to the tables, and what is known from the last look.
#[derive(Debug)]
pub struct Follower {
    scope: Scope,
    ports: PortSet,
    host: Host,
    /// `None` where the kernel does not report what is closed.
    closings: Option<Closings>,
    known: Known,
    /// The sockets of the last look that were gone in this one.
    gone: HashMap<u64, (Protocol, u16)>,
    /// The sockets that had no holder in the last look, and are not told of yet.
    unowned: HashSet<Id>,
    /// By ascending pid.
    processes: Vec<Process>,
    /// When each of these started, in clock ticks since boot.
    started: HashMap<Pid, u64>,
    gaps: Vec<Gap>,
    /// What was closed since the last look that no look has shown.
    missed: Missed,
    /// When all holders were searched for, and how long that took.
    search: Option<(Instant, Duration)>,
}

impl Follower {
    /// Prepares to look at what `scope` asks for.
    pub fn new(scope: Scope) -> Self {
        // The kernel reports what is closed in our own network namespace only.
        let can_hear = scope.namespaces.can_be_asked();
        Self {
            ports: scope.ports(),
            host: if can_hear { host() } else { host().without_limits() },
            closings: if can_hear { Closings::open(scope.connections).ok() } else { None },
            scope,
            known: Known::default(),
            gone: HashMap::new(),
            unowned: HashSet::new(),
            processes: Vec::new(),
            started: HashMap::new(),
            gaps: Vec::new(),
            missed: Missed::default(),
            search: None,
        }
    }

    /// Waits for so long, or until a socket is closed that was seen.
    pub fn wait(&mut self, ends: &Ends, timeout: Duration) -> Result<Woken, Error> {
        /// Reports of other sockets are taken together: there may be thousands in a second.
        const TOGETHER: Duration = Duration::from_millis(5);
        let until = Instant::now() + timeout;
        let left = || until.saturating_duration_since(Instant::now());
        loop {
            let woken = ends.wait(self.closings.as_ref().map(AsFd::as_fd), left())?;
            if woken != Woken::Early || self.hear() {
                return Ok(woken);
            }
            if ends.wait(None, TOGETHER.min(left()))? == Woken::Ended {
                return Ok(Woken::Ended);
            }
        }
    }

    /// What is there now, and what was missed since the last look.
    pub fn look(&mut self) -> Result<(Snapshot, Missed), Error> {
        self.hear();
        let missed = std::mem::take(&mut self.missed);
        let start = Instant::now();
        let mut view = View::open(Path::new(PROC), &self.scope)?;
        let entries = view.read_in_use(&self.scope)?;
        let is_search_due = self.is_search_due();
        let (mut sockets, new) = self.sort_out(entries, is_search_due);
        let is_as_before = new.is_empty() && self.known.gone().next().is_none();
        self.search_holders(view, new, &mut sockets)?;
        if is_search_due {
            self.search = Some((Instant::now(), start.elapsed()));
        }
        if !is_as_before {
            self.forget_processes(&sockets);
            self.known = Known::new(sockets.iter().map(|socket| (self.id(socket), socket.clone())).collect());
        }
        let (processes, gaps) = (self.processes.clone(), self.gaps.clone());
        Ok((Snapshot { host: self.host.clone(), sockets, processes, gaps }, missed))
    }

    /// Takes what was reported as closed. Returns whether that is, or may be, a socket that was seen.
    fn hear(&mut self) -> bool {
        let Some(closings) = &mut self.closings else { return false };
        let report = closings.take();
        // Before the first look, nothing was seen.
        if self.search.is_none() {
            return false;
        }
        let is_known =
            |closed: &Closed| self.known.get(&(None, closed.protocol, Name::Cookie(closed.cookie))).is_some();
        let is_asked =
            |closed: &Closed| self.scope.protocols.contains(&closed.protocol) && self.ports.contains(closed.port);
        let (known, unknown): (Vec<Closed>, Vec<Closed>) = report.closed.into_iter().partition(is_known);
        let unseen = unknown.into_iter().filter(is_asked).filter(|closed| !self.gone.contains_key(&closed.cookie));
        let unseen: Vec<Closed> = unseen.collect();
        self.missed.sockets += self.count_missed(&unseen);
        self.missed.is_incomplete |= report.is_incomplete;
        !known.is_empty() || report.is_incomplete
    }

    /// How many of these sockets were missed. A port that was seen in use was not: the connections that
    /// a listener has not accepted are closed with it, and look like other sockets on its port.
    fn count_missed(&self, unseen: &[Closed]) -> usize {
        if unseen.is_empty() {
            return 0;
        }
        let now = self.known.sockets().map(|socket| (socket.protocol, socket.local.port()));
        let used: HashSet<(Protocol, u16)> = now.chain(self.gone.values().copied()).collect();
        unseen.iter().filter(|closed| !used.contains(&(closed.protocol, closed.port))).count()
    }

    /// Whether all holders are to be searched for, as a socket may be passed on without being closed.
    /// A search takes at most a hundredth of the time.
    fn is_search_due(&self) -> bool {
        const OFTEN: Duration = Duration::from_secs(5);
        const SHARE: u32 = 100;
        self.search.is_none_or(|(last, took)| last.elapsed() >= OFTEN.max(took * SHARE))
    }

    /// Joins what was read with what is known. Returns the sockets whose holders are known, and the
    /// others.
    fn sort_out(&mut self, entries: Vec<Entry>, is_search_due: bool) -> (Vec<Socket>, Vec<Entry>) {
        let ended = self.ended();
        let mut known = std::mem::take(&mut self.known);
        known.start();
        let mut new = Vec::new();
        let is_known = |entry: Entry| {
            let before = known.find(&self.id(&entry.socket)).filter(|before| {
                (before.inode, before.local) == (entry.socket.inode, entry.socket.local)
                    && !before.owners.pids().iter().any(|pid| ended.contains(pid))
            });
            match before {
                Some(before) if !is_search_due => Some(updated(before.clone(), &entry.socket)),
                _ => {
                    new.push(entry);
                    None
                }
            }
        };
        // In the room that they have: there may be many.
        let sockets = entries.into_iter().filter_map(is_known).collect();
        let gone = known.gone().filter_map(|socket| Some((socket.cookie?, (socket.protocol, socket.local.port()))));
        self.gone = gone.collect();
        self.known = known;
        (sockets, new)
    }

    /// The processes that have ended, or whose ids belong to others now.
    fn ended(&self) -> BTreeSet<Pid> {
        let now = |pid: Pid| Stat::read(&Path::new(PROC).join(pid.to_string())).filter(|stat| stat.state != 'Z');
        let has_ended = |(pid, started): &(&Pid, &u64)| now(**pid).is_none_or(|stat| stat.started != **started);
        self.started.iter().filter(has_ended).map(|(pid, _)| *pid).collect()
    }

    /// Searches for the holders of `new`, and adds these sockets to the others. The whole search is for
    /// sockets without a holder in two looks: most others are about to be closed.
    fn search_holders(&mut self, view: View<'_>, entries: Vec<Entry>, sockets: &mut Vec<Socket>) -> Result<(), Error> {
        let proc = Path::new(PROC);
        let unowned = std::mem::take(&mut self.unowned);
        if self.search.is_none() {
            self.learn(with_owners(&self.scope, self.host.clone(), view, entries)?, sockets);
            return Ok(());
        }
        if entries.is_empty() {
            return Ok(());
        }
        let (search, owned, doubtful) = search::glance(proc, entries);
        let (lasting, young): (Vec<Entry>, Vec<Entry>) =
            doubtful.into_iter().partition(|entry| unowned.contains(&self.id(&entry.socket)));
        self.unowned = young.iter().map(|entry| self.id(&entry.socket)).collect();
        // Of these, what was known before is believed until the next look.
        let believed = |entry: &Entry| Some(updated(self.known.get(&self.id(&entry.socket))?.clone(), &entry.socket));
        sockets.extend(young.iter().filter_map(believed));
        self.learn(described(&self.scope, self.host.clone(), view, owned, &search)?, sockets);
        if !lasting.is_empty() {
            let view = View::open(proc, &self.scope)?;
            self.learn(with_owners(&self.scope, self.host.clone(), view, lasting)?, sockets);
        }
        Ok(())
    }

    /// Adds what was found of new sockets.
    fn learn(&mut self, mut found: Snapshot, sockets: &mut Vec<Socket>) {
        inside(&self.scope, &mut found.sockets);
        forwards::assign(&self.scope, &mut found, |scope| crate::collect::look(scope).ok());
        sockets.append(&mut found.sockets);
        self.gaps = found.gaps;
        for process in found.processes {
            if let Some(stat) = Stat::read(&Path::new(PROC).join(process.pid.to_string())) {
                self.started.insert(process.pid, stat.started);
            }
            match self.processes.binary_search_by_key(&process.pid, |known| known.pid) {
                Ok(at) => self.processes[at] = process,
                Err(at) => self.processes.insert(at, process),
            }
        }
    }

    fn id(&self, socket: &Socket) -> Id {
        let name = match (socket.cookie, socket.inode) {
            (Some(cookie), _) => Name::Cookie(cookie),
            (None, Some(inode)) => Name::Inode(inode),
            (None, None) => Name::Ends(socket.local, socket.remote),
        };
        // If we look from inside another namespace, it is the only one.
        let other = socket.namespace.as_ref().filter(|_| self.scope.namespaces.inside().is_none());
        (other.and_then(|namespace| namespace.inode), socket.protocol, name)
    }

    /// Forgets who holds nothing any more.
    fn forget_processes(&mut self, sockets: &[Socket]) {
        let holders: HashSet<Pid> = sockets.iter().flat_map(|socket| socket.owners.pids()).copied().collect();
        self.processes.retain(|process| holders.contains(&process.pid));
        let processes = &self.processes;
        self.started.retain(|&pid, _| find_process(processes, pid).is_some());
    }
}

/// What is known of a socket, with what the tables say of it now.
fn updated(before: Socket, now: &Socket) -> Socket {
    Socket {
        state: now.state,
        local: now.local,
        remote: now.remote,
        v6only: now.v6only,
        receive_queue: now.receive_queue,
        send_queue: now.send_queue,
        timer: now.timer,
        tcp_info: now.tcp_info,
        ..before
    }
}
