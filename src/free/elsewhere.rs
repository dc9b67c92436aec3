//! Systems other than Linux: ports can be picked, but neither leased nor held, which is said.

use std::ffi::OsString;
use std::io;

use socket2::Socket;

use super::Terms;
use crate::error::Error;
use crate::model::{Lease, Pid};
use crate::port_set::PortSet;

/// A lock, of which there are none here.
#[derive(Debug)]
pub enum Lock {}

/// A port to be kept.
#[derive(Debug)]
pub struct Kept {
    /// The lock.
    pub lock: Lock,
    /// Bound, not listening.
    pub holds: Vec<Socket>,
}

impl Kept {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self.lock {}
    }
}

/// A process that is watched.
#[derive(Debug)]
pub struct Watched {
    /// Its id.
    pub pid: Pid,
    /// What it calls itself.
    pub name: String,
}

/// What a command gets besides its arguments.
#[derive(Debug)]
pub struct Inheritance {
    /// The variables' names, in the order of the ports.
    pub names: Vec<String>,
    /// The ports.
    pub ports: Vec<u16>,
    /// Kept for as long as it runs.
    pub locks: Vec<Lock>,
    /// The same.
    pub holds: Vec<Socket>,
    /// Sockets that serve.
    pub servers: Vec<Socket>,
    /// The limit of open files that it is to have.
    pub limit: Option<Limit>,
}

/// A limit of open files that was raised.
#[derive(Debug, Clone)]
pub enum Limit {}

/// What became of a lease that was to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// It has ended.
    Done(Lease),
    /// There was none.
    NotLeased,
    /// It belongs to another user.
    NotOurs(Lease),
    /// It ends with the command that has it, and not before.
    OfCommand(Lease),
    /// Whoever has the lock did not answer.
    Unanswered,
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("there are no leases on {} yet", std::env::consts::OS))
}

/// Locks a port.
///
/// # Errors
///
/// Always.
pub fn lock(_port: u16) -> io::Result<Option<Lock>> {
    Err(unsupported())
}

/// Starts a keeper.
///
/// # Errors
///
/// Always.
pub fn keep(_terms: &Terms, _kept: &[Kept]) -> io::Result<Pid> {
    Err(unsupported())
}

/// Is the keeper.
///
/// # Errors
///
/// Always.
pub fn serve() -> io::Result<()> {
    Err(unsupported())
}

/// The leases there are: none.
///
/// # Errors
///
/// None.
pub fn leases(_ports: &PortSet) -> Result<Vec<Lease>, Error> {
    Ok(Vec::new())
}

/// Ends leases.
///
/// # Errors
///
/// None.
pub fn release(ports: &[u16]) -> Result<Vec<(u16, Release)>, Error> {
    Ok(ports.iter().map(|&port| (port, Release::NotLeased)).collect())
}

/// Ends a lease of ours.
#[must_use]
pub fn reclaim(_port: u16, _key: u64) -> bool {
    false
}

/// Watches a process.
///
/// # Errors
///
/// Always.
pub fn watch(_pid: Pid) -> io::Result<Watched> {
    Err(unsupported())
}

/// Watches the process that called us.
#[must_use]
pub fn watch_caller() -> Option<Watched> {
    None
}

/// Raises our limit of open files.
#[must_use]
pub fn make_room(_descriptors: usize) -> Option<Limit> {
    None
}

/// Replaces this process.
#[must_use]
pub fn become_command(_command: &[OsString], _inheritance: Inheritance) -> io::Error {
    unsupported()
}
