//! Decides who holds each socket, and how certain that is: by the sweep where processes could be
//! inspected, else by the socket's user and cgroup.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::CWD;

use super::Search;
use super::calls::Call;
use super::cgroup::Hierarchy;
use super::elsewhere::{Carriers, Elsewhere};
use super::engines::proxies::{self, Proxy};
use super::kernel_sockets::KernelPort;
use super::namespaces::{self, Home};
use super::owners::Sweep;
use super::partial::Others;
use super::search::may_be_ours;
use super::sock_diag::Entry;
use crate::model::{KernelUser, Owners, Pid, Socket, Via};

/// Who has a socket, and by what.
#[derive(Debug, PartialEq, Eq)]
pub struct Attributed {
    /// See [`Socket::owners`](crate::model::Socket::owners).
    pub owners: Owners,
    /// See [`Socket::via`](crate::model::Socket::via).
    pub via: Via,
    /// See [`Socket::kernel_user`](crate::model::Socket::kernel_user).
    pub kernel_user: Option<KernelUser>,
}

impl From<Owners> for Attributed {
    fn from(owners: Owners) -> Self {
        Self { owners, via: Via::Descriptor, kernel_user: None }
    }
}

/// Everything that the decisions need.
#[derive(Debug)]
pub struct Attribution<'a> {
    proc: &'a Path,
    sweep: &'a Sweep,
    /// Whether no process could be inspected.
    is_blind: bool,
    /// Whether every process can be seen.
    sees_all: bool,
    hierarchy: Option<&'a Hierarchy>,
    elsewhere: Option<&'a Elsewhere>,
    kernel_ports: &'a [KernelPort],
    others: Others<'a>,
    /// The processes of each cgroup that could have a socket of each user, the most likely first.
    candidates: HashMap<(String, Option<u32>), Vec<Pid>>,
    /// The processes that could not be inspected, by user. Read only when needed.
    unreadable_by_user: Option<HashMap<u32, Vec<Pid>>>,
    /// The processes of docker-proxy among those. Read only when needed.
    proxies: Option<Vec<Proxy>>,
}

impl<'a> Attribution<'a> {
    /// Takes what a search found.
    pub fn new(proc: &'a Path, search: &'a Search, hierarchy: Option<&'a Hierarchy>) -> Self {
        Self {
            proc,
            sweep: &search.sweep,
            is_blind: search.failure.is_some(),
            elsewhere: search.elsewhere.as_ref(),
            kernel_ports: &search.kernel_ports,
            sees_all: search.failure.is_none() && search.sees_every_namespace && search.sweep.is_complete(),
            hierarchy,
            others: Others::new(proc, search),
            candidates: HashMap::new(),
            unreadable_by_user: None,
            proxies: None,
        }
    }

    /// Who holds the socket `entry`, created in `cgroup`.
    pub fn owners_of(&mut self, entry: &Entry, cgroup: Option<&str>) -> Attributed {
        let mut attributed = self.attribute(entry, cgroup);
        self.leave_out_outsiders(&mut attributed, &entry.socket);
        if let Owners::Known(pids) = &mut attributed.owners
            && let Some(reason) = self.others.besides(pids, &entry.socket, cgroup)
        {
            attributed.owners = Owners::Partial { pids: std::mem::take(pids), reason };
        }
        attributed
    }

    /// Leaves out likely owners that are in another network namespace than the socket.
    fn leave_out_outsiders(&self, attributed: &mut Attributed, socket: &Socket) {
        let (Owners::Likely { pids, .. }, Some(_)) = (&mut attributed.owners, &socket.namespace) else {
            return;
        };
        let home = Home::of(self.proc, socket);
        pids.retain(|&pid| home.may_be(namespaces::inode_of(CWD, self.proc.join(pid.to_string()).display()).ok()));
        if pids.is_empty() {
            *attributed = Owners::Hidden { reason: self.why_hidden() }.into();
        }
    }

