//! Asks lease daemons, all at once and with a time limit, as anybody can take the name of one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, connect, recv, send};

use super::lock;
use super::protocol::{LONGEST, Request};
use crate::model::Pid;
use crate::platform::limits::make_room;
use crate::platform::proc::ids_are_ours;

/// How long all lease daemons that one call of portcheck asks may take together. A real one does
/// nothing else, and answers within a millisecond.
#[derive(Debug)]
pub struct Patience(Duration);

impl Patience {
    /// The time for asking this many, one after the other.
    pub fn for_many(count: usize) -> Self {
        let each = Duration::from_millis(2);
        Self(Self::default().0 + each * u32::try_from(count).unwrap_or(u32::MAX))
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_millis(250))
    }
}

/// The process that listens on a name, according to the kernel (SO_PEERCRED).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// `None` if it is in a pid namespace that we cannot see.
    pub pid: Option<Pid>,
    pub uid: u32,
}

/// The result of asking.
#[derive(Debug)]
pub enum Reply {
    /// Nobody listens on the name any more.
    Gone,
    /// A packet from what may be a lease daemon.
    Packet(Peer, Vec<u8>),
    /// Certainly a lease daemon, but it did not answer in time.
    Silent(Peer),
    /// No lease daemon, or it does not answer like one.
    Stranger(Option<Peer>),
    /// We are not allowed to ask.
    Denied(io::Error),
}

/// Asks all that listen on the names of `ports` the same.
pub fn ask_all(ports: &[u16], request: &Request, patience: &mut Patience) -> Vec<Reply> {
    let limit = make_room(ports.len());
    let mut known = Acquaintances::default();
    let mut replies: Vec<Reply> = Vec::with_capacity(ports.len());
    let mut open = Vec::new();
    for (index, &port) in ports.iter().enumerate() {
        let reply = match call(port, request, &mut known) {
            Ok((socket, reply)) => {
                open.push((index, socket));
                reply
            }
            Err(reply) => reply,
        };
        replies.push(reply);
    }
    collect_answers(open, &mut replies, patience);
    // The port is the caller's, or that of the command behind `portcheck wait`.
    if let Some(limit) = limit {
        limit.restore();
    }
    replies
}

/// Waits for answers on the open sockets, each with the index of its reply.
fn collect_answers(mut open: Vec<(usize, OwnedFd)>, replies: &mut [Reply], patience: &mut Patience) {
    let start = Instant::now();
    let deadline = start + patience.0;
    while !open.is_empty() && wait(&open, deadline) {
        open.retain(|(index, socket)| {
            let answer = receive(socket);
            if let (Ok(Some(packet)), Reply::Silent(peer) | Reply::Stranger(Some(peer))) = (&answer, &replies[*index]) {
                replies[*index] = Reply::Packet(*peer, packet.clone());
            }
            matches!(answer, Ok(None))
        });
    }
    if !open.is_empty() {
        patience.0 = patience.0.saturating_sub(start.elapsed());
    }
}

/// Asks for one port.
pub fn ask(port: u16, request: &Request, patience: &mut Patience) -> Reply {
    ask_all(&[port], request, patience).pop().unwrap_or(Reply::Gone)
}

/// Connects and asks. Also returns the reply that counts if no answer comes.
fn call(port: u16, request: &Request, known: &mut Acquaintances) -> Result<(OwnedFd, Reply), Reply> {
    let denied = |error: Errno| Reply::Denied(error.into());
    let socket = lock::socket(SocketFlags::NONBLOCK).map_err(Reply::Denied)?;
    let address = lock::address(port).map_err(Reply::Denied)?;
    match connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::CONNREFUSED) => return Err(Reply::Gone),
        // Its queue is full. A lease daemon will empty it.
        Err(Errno::AGAIN | Errno::PROTOTYPE) => return Err(Reply::Stranger(None)),
        Err(errno) => return Err(denied(errno)),
    }
    let credentials = getsockopt(&socket, sockopt::PeerCredentials).map_err(|_| Reply::Gone)?;
    let pid = Pid::try_from(credentials.pid()).ok().filter(|&pid| pid != 0);
    let peer = Peer { pid, uid: credentials.uid() };
    let silent = match known.look_at(pid) {
        Likeness::Other => return Err(Reply::Stranger(Some(peer))),
        Likeness::Same => Reply::Silent(peer),
        Likeness::Possible => Reply::Stranger(Some(peer)),
    };
    send(&socket, request.encode().as_bytes(), SendFlags::NOSIGNAL).map_err(|_| Reply::Stranger(Some(peer)))?;
    Ok((socket, silent))
}

/// Waits until somebody answers or hangs up. Returns false if the time runs out.
fn wait(open: &[(usize, OwnedFd)], deadline: Instant) -> bool {
    let mut descriptors: Vec<PollFd<'_>> = open.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::IN)).collect();
    let left = deadline.saturating_duration_since(Instant::now());
    match poll(&mut descriptors, Timespec::try_from(left).ok().as_ref()) {
        Ok(0) => false,
        Ok(_) | Err(Errno::INTR) => true,
        Err(_) => false,
    }
}

/// `None` if nothing has arrived yet.
fn receive(socket: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; LONGEST];
    match recv(socket, &mut buffer[..], RecvFlags::empty()) {
        Ok((0, _)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok((length, _)) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether a process is a lease daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// It runs the same program as we do.
    Same,
    /// It may be one: of another version, or another user's.
    Possible,
    /// It is another program, or does something else.
    Other,
}

/// Processes that were checked before.
#[derive(Default)]
pub struct Acquaintances(HashMap<Pid, Likeness>);

impl Acquaintances {
    pub fn look_at(&mut self, pid: Option<Pid>) -> Likeness {
        match pid {
            Some(pid) if ids_are_ours() => *self.0.entry(pid).or_insert_with(|| likeness(pid)),
            _ => Likeness::Possible,
        }
    }
}

/// Whether a process runs the same program as we do, in any role. `None` if that cannot be seen.
pub fn runs_this_program(pid: Pid) -> Option<bool> {
    let identity = |path: &str| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    Some(identity("/proc/self/exe")? == identity(&format!("/proc/{pid}/exe"))?)
}

/// The kernel names the program, if we may read it. The process chooses its own arguments: they
/// only exclude processes that do not even pretend.
fn likeness(pid: Pid) -> Likeness {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is_readable = !arguments.is_empty();
    if is_readable && arguments.split(|&byte| byte == 0).nth(1) != Some(b"--keep-leases") {
        return Likeness::Other;
    }
    let name = |path: &str| {
        let link = fs::read_link(path).unwrap_or_default();
        let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.trim_end_matches(" (deleted)").trim_start_matches("memfd:").to_owned()
    };
    match runs_this_program(pid) {
        None => Likeness::Possible,
        Some(true) => Likeness::Same,
        Some(false) => {
            let theirs = name(&format!("/proc/{pid}/exe"));
            let is_its_name = theirs == "portcheck" || theirs == name("/proc/self/exe");
            if is_its_name { Likeness::Possible } else { Likeness::Other }
        }
    }
}
