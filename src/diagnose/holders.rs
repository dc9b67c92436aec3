//! Sockets grouped by who holds them, and how to name a holder in a sentence.

use std::net::IpAddr;

use super::Facts;
use crate::model::{Owners, Pid, Process, Socket, State, find_process};
use crate::probe::Spot;

/// Sockets with the same owners.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// Who holds them.
    pub owners: &'a Owners,
    /// The sockets; never empty.
    pub sockets: Vec<&'a Socket>,
}

/// Groups sockets by their owners and by whether they listen, in the order in which these first appear.
///
/// Hidden owners are the same only if user and cgroup are: the tables tell no more.
pub fn groups<'a>(sockets: impl IntoIterator<Item = &'a Socket>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for socket in sockets {
        let same = |group: &&mut Group<'a>| {
            let first = group.sockets[0];
            *group.owners == socket.owners
                && (first.state == State::Bound) == (socket.state == State::Bound)
                && first.state.is_waiting() == socket.state.is_waiting()
                && (first.via, &first.kernel_user, &first.activated_by, &first.forwards_to)
                    == (socket.via, &socket.kernel_user, &socket.activated_by, &socket.forwards_to)
                && (!matches!(socket.owners, Owners::Hidden { .. })
                    || (first.uid, &first.cgroup) == (socket.uid, &socket.cgroup))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.sockets.push(socket),
            None => groups.push(Group { owners: &socket.owners, sockets: vec![socket] }),
        }
    }
    groups
}

impl Group<'_> {
    /// The holder as the subject of a sentence: `python3 (pid 4242)`.
    #[must_use]
    pub fn holder(&self, processes: &[Process]) -> String {
        match self.owners {
            Owners::Known(pids) => name_all(pids, processes),
            Owners::Likely { pids, .. } => match &pids[..] {
                [pid] => format!("probably {}", name(*pid, processes)),
                [first, others @ ..] => {
                    format!("probably {} or one of {} more", name(*first, processes), others.len())
                }
                [] => "a process".to_owned(),
            },
            Owners::Kernel => "the kernel".to_owned(),
            Owners::Hidden { .. } => self.hidden_holder(),
            Owners::None => "no process".to_owned(),
            Owners::NotAsked => "a process".to_owned(),
        }
    }

    /// What the tables tell of a holder that could not be seen.
    fn hidden_holder(&self) -> String {
        let socket = self.sockets[0];
        let supervisor = socket.cgroup.as_deref().map(crate::supervisor::of_cgroup).unwrap_or_default();
        let place = match (supervisor.container, supervisor.unit) {
            (Some(container), _) => {
                format!(" in {} container {}", container.runtime.as_str(), container.short_id())
            }
            (None, Some(unit)) => format!(" of {}", unit.name),
            (None, None) => String::new(),
        };
        match (&socket.user, socket.uid) {
            (Some(user), _) => format!("a hidden process of user {user}{place}"),
            (None, Some(uid)) => format!("a hidden process of uid {uid}{place}"),
            (None, None) => format!("a hidden process{place}"),
        }
    }

    /// What the holder does there, as the rest of a sentence: `listens on 127.0.0.1:80`, `have bound [::1]:80 without
    /// listening`.
    #[must_use]
    pub fn waits_on(&self) -> String {
        let is_several = matches!(self.owners, Owners::Known(pids) if pids.len() > 1);
        let addresses = self.addresses();
        let state = self.sockets[0].state;
        match (state, is_several) {
            (State::Bound, false) => format!("has bound {addresses} without listening"),
            (State::Bound, true) => format!("have bound {addresses} without listening"),
            (State::Unconnected, false) => format!("receives on {addresses}"),
            (State::Unconnected, true) => format!("receive on {addresses}"),
            (_, false) => format!("listens on {addresses}"),
            (_, true) => format!("listen on {addresses}"),
        }
    }

    /// The addresses of the sockets, `127.0.0.1:80 and [::1]:80`.
    #[must_use]
    pub fn addresses(&self) -> String {
        let mut addresses: Vec<String> = Vec::new();
        for socket in &self.sockets {
            let address = socket.local_name();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        enumerate(&addresses, "and")
    }
}

/// `a, b and c`.
fn enumerate(items: &[String], conjunction: &str) -> String {
    match items.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} {conjunction} {last}", others.join(", ")),
    }
}

/// Where binds were tried, each address once: `127.0.0.1 and [::] v6only`.
#[must_use]
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
#[must_use]
pub fn name_spot(spot: &Spot) -> String {
    match (spot.address, spot.v6only) {
        (address @ IpAddr::V6(_), Some(true)) if address.is_unspecified() => format!("[{address}] v6only"),
        (address @ IpAddr::V6(_), _) => format!("[{address}]"),
        (address @ IpAddr::V4(_), _) => address.to_string(),
    }
}

/// `nginx (pid 812)`, or only the pid of a process that has ended since.
fn name(pid: Pid, processes: &[Process]) -> String {
    match find_process(processes, pid) {
        Some(process) => format!("{} (pid {pid})", process.name),
        None => format!("pid {pid}"),
    }
}

fn name_all(pids: &[Pid], processes: &[Process]) -> String {
    match pids {
        [] => "a process".to_owned(),
        [pid] => name(*pid, processes),
        [leader, others @ ..] => {
            let descends = |pid: Pid| {
                find_process(processes, pid).is_some_and(|process| {
                    process.ppid == Some(*leader) || process.ancestors.iter().any(|ancestor| ancestor.pid == *leader)
                })
            };
            let leader_name = name(*leader, processes);
            if others.iter().all(|&pid| descends(pid)) {
                let children = if others.len() == 1 { "child" } else { "children" };
                format!("{leader_name} and {} {children} of it", others.len())
            } else if let [other] = others {
                format!("{leader_name} and {}", name(*other, processes))
            } else {
                format!("{leader_name} and {} more processes", others.len())
            }
        }
    }
}

/// Groups those sockets of `facts` that are in the way, and that `filter` lets through.
pub fn groups_where<'a>(facts: &Facts<'a>, filter: impl Fn(&Socket) -> bool) -> Vec<Group<'a>> {
    groups(facts.obstacles().filter(|socket| filter(socket)))
}
