//! Leases and commands on systems without abstract unix sockets: files in the user's own temporary
//! directory.
//!
//! Each port has a lock, which the system releases with its process, and a record of its lease. A
//! record needs no process. Leases keep the processes of one user apart; between users bind
//! decides. The next lease replaces a record that has expired.

mod command;
mod record;

pub use command::become_command;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use socket2::Socket;

use crate::collect::{self, Detail};
use crate::commands::free::{Leases, Release, Terms};
use crate::error::Error;
use crate::model::{Client, Lease, LeaseKind, Pid, Process};
use crate::platform::limits::Limit;
use crate::port_set::PortSet;

use record::{Record, RecordKind};

/// Whether a server can bind a port that another bound socket keeps. Only Linux allows that.
pub const CAN_HOLD: bool = false;

/// Whether one server on a single address and one on all addresses can share a port (BSD, with
/// SO_REUSEADDR).
pub const LETS_COEXIST: bool = !crate::platform::machine::IS_WINDOWS;

/// No process is asked, so no time is needed.
#[derive(Debug, Default)]
pub struct Patience;

/// The lock on a port, while it is open.
#[derive(Debug)]
pub struct Lock {
    port: u16,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only its being open counts"))]
    file: File,
}

/// A port to keep.
#[derive(Debug)]
pub struct Kept {
    /// The lock.
    pub lock: Lock,
    /// Bound sockets. None on these systems.
    #[expect(dead_code, reason = "other systems have some")]
    pub holds: Vec<Socket>,
}

impl Kept {
    /// The port.
    pub fn port(&self) -> u16 {
        self.lock.port
    }
}

/// A watched process, recognised by its start.
#[derive(Debug)]
pub struct Watched {
    /// Its id.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// In seconds since 1970.
    started: Option<u64>,
}

/// What a command gets besides its arguments.
#[derive(Debug)]
pub struct Inheritance {
    /// The variables' names, in the order of the ports.
    pub names: Vec<String>,
    /// The ports.
    pub ports: Vec<u16>,
    /// The locks, which it keeps while it runs.
    pub locks: Vec<Lock>,
    /// Bound sockets that keep the ports. None on these systems.
    #[expect(dead_code, reason = "other systems have some")]
    pub holds: Vec<Socket>,
    /// Listening sockets.
    pub servers: Vec<Socket>,
    /// The limit of open files to restore.
    pub limit: Option<Limit>,
}

/// The directory of locks and records. It is this user's own, as all users share the temporary
/// directory.
fn directory() -> PathBuf {
    #[cfg(unix)]
    let name = format!("portcheck-leases-{}", rustix::process::geteuid().as_raw());
    #[cfg(not(unix))]
    let name = "portcheck-leases";
    std::env::temp_dir().join(name)
}

/// Creates the directory. Another user may have created it, to make us write elsewhere.
fn make_directory() -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt};
        match fs::DirBuilder::new().mode(0o700).create(directory()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(directory())?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            let message = format!("{} is not a directory of this user", directory().display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Ok(())
    }
    #[cfg(not(unix))]
    fs::create_dir_all(directory())
}

fn lock_path(port: u16) -> PathBuf {
    directory().join(format!("{port}.lock"))
}

/// Locks `port`. `None` if another process has the lock, or a lease.
pub fn lock(port: u16) -> io::Result<Option<Lock>> {
    let Some(lock) = take(port)? else { return Ok(None) };
    let is_leased = Record::read(&directory(), port).is_some_and(|record| is_valid(&record));
    Ok((!is_leased).then_some(lock))
}

/// Takes only the lock.
fn take(port: u16) -> io::Result<Option<Lock>> {
    make_directory()?;
    let file = File::options().create(true).truncate(false).write(true).open(lock_path(port))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { port, file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a lease has not expired. If its lock could be taken, a command's lease has.
fn is_valid(record: &Record) -> bool {
    let client_is_there = || match &record.client {
        Some(client) if client.ends_lease => runs(client),
        _ => true,
    };
    record.kind == RecordKind::Reserved && remaining(record).is_some() && client_is_there()
}

/// How long a lease still lasts. `None` if it has expired.
fn remaining(record: &Record) -> Option<Duration> {
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(record.expires_at_ms))?;
    end.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero())
}

/// Leases that were just recorded. They can still be called off.
#[derive(Debug)]
pub struct Keeping {
    /// The process that keeps the leases. There is none.
    pub pid: Option<Pid>,
    ports: Vec<u16>,
}

impl Keeping {
    /// Ends the leases again.
    pub fn call_off(self) {
        for port in self.ports {
            let _ = Record::remove(&directory(), port);
        }
    }
}

/// Records the leases. No process keeps them.
pub fn keep(terms: &Terms, kept: &[Kept]) -> io::Result<Keeping> {
    let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + terms.ttl;
    let record = Record {
        kind: RecordKind::Reserved,
        key: terms.key,
        expires_at_ms: u64::try_from(expires.as_millis()).unwrap_or(u64::MAX),
        process: None,
        client: terms.client.as_ref().map(|client| record::Client {
            pid: client.pid,
            name: client.name.clone(),
            started: client.started,
            ends_lease: terms.ends_with_client,
        }),
    };
    let mut keeping = Keeping { pid: None, ports: Vec::new() };
    for port in kept.iter().map(Kept::port) {
        if let Err(error) = record.write(&directory(), port) {
            keeping.call_off();
            return Err(error);
        }
        keeping.ports.push(port);
    }
    Ok(keeping)
}