    fn attribute(&mut self, entry: &Entry, cgroup: Option<&str>) -> Attributed {
        let Some(inode) = entry.socket.inode else {
            // A socket of the kernel has an inode, too. This one is between its close and its end.
            let reason = "it has no file: it is being closed".to_owned();
            let is_closing = entry.socket.state.is_waiting();
            return if is_closing { Owners::Hidden { reason } } else { Owners::None }.into();
        };
        let known: Vec<Pid> = self.sweep.owners_of(inode).collect();
        if !known.is_empty() {
            return Owners::Known(known).into();
        }
        if let Some(port) = self.kernel_ports.iter().find(|port| port.is(&entry.socket)) {
            return Attributed { kernel_user: Some(port.user.clone()), ..Owners::Kernel.into() };
        }
        if let Some(attributed) = self.owners_elsewhere(inode, &entry.socket, cgroup) {
            return attributed;
        }
        if self.sees_all && self.elsewhere.is_some() && !self.is_a_call_unread() {
            return Owners::Kernel.into();
        }
        if let Some(owners) = self.owners_by_proxy(&entry.socket) {
            return owners.into();
        }
        match cgroup {
            // The root cgroup has every process that nobody put elsewhere.
            Some(path) if path != "/" => self.owners_by_cgroup(entry.socket.uid, path),
            _ => self.owner_by_user(entry.socket.uid),
        }
        .into()
    }

    /// The only process of the socket's user that could not be inspected, for sockets whose cgroup
    /// tells nothing. Nothing follows if that user is root: the kernel's sockets belong to root,
    /// and so do those of servers that change their user after bind.
    fn owner_by_user(&mut self, uid: Option<u32>) -> Owners {
        let hidden = Owners::Hidden { reason: self.why_hidden() };
        let Some(uid) = uid.filter(|&uid| uid != 0) else { return hidden };
        let unreadable = self.unreadable_by_user.get_or_insert_with(|| by_user(self.proc, &self.sweep.unreadable));
        match unreadable.get(&uid).map(Vec::as_slice) {
            Some(&[pid]) if !self.sweep.others_invisible => Owners::Likely {
                pids: vec![pid],
                reason: "the only process of the socket's user that could not be inspected".to_owned(),
            },
            _ => hidden,
        }
    }

    /// The docker-proxy whose arguments name the socket's address and port.
    fn owners_by_proxy(&mut self, socket: &Socket) -> Option<Owners> {
        if socket.uid != Some(0) || !socket.state.is_waiting() {
            return None;
        }
        let proxies = self.proxies.get_or_insert_with(|| proxies::find(self.proc, &self.sweep.unreadable));
        let proxy = proxies.iter().find(|proxy| proxy.claims(socket))?;
        Some(Owners::Likely { pids: vec![proxy.pid], reason: "its arguments name this address and port".to_owned() })
    }

    /// Who has the socket without a descriptor of the main thread, or could have it so.
    fn owners_elsewhere(&self, inode: u64, socket: &Socket, cgroup: Option<&str>) -> Option<Attributed> {
        let elsewhere = self.elsewhere?;
        if let Some(holding) = elsewhere.found.get(&inode) {
            return Some(Attributed { via: holding.via, ..Owners::Known(holding.pids.clone()).into() });
        }
        // The processes of others were not searched.
        if !may_be_ours(socket) {
            return None;
        }
        let members = self.hierarchy.zip(cgroup.filter(|&path| path != "/"));
        let members = members.map(|(hierarchy, path)| hierarchy.members(path));
        let home = Home::of(self.proc, socket);
        if let Some(attributed) = self.in_calls(&elsewhere.calls.on_closed(socket, home, members.as_deref())) {
            return Some(attributed);
        }
        let mut carriers = elsewhere.carriers(home, Carriers::Near);
        if carriers.is_empty() {
            // A thread in poll is no evidence where a process could not be inspected.
            if !self.sees_all && members.is_none() {
                return None;
            }
            let calling = self.in_calls(&elsewhere.calls.possible(socket, home, members.as_deref()));
            carriers = elsewhere.carriers(home, Carriers::All);
            if calling.is_some() || carriers.is_empty() {
                return calling;
            }
        }
        let unseen = self.nobody_seen();
        let reason =
            format!("{unseen} has a descriptor of it, and descriptors wait in the queue of a unix socket there");
        let owners = Owners::Likely { pids: carriers, reason };
        Some(Attributed { via: Via::UnixQueue, ..owners.into() })
    }

    /// The processes of threads that may hold the socket by system calls in progress.
    fn in_calls(&self, calls: &[&Call]) -> Option<Attributed> {
        let first = calls.first()?;
        let mut pids: Vec<Pid> = Vec::new();
        for call in calls {
            if !pids.contains(&call.pid) {
                pids.push(call.pid);
            }
        }
        let unseen = self.nobody_seen();
        let described: Vec<String> = calls.iter().map(|call| call.describe()).collect();
        let reason = format!(
            "{unseen} has a descriptor of it, and a system call in progress may hold it: {}",
            described.join("; ")
        );
        Some(Attributed { via: Via::SystemCall(first.thread), ..Owners::Likely { pids, reason }.into() })
    }

