//! The native backend of Linux: joins socket tables, descriptors, cgroups and process details into
//! a [`Snapshot`].

mod attribute;
mod bpf;
mod calls;
mod cgroup;
mod circumstances;
mod destroy;
mod elsewhere;
mod empty;
mod ending;
mod engines;
mod follow;
#[cfg(fuzzing)]
pub mod fuzzing;
mod generic;
mod holder;
mod holdings;
mod host;
mod inside_kernel;
mod kernel_sockets;
mod links;
mod namespaces;
mod nat;
mod netlink;
pub mod owners;
mod partial;
mod pids;
mod proc_net;
mod processes;
mod program;
mod projects;
mod quick;
mod replica;
mod search;
mod sock_diag;
mod socket_units;
mod sockstat;
mod system_call;
mod tables;
mod unit_files;
pub mod unix_sockets;
mod view;
mod virtual_hosts;
mod watch;

use std::collections::HashMap;
use std::fs;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

pub use destroy::drop_remnants;
pub use follow::Follower;
pub use replica::places;
pub use watch::Watch;

pub use super::unix::{is_process, is_user};

use crate::platform::proc::Stat;
use attribute::{Attributed, Attribution};
use cgroup::Hierarchy;
use holdings::Holdings;
use owners::Sweep;
use processes::Users;
use search::Search;
use sock_diag::{Entry, States};
use tables::Tables;
use view::View;

use super::{BindFailure, Detail, Inside, Scope, leaders_first};
use crate::error::Error;
use crate::model::{
    Circumstances, Diversion, Gap, Host, InterfaceAddress, Namespace, Owners, Pid, Process, Protocol, Question, Replay,
    ShownBy, Snapshot, Socket, gap,
};
use crate::port_set::PortSet;
use crate::supervisor;

/// Where the kernel shows processes.
const PROC: &str = "/proc";

/// See [`super::host`].
pub fn host() -> Host {
    host::host(Path::new(PROC))
}

/// See [`super::circumstances`].
pub fn circumstances(failure: BindFailure, mut addresses: Vec<InterfaceAddress>) -> Circumstances {
    let proc = Path::new(PROC);
    circumstances::mark_tentative(proc, &mut addresses);
    Circumstances {
        excluded_ranges: None,
        addresses,
        ipv6_disabled_by: circumstances::ipv6_disabled_by(proc),
        sandbox: (failure == BindFailure::Refused).then(|| circumstances::sandbox(proc)),
    }
}

/// See [`super::supervisor_of`].
pub fn supervisor_of(pid: Pid) -> supervisor::Supervisor {
    processes::supervisor_of(Path::new(PROC), pid)
}

/// See [`super::diversions`].
pub fn diversions(ports: &[(u16, Protocol)]) -> (Vec<Diversion>, Option<Gap>) {
    nat::diversions(Path::new(PROC), ports)
}

/// See [`super::replay`].
pub fn replay(listeners: &[&Socket], questions: &[Question]) -> Replay {
    replica::replay(Path::new(PROC), listeners, questions)
}

/// When a process started, more precisely than sysinfo reports it.
pub fn started_at(pid: Pid) -> Option<SystemTime> {
    Stat::read(&Path::new(PROC).join(pid.to_string()))?.started_at()
}

/// Fails if processes cannot be listed: netstat2 panics then.
pub fn require_processes() -> Result<(), Error> {
    fs::read_dir(PROC).map(drop).map_err(|source| Error::Read { path: PROC.into(), source })
}

/// See [`super::owners_of`].
pub fn owners_of(inodes: &[u64]) -> Vec<(u64, Pid)> {
    let mut wanted = inodes.to_vec();
    wanted.sort_unstable();
    let sweep = owners::find(Path::new(PROC), &wanted).unwrap_or_default();
    let mut pairs: Vec<(u64, Pid)> = sweep.found.into_iter().map(|(inode, pid, _)| (inode, pid)).collect();
    pairs.dedup();
    pairs
}

/// See [`super::waiting`].
pub fn waiting(protocols: &[Protocol], ports: &PortSet) -> Result<(Vec<Socket>, Vec<Gap>), Error> {
    let mut tables = Tables::open(Path::new(PROC));
    let mut entries = Vec::new();
    for &protocol in protocols {
        let states = if protocol == Protocol::Tcp { States::LISTENING } else { States::ALL };
        entries.extend(tables.read(protocol, states, ports)?);
    }
    Ok((entries.into_iter().map(|entry| entry.socket).collect(), tables.into_gaps()))
}

