//! Sockets grouped by who holds them, and how to name a holder in a sentence.

use std::borrow::Cow;
use std::net::IpAddr;

use super::statement::{LISTENS, RECEIVES};
use super::{Facts, Holder, Verb};
use crate::model::{Forwarder, Owners, Pid, Process, Socket, State, find_process};
use crate::probe::Spot;
use crate::supervisor::Supervisor;

/// Sockets with the same owners.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// Who holds them.
    pub owners: Cow<'a, Owners>,
    /// The sockets; never empty.
    pub sockets: Vec<&'a Socket>,
}

/// Groups sockets by their owners and by whether they listen, in the order of their first
/// appearance.
///
/// Hidden owners are the same only if user and cgroup are the same: the tables say no more.
pub fn groups<'a>(sockets: impl IntoIterator<Item = &'a Socket>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for socket in sockets {
        let same = |group: &&mut Group<'a>| {
            let first = group.sockets[0];
            group.owners_of_both(socket).is_some()
                && (first.state == State::Bound) == (socket.state == State::Bound)
                && first.state.is_waiting() == socket.state.is_waiting()
                && (first.via, &first.kernel_user, &first.activated_by, &first.forwards_to)
                    == (socket.via, &socket.kernel_user, &socket.activated_by, &socket.forwards_to)
                && first.namespace == socket.namespace
                && (!matches!(socket.owners, Owners::Hidden { .. })
                    || (first.uid, &first.cgroup) == (socket.uid, &socket.cgroup))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(socket),
            None => groups.push(Group::of(socket)),
        }
    }
    groups
}

impl<'a> Group<'a> {
    /// A group of one socket.
    pub fn of(socket: &'a Socket) -> Self {
        Self { owners: Cow::Borrowed(&socket.owners), sockets: vec![socket] }
    }

    fn push(&mut self, socket: &'a Socket) {
        self.owners = self.owners_of_both(socket).unwrap_or_else(|| self.owners.clone());
        self.sockets.push(socket);
    }

    /// Who holds the sockets of the group and `socket`, if that is one holder. An engine has a
    /// process for each family in which it publishes a port.
    fn owners_of_both(&self, socket: &'a Socket) -> Option<Cow<'a, Owners>> {
        let is_one_forward = match (&self.sockets[0].forward, &socket.forward) {
            (None, None) => return (*self.owners == socket.owners).then(|| self.owners.clone()),
            (Some(one), Some(other)) => one.leads_where(other),
            _ => false,
        };
        is_one_forward.then(|| self.owners.union(&socket.owners).map(Cow::Owned))?
    }
}

impl Group<'_> {
    /// The holder as the subject of a sentence: `python3 (pid 4242)`.
    pub fn holder(&self, processes: &[Process]) -> String {
        Holder::from(self).name(processes)
    }

    /// The first owner that holds the port for another place, if one does.
    pub fn forwarder<'p>(&self, processes: &'p [Process]) -> Option<(&'p Process, Forwarder)> {
        let mut owners = self.owners.pids().iter().filter_map(|&pid| find_process(processes, pid));
        owners.find_map(|process| Some((process, process.forwarder?)))
    }

    /// What the holder does there: `listens on 127.0.0.1:80`, `has bound [::1]:80 without
    /// listening`.
    pub fn waits(&self) -> (Verb, String) {
        let addresses = self.addresses();
        match self.sockets[0].state {
            State::Bound => (Verb("has bound", "have bound"), format!("{addresses} without listening")),
            State::Unconnected => (RECEIVES, addresses),
            _ => (LISTENS, addresses),
        }
    }

    /// The addresses of the sockets, `127.0.0.1:80 and [::1]:80`.
    pub fn addresses(&self) -> String {
        match self.sockets[..] {
            [only] => only.local_name(),
            _ => enumerate(&self.local_names(), "and"),
        }
    }

    /// The addresses one by one.
    pub fn local_names(&self) -> Vec<String> {
        let mut addresses: Vec<String> = Vec::new();
        for socket in &self.sockets {
            let address = socket.local_name();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }
}

impl Holder {
    /// The holder as the subject of a sentence: `python3 (pid 4242)`, `probably python3 (pid
    /// 4242)`.
    pub fn name(&self, processes: &[Process]) -> String {
        match self {
            Self::Likely(_) => format!("probably {}", self.bare_name(processes)),
            _ => self.bare_name(processes),
        }
    }

