//! Starts a lease daemon: this program again, with `--keep-leases`, and one end of a socket pair as
//! its standard input.
//!
//! It gets its descriptors by SCM_RIGHTS. The caller returns only when the daemon has confirmed
//! that it has them all. By then the daemon is in a session of its own, where neither the end of
//! our terminal nor a signal to our process group reaches it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use close_fds::CloseFdsBuilder;
use rustix::fs::{AtFlags, CWD, MemfdFlags, StatxFlags, memfd_create, statx};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use socket2::Socket;

use super::lock::Lock;
use super::packets::{receive, send_with};
use super::protocol::{END, PORT, READY, Story};
use crate::commands::free::Terms;
use crate::model::Pid;

/// How long a lease daemon may take to start. It usually takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// This program's own file.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// A port to keep: its lock, and the sockets that hold it.
#[derive(Debug)]
pub struct Kept {
    /// The lock.
    pub lock: Lock,
    /// Bound sockets that do not listen.
    pub holds: Vec<Socket>,
}

impl Kept {
    /// The port.
    pub fn port(&self) -> u16 {
        self.lock.port
    }
}

/// A lease daemon that was just started. It can still be called off.
#[derive(Debug)]
pub struct Keeping {
    /// The process that keeps the leases.
    pub pid: Option<Pid>,
    child: Child,
}

impl Keeping {
    /// Ends the leases again.
    pub fn call_off(mut self) {
        // It is our child and nobody has waited for it, so the id is still its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a lease daemon for `kept`, and waits until it has taken them over.
pub fn keep(terms: &Terms, kept: &[Kept]) -> io::Result<Keeping> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // The daemon must not get what our caller left open for us: the reader of a pipe would wait for
    // its end.
    CloseFdsBuilder::new().cloexecfrom(3);
    let copy = copy_of_program();
    let program = copy.as_ref().map_or(OWN_PROGRAM.to_owned(), |copy| format!("/proc/self/fd/{}", copy.as_raw_fd()));
    let keeping = match spawn(&program, &theirs) {
        // If copies may not be run (vm.memfd_noexec).
        Err(_) if copy.is_some() => spawn(OWN_PROGRAM, &theirs)?,
        spawned => spawned?,
    };
    // From here on only the daemon has the other end, so its end is noticed.
    drop(theirs);
    if let Err(error) = give(&ours, terms, kept).and_then(|()| confirmation(&ours)) {
        keeping.call_off();
        return Err(error);
    }
    Ok(keeping)
}

fn spawn(program: &str, channel: &OwnedFd) -> io::Result<Keeping> {
    let child = Command::new(program)
        // Otherwise listings of command lines would show the path from which it was started.
        .arg0("portcheck")
        .arg("--keep-leases")
        .env_clear()
        .current_dir("/")
        .stdin(channel.try_clone()?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Keeping { pid: Some(child.id()), child })
}

/// A copy of this program in memory, if the program is on another mount than `/`. A mount cannot be
/// unmounted while a program on it runs. `None` if the file itself can be used.
fn copy_of_program() -> Option<OwnedFd> {
    let mount = |path: &str| Some(statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?.stx_mnt_id);
    if mount(OWN_PROGRAM)? == mount("/")? {
        return None;
    }
    // Kernels before Linux 6.3 do not know the flag, and run any copy.
    let named = |flags| memfd_create("portcheck", flags | MemfdFlags::CLOEXEC);
    let mut copy = File::from(named(MemfdFlags::EXEC).or_else(|_| named(MemfdFlags::empty())).ok()?);
    io::copy(&mut File::open(OWN_PROGRAM).ok()?, &mut copy).ok()?;
    // A file that is open for writing cannot be run (ETXTBSY).
    let read_only = File::open(format!("/proc/self/fd/{}", copy.as_raw_fd())).ok()?;
    Some(read_only.into())
}

fn give(channel: &OwnedFd, terms: &Terms, kept: &[Kept]) -> io::Result<()> {
    let client = terms.client.as_ref();
    let story = Story {
        kind: terms.kind(),
        expires_in: terms.ttl,
        client: client.and_then(|client| client.identity.clone()),
        ends_with_client: terms.ends_with_client,
    };
    let key = terms.key.map(|key| format!("key {key:016x}\n")).unwrap_or_default();
    let client: Vec<BorrowedFd<'_>> = client.iter().map(|client| client.descriptor.as_fd()).collect();
    send_with(channel, format!("{}{key}", story.encode()).as_bytes(), &client)?;
    for Kept { lock, holds } in kept {
        let descriptors: Vec<BorrowedFd<'_>> =
            std::iter::once(lock.socket.as_fd()).chain(holds.iter().map(AsFd::as_fd)).collect();
        send_with(channel, format!("{PORT}{}", lock.port).as_bytes(), &descriptors)?;
    }
    send_with(channel, END, &[])
}

/// Waits until the daemon confirms that it has everything.
fn confirmation(channel: &OwnedFd) -> io::Result<()> {
    rustix::io::ioctl_fionbio(channel, true)?;
    match receive(channel, Instant::now() + PATIENCE) {
        Ok(packet) if packet == READY => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the lease daemon does not answer as it should")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(io::Error::new(error.kind(), "the lease daemon ended before it had the lease"))
        }
        Err(error) => Err(error),
    }
}