/// See [`super::describe`].
pub fn describe(pids: Vec<Pid>, detail: Detail) -> Result<Vec<Process>, Error> {
    processes::read(Path::new(PROC), pids, detail, &mut Users::default())
}

/// See [`super::is_container`].
pub fn is_container(typed: &str) -> bool {
    namespaces::is_container(Path::new(PROC), typed)
}

/// See [`super::enter`].
pub fn enter(typed: &str) -> Result<Option<Inside>, String> {
    namespaces::enter(Path::new(PROC), typed)
}

/// See [`super::namespaces`].
pub fn namespaces() -> Vec<Namespace> {
    namespaces::in_time(Path::new(PROC))
}

/// See [`super::snapshot`].
pub fn snapshot(scope: &Scope) -> Result<Snapshot, Error> {
    let proc = Path::new(PROC);
    let host = if scope.namespaces.can_be_asked() { host() } else { host().without_limits() };
    let mut view = View::open(proc, scope)?;
    let entries = view.read(scope)?;
    if scope.protocols.contains(&Protocol::Tcp) {
        view.own().check_bound_sockets(host.release.as_deref());
    }
    let mut snapshot = if scope.detail == Detail::Nothing {
        let sockets = join(entries, |_| None, |_| (None, Owners::NotAsked.into()));
        Snapshot { host, sockets, processes: Vec::new(), gaps: view.into_gaps() }
    } else {
        with_owners(scope, host, view, entries)?
    };
    // Last, as all else that was read inside compares like with like.
    inside(scope, &mut snapshot.sockets);
    Ok(snapshot)
}

/// Says of sockets in which network namespace they are, if that is not ours.
fn inside(scope: &Scope, sockets: &mut [Socket]) {
    if let Some(namespace) = scope.namespaces.inside() {
        for socket in sockets {
            socket.namespace = Some(Box::new(namespace.clone()));
        }
    }
}

/// Looks for the owners of the sockets in `entries`, and describes them.
fn with_owners(scope: &Scope, host: Host, mut view: View<'_>, mut entries: Vec<Entry>) -> Result<Snapshot, Error> {
    let search = search::search(Path::new(PROC), &mut view, scope, &mut entries)?;
    described(scope, host, view, entries, &search)
}

/// Joins the sockets in `entries` with what was found of their owners, and describes these.
fn described(
    scope: &Scope,
    host: Host,
    mut view: View<'_>,
    entries: Vec<Entry>,
    search: &Search,
) -> Result<Snapshot, Error> {
    let proc = Path::new(PROC);
    let holdings = Holdings::read(view.own(), scope, &entries, &host);
    let mut gaps = view.into_gaps();
    gaps.extend(gaps_of(search, !entries.is_empty(), &host));
    // Only sockets are looked for in cgroups.
    let hierarchy = if entries.is_empty() { None } else { Hierarchy::find(proc) };
    let cgroups = hierarchy.as_ref().map(|hierarchy| cgroup_paths(proc, hierarchy, scope, &entries, &search.sweep));
    let mut attribution = Attribution::new(proc, search, hierarchy.as_ref());
    let mut users = Users::default();
    let mut sockets = join(
        entries,
        |uid| users.name(uid),
        |entry| {
            let path = entry.cgroup_id.and_then(|id| cgroups.as_ref()?.get(&id.get()).cloned());
            let attributed = attribution.owners_of(entry, path.as_deref());
            (path, attributed)
        },
    );
    let owners = sockets.iter().flat_map(|socket| socket.owners.pids()).copied().collect();
    let mut processes = processes::read(proc, owners, scope.detail, &mut users)?;
    if scope.detail == Detail::Full || scope.tcp_info {
        for socket in &mut sockets {
            socket.descriptors =
                socket.inode.map(|inode| search.sweep.descriptors_of(inode).collect()).unwrap_or_default();
        }
    }
    if scope.detail == Detail::Full {
        processes::look_closer(proc, hierarchy.as_ref(), &sockets, &mut processes);
        gaps.extend(socket_units::assign(&mut sockets, &processes));
        unit_files::assign(&mut sockets, &mut processes);
        projects::assign(proc, &mut processes);
        virtual_hosts::assign(&mut processes);
        if let Some(holdings) = holdings {
            holdings.assign(proc, &mut processes);
        }
    }
    engines::assign(proc, &mut sockets, &mut processes);
    leaders_first(&mut sockets, &processes);
    Ok(Snapshot { host, sockets, processes, gaps })
}

