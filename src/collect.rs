//! Takes a [`Snapshot`] of the machine, and chooses the backend of the platform.
//!
//! A platform is a module with the function `snapshot(&Scope) -> Result<Snapshot, Error>`, chosen
//! here under the alias `native`. There is no collector trait: the seam is the data. Linux has a
//! backend of its own. Windows and macOS use the portable one, and add what the system says
//! besides. On other systems `unsupported` returns an error.

mod forwards;
mod processes;

#[cfg(any(target_os = "linux", target_os = "macos", target_os = "windows"))]
mod portable;

/// This parser and the next two are pure, so their tests run everywhere.
#[cfg(any(test, target_os = "windows"))]
mod netsh;
#[cfg(any(test, target_os = "macos"))]
mod pcb;
#[cfg(any(test, target_os = "macos"))]
mod procargs;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as native;

#[cfg(target_os = "linux")]
pub use linux::unix_sockets;

#[cfg(all(target_os = "linux", fuzzing))]
pub use linux::fuzzing;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as native;

#[cfg(target_os = "windows")]
mod windows;
#[cfg(target_os = "windows")]
use windows as native;

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
mod unsupported;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
use unsupported as native;

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod unix;

/// What all systems but Linux answer alike.
#[cfg(not(target_os = "linux"))]
mod common;

pub use native::{Follower, Watch};

use std::collections::HashMap;

use crate::error::Error;
use crate::model::{
    Backend, Circumstances, Diversion, Family, Gap, Host, InterfaceAddress, Namespace, Pid, Place, Process, Protocol,
    Question, Replay, Snapshot, Socket,
};
use crate::port_set::PortSet;
use crate::supervisor::Supervisor;
use crate::target::{Target, ports_of};

/// What a snapshot must contain. What is left out is not read.
#[derive(Debug, Clone)]
pub struct Scope {
    /// What to read the facts with.
    pub backend: Backend,
    /// The protocols.
    pub protocols: Vec<Protocol>,
    /// The ports and addresses in question; the whole machine if empty.
    pub targets: Vec<Target>,
    /// Whether to read connections too, even where a listener already explains the port.
    pub connections: bool,
    /// Whether to ask what TCP measured of each connection, which makes the tables larger.
    pub tcp_info: bool,
    /// How much to learn about the owners.
    pub detail: Detail,
    /// Whether the first holder of a socket is enough. Others may be missed.
    pub quick: bool,
    /// The family in question; both if `None`.
    pub family: Option<Family>,
    /// In which network namespaces.
    pub namespaces: Namespaces,
}

/// In which network namespaces to look. Only Linux has more than one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// Only in our own.
    Own,
    /// In every one of this machine.
    All,
    /// Only in another one.
    Inside(Inside),
}

/// Another network namespace, which is looked at from inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Which one.
    pub namespace: Namespace,
    /// How it can be looked at.
    pub access: Access,
}

/// How another network namespace can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// This thread has entered it.
    Entered,
    /// It could not be entered, but anybody may read what this process sees.
    Text(Pid),
    /// Not at all.
    Refused,
}

impl Namespaces {
    /// The one that is looked at, if it is not our own.
    pub const fn inside(&self) -> Option<&Namespace> {
        match self {
            Self::Own | Self::All => None,
            Self::Inside(inside) => Some(&inside.namespace),
        }
    }

    /// Whether the kernel can be asked what is so in there: whether bind works, and who has leases.
    pub fn can_be_asked(&self) -> bool {
        !matches!(self, Self::Inside(inside) if inside.access != Access::Entered)
    }
}

/// Finds the network namespace that `typed` names, and moves this thread into it if it may. `None` if it is our own. An error
/// is what is wrong with `typed`.
pub fn enter(typed: &str) -> Result<Option<Inside>, String> {
    native::enter(typed)
}

/// The other network namespaces of this machine, as far as they can be named in time.
pub fn namespaces() -> Vec<Namespace> {
    native::namespaces()
}

/// How much to learn about the processes that own a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Nothing, not even who they are: enough for an exit code.
    Nothing,
    /// Name, command line, user, unit and container: enough for a row of a table.
    Brief,
    /// All of [`Process`].
    Full,
}

/// Reads what `scope` asks for.
pub fn snapshot(scope: &Scope) -> Result<Snapshot, Error> {
    let mut snapshot = look(scope)?;
    if scope.detail == Detail::Full {
        forwards::assign(scope, &mut snapshot, |scope| look(scope).ok());
    }
    Ok(snapshot)
}

fn look(scope: &Scope) -> Result<Snapshot, Error> {
    match scope.backend {
        #[cfg(target_os = "linux")]
        Backend::Portable => {
            // netstat2 panics where it cannot list /proc.
            linux::require_processes()?;
            portable::snapshot(scope, portable::Looks::One, |_| None)
        }
        _ => native::snapshot(scope),
    }
}

/// How a bind failed, other than by a socket that has the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindFailure {
    /// The system refused permission.
    Refused,
    /// The address cannot be used.
    Address,
}

/// What besides sockets decided about binds that failed.
pub fn circumstances(failure: BindFailure) -> Circumstances {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses = interfaces.into_iter().map(|interface| InterfaceAddress {
        address: interface.ip(),
        interface: interface.name,
        is_tentative: false,
    });
    native::circumstances(failure, addresses.collect())
}

/// The rules of the firewall that send what arrives for `ports` of this machine elsewhere, and what
/// keeps us from reading them.
pub fn diversions(ports: &[(u16, Protocol)]) -> (Vec<Diversion>, Option<Gap>) {
    native::diversions(ports)
}