    /// The name alone, without how likely it is.
    pub fn bare_name(&self, processes: &[Process]) -> String {
        self.name_by(processes, |pid| name(pid, processes))
    }

    /// The same where a single process is called what `name` makes of its id.
    pub fn name_by(&self, processes: &[Process], name: impl Fn(Pid) -> String) -> String {
        match self {
            Self::Processes(pids) => name_all(pids, processes, name),
            Self::AtLeast(pids) => name_at_least(pids, name),
            Self::Likely(pids) => match &pids[..] {
                [pid] => name(*pid),
                [first, _] => format!("{} or 1 other process", name(*first)),
                [first, others @ ..] => format!("{} or one of {} others", name(*first), others.len()),
                [] => "a process".to_owned(),
            },
            Self::Hidden { user, uid, supervisor } => hidden(user.as_deref(), *uid, supervisor),
            Self::Kernel => "the kernel".to_owned(),
            Self::Nobody => "no process".to_owned(),
            Self::Somebody => "a process".to_owned(),
        }
    }
}

/// What the tables say about a holder that could not be seen.
fn hidden(user: Option<&str>, uid: Option<u32>, supervisor: &Supervisor) -> String {
    let place = match (&supervisor.container, &supervisor.unit) {
        (Some(container), _) => format!(" in {} container {}", container.runtime.into_str(), container.short_id()),
        (None, Some(unit)) => format!(" of {}", unit.name),
        (None, None) => String::new(),
    };
    match (user, uid) {
        (Some(user), _) => format!("a hidden process of user {user}{place}"),
        (None, Some(uid)) => format!("a hidden process of uid {uid}{place}"),
        (None, None) => format!("a hidden process{place}"),
    }
}

/// `a, b and c`.
pub fn enumerate(items: &[String], conjunction: &str) -> String {
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} {conjunction} {last}", others.join(", ")),
    }
}

/// Where binds were tried, each address once: `127.0.0.1 and [::] v6only`.
pub fn name_spots(spots: &[Spot], conjunction: &str) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in spots.iter().map(name_spot) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    enumerate(&names, conjunction)
}

/// `127.0.0.1`, `[::1]`, `[::] v6only`.
pub fn name_spot(spot: &Spot) -> String {
    match (spot.address, spot.v6only) {
        (address @ IpAddr::V6(_), Some(true)) if address.is_unspecified() => format!("[{address}] v6only"),
        (address @ IpAddr::V6(_), _) => format!("[{address}]"),
        (address @ IpAddr::V4(_), _) => address.to_string(),
    }
}

/// `nginx (pid 812)`, or only the pid if the process has ended since.
fn name(pid: Pid, processes: &[Process]) -> String {
    match find_process(processes, pid) {
        Some(process) => format!("{} (pid {pid})", process.name),
        None => format!("pid {pid}"),
    }
}

fn name_all(pids: &[Pid], processes: &[Process], name: impl Fn(Pid) -> String) -> String {
    match pids {
        [] => "a process".to_owned(),
        [pid] => name(*pid),
        [leader, others @ ..] => {
            let descends = |pid: Pid| {
                find_process(processes, pid).is_some_and(|process| {
                    process.ppid == Some(*leader) || process.ancestors.iter().any(|ancestor| ancestor.pid == *leader)
                })
            };
            let leader_name = name(*leader);
            if others.iter().all(|&pid| descends(pid)) {
                let children = if others.len() == 1 { "child" } else { "children" };
                format!("{leader_name} and {} {children}", others.len())
            } else if let [other] = others {
                format!("{leader_name} and {}", name(*other))
            } else {
                format!("{leader_name} and {} more processes", others.len())
            }
        }
    }
}

/// `nginx (pid 813), 2 more processes and perhaps others`.
fn name_at_least(pids: &[Pid], name: impl Fn(Pid) -> String) -> String {
    let mut names: Vec<String> = pids.first().map(|&leader| name(leader)).into_iter().collect();
    match pids {
        [_, other] => names.push(name(*other)),
        [_, others @ ..] if !others.is_empty() => names.push(format!("{} more processes", others.len())),
        _ => {}
    }
    names.push("perhaps others".to_owned());
    enumerate(&names, "and")
}

/// Groups the sockets of `facts` that block the port and pass `filter`.
pub fn groups_where<'a>(facts: &Facts<'a>, filter: impl Fn(&Socket) -> bool) -> Vec<Group<'a>> {
    groups(facts.obstacles().filter(|socket| filter(socket)))
}