fn gaps_of(search: &Search, any_socket: bool, host: &Host) -> Vec<Gap> {
    let Search { sweep, sees_every_namespace, failure, .. } = search;
    if let Some(error) = failure {
        return vec![gap::NO_PROC.gap(format!("no process could be inspected: {error}"))];
    }
    let shown_by = if host.euid == Some(0) { ShownBy::Nothing } else { ShownBy::Root };
    let mut gaps = Vec::new();
    if !sweep.unreadable.is_empty() {
        let summary = match sweep.unreadable.len() {
            1 => "1 process could not be inspected".to_owned(),
            count => format!("{count} processes could not be inspected"),
        };
        gaps.push(Gap { shown_by, pids: sweep.unreadable.clone(), ..gap::UNREADABLE_PROCESSES.gap(summary) });
    }
    if sweep.others_invisible {
        let summary = "/proc shows only your own processes here (hidepid)";
        gaps.push(Gap { shown_by, ..gap::INVISIBLE_PROCESSES.gap(summary) });
    }
    if search.was_quick && any_socket {
        let summary = "this was a quick look: other processes may have the same sockets";
        gaps.push(Gap { shown_by: ShownBy::Asking, ..gap::QUICK_LOOK.gap(summary) });
    }
    if any_socket && !sees_every_namespace {
        gaps.push(gap::PID_NAMESPACE.gap("processes outside this pid namespace cannot be seen"));
    }
    gaps
}

/// The paths of the cgroups that the answer needs. With full details these are the cgroups of all
/// sockets. Otherwise they are those of sockets whose owner must be deduced.
fn cgroup_paths(
    proc: &Path,
    hierarchy: &Hierarchy,
    scope: &Scope,
    entries: &[Entry],
    sweep: &Sweep,
) -> HashMap<u64, Arc<str>> {
    let owner_of = |entry: &Entry| entry.socket.inode.and_then(|inode| sweep.owners_of(inode).next());
    let ids: Vec<u64> = entries
        .iter()
        .filter(|entry| scope.detail == Detail::Full || owner_of(entry).is_none())
        .filter_map(|entry| entry.cgroup_id.map(NonZeroU64::get))
        .collect();
    // A process is usually in the cgroup in which it made its sockets.
    let mut owners: Vec<Pid> = entries.iter().filter_map(owner_of).collect();
    owners.sort_unstable();
    owners.dedup();
    let hints: Vec<String> =
        owners.into_iter().filter_map(|pid| cgroup::of_process(proc, pid).into_iter().next()).collect();
    let paths = hierarchy.paths(&ids, hints.iter().map(String::as_str));
    paths.into_iter().map(|(id, path)| (id, path.into())).collect()
}

/// Adds what only other tables say of each socket.
fn join(
    entries: Vec<Entry>,
    mut user_name: impl FnMut(u32) -> Option<Arc<str>>,
    mut attribute: impl FnMut(&Entry) -> (Option<Arc<str>>, Attributed),
) -> Vec<Socket> {
    let mut devices: HashMap<u32, Option<Box<str>>> = HashMap::new();
    let join_one = |entry: Entry| {
        let (cgroup, Attributed { owners, via, kernel_user }) = attribute(&entry);
        let device = match entry.interface {
            // One of another namespace has its name already.
            0 => entry.socket.device.clone(),
            index => devices.entry(index).or_insert_with(|| device_name(index)).clone(),
        };
        let user = entry.socket.uid.and_then(&mut user_name);
        let kernel_user = kernel_user.map(Box::new);
        Socket { device, user, cgroup, owners, via, kernel_user, ..entry.socket }
    };
    entries.into_iter().map(join_one).collect()
}

/// The name of an interface, or its index if it has just been removed.
fn device_name(index: u32) -> Option<Box<str>> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice};
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    Some(netdevice::index_to_name(socket.as_fd(), index).unwrap_or_else(|_| format!("if{index}")).into())
}