/// The addresses of this machine's interfaces, which connections arrive at. Empty on systems that
/// have no replica.
pub fn places() -> Vec<Place> {
    native::places()
}

/// Asks `questions` on a replica of the network in which `listeners` wait.
pub fn replay(listeners: &[&Socket], questions: &[Question]) -> Replay {
    native::replay(listeners, questions)
}

/// The sockets that wait on `ports`, without their owners: TCP sockets that listen, and UDP sockets
/// in any state. This is cheap, however many connections there are.
pub fn waiting(protocols: &[Protocol], ports: &PortSet) -> Result<(Vec<Socket>, Vec<Gap>), Error> {
    native::waiting(protocols, ports)
}

/// The details of `pids`, by ascending pid. Processes that have ended are left out.
pub fn describe(pids: Vec<Pid>, detail: Detail) -> Result<Vec<Process>, Error> {
    native::describe(pids, detail)
}

/// Whether a process has the id `pid`, even one that cannot be inspected.
pub fn is_process(pid: Pid) -> bool {
    native::is_process(pid)
}

/// Whether this machine has a user of this name, or a user, process or socket with this user id: not
/// every id has a name.
pub fn is_user(typed: &str) -> bool {
    native::is_user(typed) || typed.parse().is_ok_and(is_user_id)
}

fn is_user_id(uid: u32) -> bool {
    let has_it = |socket: &Socket| socket.uid == Some(uid);
    processes::any_runs_as(uid)
        || waiting(&Protocol::ALL, &PortSet::all()).is_ok_and(|(sockets, _)| sockets.iter().any(has_it))
}

/// Whether a container of this name runs, or one with this id or beginning of an id.
pub fn is_container(typed: &str) -> bool {
    native::is_container(typed)
}

/// The processes that have sockets with these inodes open, as far as they can be seen.
pub fn owners_of(inodes: &[u64]) -> Vec<(u64, Pid)> {
    native::owners_of(inodes)
}

/// What a look of [`Follower`] could not show any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// How many sockets were opened and closed since the look before.
    pub sockets: usize,
    /// Whether there may have been more.
    pub is_incomplete: bool,
}

impl Missed {
    /// Adds what was missed at another look.
    pub const fn add(&mut self, other: Self) {
        self.sockets += other.sockets;
        self.is_incomplete |= other.is_incomplete;
    }

    /// Whether something was missed.
    pub const fn is_any(self) -> bool {
        self.sockets > 0 || self.is_incomplete
    }
}

/// The host, as far as a failed command can report it.
pub fn host(backend: Backend) -> Host {
    match backend {
        #[cfg(target_os = "linux")]
        Backend::Portable => bare_host(),
        _ => native::host(),
    }
}

/// The host, as every system reports it.
fn bare_host() -> Host {
    Host {
        os: std::env::consts::OS,
        release: sysinfo::System::kernel_version().ok(),
        backend: Backend::Portable,
        euid: None,
        ephemeral_range: None,
        reserved_ports: PortSet::default(),
        unprivileged_start: None,
    }
}

/// The unit or container that runs the process `pid`. Empty if it cannot be told.
pub fn supervisor_of(pid: Pid) -> Supervisor {
    native::supervisor_of(pid)
}

/// Drops remnants: sockets that no process has any more. Returns what became of each.
pub fn drop_remnants(sockets: Vec<Socket>) -> Vec<(Socket, std::io::Result<()>)> {
    native::drop_remnants(sockets)
}

/// The parent of the process `pid`, the parent of that one, and so on.
pub fn ancestors_of(pid: Pid) -> Vec<Pid> {
    let found = processes::details([pid], Detail::Full, |_| None).unwrap_or_default();
    found.into_iter().flat_map(|process| process.ancestors).map(|ancestor| ancestor.pid).collect()
}

#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", target_os = "windows")),
    expect(dead_code, reason = "nothing is read there")
)]
impl Scope {
    /// The ports to ask for.
    fn ports(&self) -> PortSet {
        if self.targets.is_empty() { PortSet::all() } else { ports_of(&self.targets) }
    }

    /// The TCP ports of the targets that no waiting socket blocks. Only there do connections and
    /// remnants decide whether a bind works.
    fn unexplained<'a>(&self, waiting: impl Iterator<Item = &'a Socket>) -> PortSet {
        let mut by_port: HashMap<u16, Vec<&Socket>> = HashMap::new();
        for socket in waiting.filter(|socket| socket.protocol == Protocol::Tcp) {
            by_port.entry(socket.local.port()).or_default().push(socket);
        }
        let is_explained = |target: &Target, port: u16| {
            by_port
                .get(&port)
                .is_some_and(|sockets| sockets.iter().any(|socket| socket.serves(self.family) && target.covers(socket)))
        };
        self.targets
            .iter()
            .filter(|target| target.wants(Protocol::Tcp))
            .flat_map(|target| target.ports().filter(move |&port| !is_explained(target, port)))
            .map(|port| (port, port))
            .collect()
    }
}

/// Puts the leader of each group of owners first: the process that descends from none of the
/// others.
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", target_os = "windows")),
    expect(dead_code, reason = "nothing is read there")
)]
fn leaders_first(sockets: &mut [Socket], processes: &[Process]) {
    use crate::model::Owners;
    let parent_of = |pid: Pid| {
        let index = processes.binary_search_by_key(&pid, |process| process.pid).ok()?;
        processes[index].ppid
    };
    for socket in sockets {
        if let Owners::Known(pids) | Owners::Partial { pids, .. } = &mut socket.owners {
            let members = pids.clone();
            pids.sort_by_key(|&pid| (parent_of(pid).is_some_and(|parent| members.contains(&parent)), pid));
        }
    }
}