/// There are no lease daemons on these systems.
pub fn serve() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "leases need none on this system"))
}

/// The leases on `ports`, ascending.
pub fn leases(ports: &PortSet) -> Result<Leases, Error> {
    let entries = match fs::read_dir(directory()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Leases::default()),
        Err(source) => return Err(Error::Read { path: directory(), source }),
    };
    let port = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
    let mut found: Vec<u16> = entries.flatten().filter_map(port).filter(|&port| ports.contains(port)).collect();
    found.sort_unstable();
    Ok(Leases { leases: found.into_iter().filter_map(lease).collect(), ..Leases::default() })
}

fn lease(port: u16) -> Option<Lease> {
    let record = Record::read(&directory(), port)?;
    let is_there = match record.kind {
        RecordKind::Reserved => is_valid(&record),
        // Its lock is removed with it.
        RecordKind::Command => matches!(take(port), Ok(None)),
    };
    is_there.then(|| Lease {
        port,
        kind: match record.kind {
            RecordKind::Reserved => LeaseKind::Reserved,
            RecordKind::Command => LeaseKind::Command,
        },
        uid: None,
        user: None,
        is_own: is_own(&record),
        pids: record.process.into_iter().collect(),
        expires_in: (record.kind == RecordKind::Reserved).then(|| remaining(&record)).flatten(),
        client: record.client.map(|client| Client {
            name: client.name,
            pid: Some(client.pid),
            ends_lease: client.ends_lease,
        }),
    })
}

/// Whether a lease was made for a process that we descend from.
fn is_own(record: &Record) -> bool {
    let is_ancestor = |pid: Pid| collect::ancestors_of(std::process::id()).contains(&pid);
    record.client.as_ref().is_some_and(descends_from) || record.process.is_some_and(is_ancestor)
}

/// Releases `ports`, and says of each how that went.
pub fn release(ports: &[u16]) -> Result<Vec<(u16, Release)>, Error> {
    let mut leases = leases(&ports.iter().map(|&port| (port, port)).collect())?.leases;
    let mut release_one = |port| {
        let Some(index) = leases.iter().position(|lease| lease.port == port) else { return Release::NotLeased };
        let lease = leases.swap_remove(index);
        if lease.kind == LeaseKind::Command {
            return Release::OfCommand(lease);
        }
        match take(port) {
            Ok(Some(_lock)) if Record::remove(&directory(), port).is_ok() => Release::Done(lease),
            // Another process is just taking it over.
            Ok(_) | Err(_) => Release::Unanswered,
        }
    };
    Ok(ports.iter().map(|&port| (port, release_one(port))).collect())
}

/// Ends the lease on `port` if it was made with the same key for the caller, or for a caller that
/// has ended.
pub fn reclaim(port: u16, key: u64, _patience: &mut Patience) -> bool {
    let Ok(Some(_lock)) = take(port) else { return false };
    let Some(record) = Record::read(&directory(), port).filter(|record| record.key == Some(key)) else { return false };
    let is_over = record.client.is_none_or(|client| is_caller(&client) || !runs(&client));
    is_over && Record::remove(&directory(), port).is_ok()
}

/// Ends the lease on `port` if it was made for the caller, or for one of its ancestors.
pub fn take_over(port: u16, _patience: &mut Patience) -> bool {
    let Ok(Some(_lock)) = take(port) else { return false };
    let client = Record::read(&directory(), port).and_then(|record| record.client);
    client.is_some_and(|client| descends_from(&client)) && Record::remove(&directory(), port).is_ok()
}

fn is_caller(client: &record::Client) -> bool {
    watch_caller().is_some_and(|caller| (caller.pid, caller.started) == (client.pid, client.started))
}

fn runs(client: &record::Client) -> bool {
    process(client.pid).is_some_and(|process| started(&process) == client.started)
}

/// Whether we descend from a client that still runs.
fn descends_from(client: &record::Client) -> bool {
    runs(client) && collect::ancestors_of(std::process::id()).contains(&client.pid)
}

/// Watches the process `pid`.
pub fn watch(pid: Pid) -> io::Result<Watched> {
    let process = process(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(Watched { pid, started: started(&process), name: process.name })
}

/// Watches the process that called us. `None` if it has ended.
pub fn watch_caller() -> Option<Watched> {
    let own = process(std::process::id())?;
    let caller = watch(own.ppid?).ok()?;
    // If it had ended, another process could have its id by now.
    (caller.started <= started(&own)).then_some(caller)
}

/// When a process started, in seconds since 1970, as records have it.
fn started(process: &Process) -> Option<u64> {
    Some(process.started_at?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

fn process(pid: Pid) -> Option<Process> {
    collect::describe(vec![pid], Detail::Brief).ok()?.pop()
}

/// Notes that this process has the ports of a command, and keeps the locks.
fn record_command(locks: &[Lock]) {
    let record = Record {
        kind: RecordKind::Command,
        key: None,
        expires_at_ms: 0,
        process: Some(std::process::id()),
        client: None,
    };
    for lock in locks {
        // Only the lock matters.
        let _ = record.write(&directory(), lock.port);
    }
}

/// An argument of a command, with its ports filled in.
fn filled(argument: &OsString, ports: &[u16]) -> OsString {
    let Some(text) = argument.to_str() else { return argument.clone() };
    let filled = crate::commands::free::names::fill(text.as_bytes(), ports);
    String::from_utf8(filled).map_or_else(|_| argument.clone(), OsString::from)
}
