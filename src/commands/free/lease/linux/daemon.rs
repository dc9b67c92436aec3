//! The lease daemon: a small process in the background, which keeps leases and holds after
//! `portcheck free` has ended.
//!
//! It has no terminal, no directory, no file and no environment, so nothing waits for it. It only
//! waits: for the end of the lease, for the end of the client, or for a question.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, listen, recv, send};
use socket2::Socket;

use super::caller::Identity;
use super::lock::Lock;
use super::packets::receive_with;
use super::protocol::{DONE, END, LONGEST, PORT, READY, REFUSED, Request, Story};
use super::start::Kept;
use super::users;

/// Runs as the lease daemon: receives leases on standard input, and keeps them until the last one
/// ends.
pub fn serve() -> io::Result<()> {
    // First of all leave the terminal and the process group of our caller. This fails only if we
    // already lead a session.
    let _ = rustix::process::setsid();
    let mut daemon = Daemon::take_over(io::stdin())?;
    // Otherwise listings of processes would show "exe", the program that was executed.
    let _ = rustix::thread::set_name(c"portcheck");
    for kept in &daemon.kept {
        // The kernel tells who called this program.
        listen(&kept.lock.socket, MOST_CONNECTIONS)?;
    }
    // Our caller may have ended. That is a reason to keep the lease, not to give up.
    let _ = send(io::stdin(), READY, SendFlags::NOSIGNAL);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    daemon.run()
}

/// How many may ask at the same time. A new one replaces the oldest one that said nothing.
const MOST_CONNECTIONS: i32 = 64;

/// How long to wait before trying again after a lack of resources.
const BREATH: Duration = Duration::from_millis(20);

struct Daemon {
    kept: Vec<Kept>,
    story: Story,
    /// Becomes readable when the client ends.
    client: Option<OwnedFd>,
    is_client_gone: bool,
    key: Option<u64>,
    deadline: Option<Instant>,
    /// Open questions, with the port that each is about.
    connections: Vec<(u16, OwnedFd)>,
}

impl Daemon {
    fn take_over(channel: impl AsFd) -> io::Result<Self> {
        let no_order = || io::Error::new(io::ErrorKind::InvalidInput, "only --free can start it");
        let (packet, mut descriptors) = receive_with(&channel)?;
        let story = Story::decode(&packet).ok_or_else(no_order)?;
        let key = String::from_utf8_lossy(&packet)
            .lines()
            .find_map(|line| u64::from_str_radix(line.strip_prefix("key ")?, 16).ok());
        let mut daemon = Self {
            kept: Vec::new(),
            // A time too far away for a clock never comes.
            deadline: Instant::now().checked_add(story.expires_in),
            story,
            client: descriptors.pop(),
            is_client_gone: false,
            key,
            connections: Vec::new(),
        };
        loop {
            let (packet, mut descriptors) = receive_with(&channel)?;
            if packet == END {
                return Ok(daemon);
            }
            let port = std::str::from_utf8(&packet).ok().and_then(|text| text.strip_prefix(PORT)?.parse().ok());
            let (Some(port), false) = (port, descriptors.is_empty()) else { return Err(no_order()) };
            let lock = Lock { port, socket: descriptors.remove(0) };
            daemon.kept.push(Kept { lock, holds: descriptors.into_iter().map(Socket::from).collect() });
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let ends_with_client = self.story.ends_with_client;
        loop {
            let left = self.left();
            if self.kept.is_empty() || left.is_zero() || (ends_with_client && self.is_client_gone) {
                return Ok(());
            }
            let ready = self.wait(left)?;
            self.is_client_gone |= ready.client;
            // From the end, so that removing one does not move the others.
            for index in ready.connections.into_iter().rev() {
                let (port, connection) = self.connections.remove(index);
                self.answer(port, &connection);
            }
            for port in ready.locks {
                self.accept(port);
            }
        }
    }

    fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits until something happens, or `left` has passed.
    fn wait(&self, left: Duration) -> io::Result<Ready> {
        let client = self.client.as_ref().filter(|_| !self.is_client_gone);
        let mut descriptors: Vec<PollFd<'_>> = self.kept.iter().map(|kept| poll_for(&kept.lock.socket)).collect();
        descriptors.extend(self.connections.iter().map(|(_, connection)| poll_for(connection)));
        descriptors.extend(client.map(poll_for));
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut is_ready = descriptors.iter().map(|descriptor| !descriptor.revents().is_empty());
        let mut locks = Vec::new();
        for kept in &self.kept {
            if is_ready.next() == Some(true) {
                locks.push(kept.lock.port);
            }
        }
        let connections = (0..self.connections.len()).filter(|_| is_ready.next() == Some(true)).collect();
        Ok(Ready { locks, connections, client: is_ready.next() == Some(true) })
    }

    fn accept(&mut self, port: u16) {
        let Some(kept) = self.kept.iter().find(|kept| kept.lock.port == port) else { return };
        let Ok(connection) = accept_with(&kept.lock.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) else {
            // There may be no free descriptor for it.
            if self.connections.is_empty() {
                std::thread::sleep(BREATH);
            } else {
                self.connections.remove(0);
            }
            return;
        };
        if !self.answer(port, &connection) {
            if self.connections.len() >= usize::try_from(MOST_CONNECTIONS).unwrap_or(usize::MAX) {
                self.connections.remove(0);
            }
            self.connections.push((port, connection));
        }
    }

    /// Answers one packet. Returns false if there was none, or it was not understood: then nothing
    /// is sent.
    fn answer(&mut self, port: u16, connection: &OwnedFd) -> bool {
        let mut packet = [0; LONGEST];
        let length = match recv(connection, &mut packet[..], RecvFlags::empty()) {
            Ok((_, length)) => length,
            Err(errno) => return errno != Errno::AGAIN,
        };
        let Some(request) = packet.get(..length).and_then(Request::decode) else { return true };
        let diagnosis = match request {
            Request::Tell => Story { expires_in: self.left(), ..self.story.clone() }.encode().into_bytes(),
            Request::Release => self.end_if(is_ours(connection), port),
            Request::Reclaim { key, caller } => self.end_if(self.may_reclaim(connection, key, &caller), port),
        };
        // The port must be free before the answer is sent.
        let _ = send(connection, &diagnosis, SendFlags::NOSIGNAL);
        true
    }

    fn end_if(&mut self, is_allowed: bool, port: u16) -> Vec<u8> {
        if !is_allowed {
            return REFUSED.to_vec();
        }
        self.kept.retain(|kept| kept.lock.port != port);
        DONE.to_vec()
    }

    /// Whether a lease may go to another run of the same project. It may if the same process calls
    /// again, or if that process has ended. Two runs side by side get a port each.
    fn may_reclaim(&self, connection: &OwnedFd, key: u64, caller: &Identity) -> bool {
        let is_same_caller = self.story.client.as_ref() == Some(caller);
        // If the client could never be seen, nobody knows whether it has ended.
        self.key == Some(key) && is_ours(connection) && (is_same_caller || self.is_client_gone)
    }
}

/// What happened while waiting.
struct Ready {
    /// Ports whose locks got a new connection.
    locks: Vec<u16>,
    /// Indices of connections that sent something.
    connections: Vec<usize>,
    /// Whether the client has ended.
    client: bool,
}

fn poll_for(descriptor: &OwnedFd) -> PollFd<'_> {
    PollFd::new(descriptor, PollFlags::IN)
}

fn is_ours(connection: &OwnedFd) -> bool {
    getsockopt(connection, sockopt::PeerCredentials).is_ok_and(|peer| users::is_ours(&peer))
}