    fn nobody_seen(&self) -> &'static str {
        if self.sees_all { "no process" } else { "no process that could be inspected" }
    }

    /// Whether a process was inspected, except for the system calls of its threads.
    fn is_a_call_unread(&self) -> bool {
        let unread = self.elsewhere.map(|elsewhere| &elsewhere.calls.unread);
        unread.into_iter().flatten().any(|pid| self.sweep.unreadable.binary_search(pid).is_err())
    }

    fn owners_by_cgroup(&mut self, uid: Option<u32>, path: &str) -> Owners {
        let candidates = match self.candidates.get(&(path.to_owned(), uid)) {
            Some(candidates) => candidates,
            None => {
                let candidates = self.candidates_in(path, uid);
                self.candidates.entry((path.to_owned(), uid)).or_insert(candidates)
            }
        };
        match &candidates[..] {
            [] => Owners::Hidden { reason: self.why_hidden() },
            [pid] => Owners::Likely {
                pids: vec![*pid],
                reason: format!("the only process that fits in the cgroup where the socket was created, {path}"),
            },
            several => Owners::Likely {
                pids: several.to_vec(),
                reason: format!(
                    "among the {} processes that fit in the cgroup where the socket was created, {path}",
                    several.len()
                ),
            },
        }
    }

    /// The processes of a cgroup that could not be inspected, as the others do not have the socket.
    /// If some of them run as the socket's user, only these. A parent comes before its children,
    /// which have the socket from it.
    fn candidates_in(&self, path: &str, uid: Option<u32>) -> Vec<Pid> {
        let Some(hierarchy) = self.hierarchy else { return Vec::new() };
        let mut candidates: Vec<Candidate> = hierarchy
            .members(path)
            .into_iter()
            .filter(|pid| self.sweep.others_invisible || self.sweep.unreadable.binary_search(pid).is_ok())
            .filter_map(|pid| Candidate::read(self.proc, pid))
            .collect();
        let is_users = |candidate: &Candidate| uid.is_some() && candidate.uid == uid;
        // A server that binds as root and then becomes another user leaves no process of the
        // socket's user.
        if candidates.iter().any(is_users) {
            candidates.retain(is_users);
        }
        let pids: Vec<Pid> = candidates.iter().map(|candidate| candidate.pid).collect();
        candidates.sort_by_key(|candidate| (pids.contains(&candidate.parent), candidate.pid));
        candidates.into_iter().map(|candidate| candidate.pid).collect()
    }

    fn why_hidden(&self) -> String {
        if self.is_blind {
            "no process can be inspected here"
        } else if self.sweep.others_invisible {
            "/proc shows only your own processes here (hidepid)"
        } else if self.is_a_call_unread() {
            "a system call in progress may hold it, and not every thread could be inspected"
        } else if self.sweep.unreadable.is_empty() {
            "no process of this pid namespace has it; one outside of it may"
        } else {
            "no process that could be inspected has this socket"
        }
        .to_owned()
    }
}

/// Processes by their effective user. That user owns the directory /proc/PID, even if everything
/// below it is hidden from others (`task_dump_owner`, fs/proc/base.c). For thousands of processes
/// this takes a small part of the time that reading `status` takes.
fn by_user(proc: &Path, pids: &[Pid]) -> HashMap<u32, Vec<Pid>> {
    let mut by_user: HashMap<u32, Vec<Pid>> = HashMap::new();
    for &pid in pids {
        if let Ok(directory) = fs::metadata(proc.join(pid.to_string())) {
            by_user.entry(directory.uid()).or_default().push(pid);
        }
    }
    by_user
}

#[derive(Debug)]
struct Candidate {
    pid: Pid,
    parent: Pid,
    uid: Option<u32>,
}

impl Candidate {
    /// Reads /proc/PID/status (proc_pid_status(5)), which anyone may read. `None` if the process
    /// has ended.
    fn read(proc: &Path, pid: Pid) -> Option<Self> {
        let status = fs::read_to_string(proc.join(pid.to_string()).join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        // Uid: real, effective, saved, file system.
        let uid = field("Uid:").and_then(|ids| ids.split_ascii_whitespace().nth(1)).and_then(|uid| uid.parse().ok());
        Some(Self { pid, parent: field("PPid:").and_then(|pid| pid.parse().ok()).unwrap_or(0), uid })
    }
}
