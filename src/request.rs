//! What was asked, in the program's own terms: what the command line means, without any trace of it.

use std::cmp::Ordering;

use crate::answer::PortAnswer;
use crate::classify::{Class, Exposure};
use crate::collect::Detail;
use crate::diagnose::find;
use crate::model::{Backend, Family, Owners, Pid, Process, Protocol, Socket};
use crate::target::Target;

/// A question about ports.
#[derive(Debug, Clone)]
pub struct Request {
    /// The question.
    pub question: Question,
    /// The protocols to look at, in the order of the answer.
    pub protocols: Vec<Protocol>,
    /// Only what this family reaches; both if `None`.
    pub family: Option<Family>,
    /// Whether to show connections too.
    pub connections: bool,
    /// How much to learn about the owners.
    pub detail: Detail,
    /// What to read the facts with.
    pub backend: Backend,
    /// What this program is called by, for remedies that call it again.
    pub program: String,
}

/// The two questions.
#[derive(Debug, Clone)]
pub enum Question {
    /// Can these be had, and if not, why?
    Check(Vec<Target>),
    /// What is in use?
    List(Filter, Sort),
}

/// What a listing is narrowed to. Every field that is set must fit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Owned by one of these processes; any if empty.
    pub pids: Vec<Pid>,
    /// Owned by a process with this text in its name, in whatever case.
    pub process: Option<String>,
    /// Created by this user, or owned by a process of this user, by name or id.
    pub user: Option<String>,
    /// On a port of this class.
    pub class: Option<Class>,
    /// Reachable from beyond this machine.
    pub exposed: bool,
}

impl Filter {
    /// Whether `socket` fits.
    #[must_use]
    pub fn fits(&self, socket: &Socket, processes: &[Process]) -> bool {
        let owners = || socket.owners.pids().iter().filter_map(|&pid| find(processes, pid));
        let has_pid = self.pids.is_empty() || socket.owners.pids().iter().any(|pid| self.pids.contains(pid));
        let has_name = self.process.as_ref().is_none_or(|name| {
            let name = name.to_lowercase();
            owners().any(|process| process.name.to_lowercase().contains(&name))
        });
        let is_users = self.user.as_ref().is_none_or(|wanted| {
            let is = |name: &Option<String>, uid: Option<u32>| {
                name.as_ref() == Some(wanted) || uid.is_some_and(|uid| uid.to_string() == *wanted)
            };
            is(&socket.user, socket.uid) || owners().any(|process| is(&process.user, process.uid))
        });
        let has_class = self.class.is_none_or(|class| Class::of(socket.local.port()) == class);
        let is_exposed = !self.exposed || Exposure::of(socket) != Exposure::Loopback;
        has_pid && has_name && is_users && has_class && is_exposed
    }
}

/// What a listing is ordered by; ties by port and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// The port number.
    #[default]
    Port,
    /// TCP before UDP.
    Protocol,
    /// The name of the service.
    Service,
    /// The lowest address.
    Address,
    /// What can be reached from the farthest first.
    Exposure,
    /// The name of the first owner; unknown ones last.
    Process,
    /// The pid of the first owner; unknown ones last.
    Pid,
    /// The name of the user; unknown ones last.
    User,
}

impl Sort {
    /// Compares two lines of a listing.
    #[must_use]
    pub fn compare(self, a: &PortAnswer, b: &PortAnswer, processes: &[Process]) -> Ordering {
        let by = match self {
            Self::Port => Ordering::Equal,
            Self::Protocol => a.protocol.cmp(&b.protocol),
            Self::Service => unknown_last(service(a), service(b)),
            Self::Address => lowest_address(a).cmp(&lowest_address(b)),
            Self::Exposure => widest(b).cmp(&widest(a)),
            Self::Process => unknown_last(first_process(a, processes), first_process(b, processes)),
            Self::Pid => unknown_last(first_pid(a), first_pid(b)),
            Self::User => unknown_last(user(a), user(b)),
        };
        by.then_with(|| (a.port, a.protocol).cmp(&(b.port, b.protocol)))
    }
}

fn unknown_last<T: Ord>(a: Option<T>, b: Option<T>) -> Ordering {
    (a.is_none(), a).cmp(&(b.is_none(), b))
}

fn service(answer: &PortAnswer) -> Option<&str> {
    answer.service.as_ref().and_then(|service| service.name.as_deref())
}

fn lowest_address(answer: &PortAnswer) -> Option<std::net::IpAddr> {
    answer.sockets.iter().map(|socket| socket.local.ip()).min()
}

fn widest(answer: &PortAnswer) -> Option<Exposure> {
    answer.sockets.iter().map(Exposure::of).max()
}

fn first_pid(answer: &PortAnswer) -> Option<Pid> {
    let known = |socket: &Socket| match &socket.owners {
        Owners::Known(pids) | Owners::Likely { pids, .. } => pids.first().copied(),
        _ => None,
    };
    answer.sockets.iter().find_map(known)
}

fn first_process(answer: &PortAnswer, processes: &[Process]) -> Option<String> {
    find(processes, first_pid(answer)?).map(|process| process.name.to_lowercase())
}

fn user(answer: &PortAnswer) -> Option<&str> {
    answer.sockets.iter().find_map(|socket| socket.user.as_deref())
}
