//! What a listing is narrowed to.

use std::net::SocketAddr;

use super::AddressPattern;
use crate::classify::command_line::program;
use crate::classify::{Class, Exposure};
use crate::collect::Detail;
use crate::model::{EngineContainer, Pid, Process, Socket, State, find_process};

/// What a listing is narrowed to. Every field that is set must fit: a list by one of its values.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Owned by one of these processes.
    pub pids: Vec<Pid>,
    /// Owned by a process with one of these texts in its name or command line, in whatever case.
    pub processes: Vec<String>,
    /// Created by one of these users, or owned by a process of theirs, by name or id.
    pub users: Vec<String>,
    /// Owned by, or published for, one of these containers: by name, id or the beginning of the id.
    pub containers: Vec<String>,
    /// Owned by a process of one of these projects: by its name or directory, or by the name of the
    /// compose project of its container.
    pub projects: Vec<String>,
    /// In one of these states.
    pub states: Vec<State>,
    /// With this end at one of these places.
    pub local: Vec<AddressPattern>,
    /// With the other end at one of these places.
    pub peer: Vec<AddressPattern>,
    /// On a port of one of these classes.
    pub classes: Vec<Class>,
    /// Reachable from beyond this machine.
    pub exposed: bool,
}

impl Filter {
    /// Whether a socket fits everything.
    pub fn fits(&self, socket: &Socket, processes: &[Process]) -> bool {
        self.has_state(socket) && self.has_ends(socket.local, socket.remote) && self.has_owner(socket, processes)
    }

    /// Whether only connections can fit.
    pub fn wants_connections(&self) -> bool {
        !self.peer.is_empty() || self.states.iter().any(|state| !state.is_waiting())
    }

    /// How much has to be known of the owners, if `enough` is for all else.
    pub fn detail(&self, enough: Detail) -> Detail {
        if self.projects.is_empty() { enough } else { Detail::Full }
    }

    /// Whether it names holders.
    pub const fn names_holders(&self) -> bool {
        !(self.pids.is_empty()
            && self.processes.is_empty()
            && self.users.is_empty()
            && self.containers.is_empty()
            && self.projects.is_empty())
    }

    /// The options that name holders.
    pub fn holder_options(&self) -> Vec<String> {
        let pids: Vec<String> = self.pids.iter().map(ToString::to_string).collect();
        let options = [
            ("--pid", &pids),
            ("--process", &self.processes),
            ("--user", &self.users),
            ("--container", &self.containers),
            ("--project", &self.projects),
        ];
        let typed = options.into_iter().filter(|(_, values)| !values.is_empty());
        typed.flat_map(|(option, values)| [option.to_owned(), values.join(",")]).collect()
    }

    /// Whether a process may be one that is asked for. Of a process that cannot be inspected, nobody
    /// knows the project, nor for which container it holds a port.
    pub fn may_name(&self, process: &Process) -> bool {
        (self.pids.is_empty() || self.pids.contains(&process.pid))
            && is_any(&self.processes, |name| is_called(process, name))
            && is_any(&self.users, |user| runs_as(process, user))
    }

    /// Whether a socket is in a state that is asked for.
    pub fn has_state(&self, socket: &Socket) -> bool {
        self.states.is_empty() || self.states.contains(&socket.state)
    }

    /// Whether the ends of a socket are where they are asked for.
    pub fn has_ends(&self, local: SocketAddr, remote: Option<SocketAddr>) -> bool {
        let is_in = |places: &[AddressPattern], end: Option<SocketAddr>| {
            places.is_empty() || end.is_some_and(|end| places.iter().any(|place| place.has(end)))
        };
        is_in(&self.local, Some(local)) && is_in(&self.peer, remote)
    }

    /// Whether a socket, wherever its ends are, belongs to whom is asked for.
    pub fn has_owner(&self, socket: &Socket, processes: &[Process]) -> bool {
        let owners = || socket.owners.pids().iter().filter_map(|&pid| find_process(processes, pid));
        let has_pid = self.pids.is_empty() || socket.owners.pids().iter().any(|pid| self.pids.contains(pid));
        has_pid
            && self.has_port(socket)
            && is_any(&self.processes, |name| owners().any(|process| is_called(process, name)))
            && is_any(&self.users, |user| is_users(socket, user) || owners().any(|process| runs_as(process, user)))
            && is_any(&self.containers, |name| is_for(socket, name) || owners().any(|process| is_in(process, name)))
            && is_any(&self.projects, |name| {
                is_of(published_for(socket), name) || owners().any(|it| belongs_to(it, name))
            })
    }

    /// Whether the port of a socket is of a class that is asked for, and exposed if that is asked for.
    pub fn has_port(&self, socket: &Socket) -> bool {
        (self.classes.is_empty() || self.classes.contains(&Class::of(socket.local.port())))
            && (!self.exposed || Exposure::of(socket) > Exposure::Namespace)
    }
}

/// Whether something is one of `wanted`, or nothing particular is.
fn is_any(wanted: &[String], is: impl Fn(&str) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(|it| is(it))
}

/// Whether a process has this text in its name or command line, ignoring case. The name of a script
/// is that of its interpreter, so what the interpreter runs counts too.
fn is_called(process: &Process, text: &str) -> bool {
    let text = text.to_lowercase();
    let has = |name: &str| name.to_lowercase().contains(&text);
    has(&process.name)
        || has(&process.command.join(" "))
        || program::of(&process.command).is_some_and(|program| has(&program))
}

fn is_users(socket: &Socket, user: &str) -> bool {
    is_user(socket.user.as_deref(), socket.uid, user)
}

fn runs_as(process: &Process, user: &str) -> bool {
    is_user(process.user.as_deref(), process.uid, user)
}

fn is_user(name: Option<&str>, uid: Option<u32>, wanted: &str) -> bool {
    name == Some(wanted) || uid.is_some_and(|uid| uid.to_string() == wanted)
}

fn published_for(socket: &Socket) -> Option<&EngineContainer> {
    socket.forward.as_deref().and_then(|forward| forward.container.as_deref())
}

/// Whether a socket is published for a container, or in its network namespace.
fn is_for(socket: &Socket, container: &str) -> bool {
    published_for(socket).is_some_and(|published| published.is_called(container))
        || socket.namespace.as_ref().is_some_and(|namespace| namespace.is_called(container))
}

/// Whether a process runs in a container.
fn is_in(process: &Process, container: &str) -> bool {
    process.engine_container.as_deref().is_some_and(|known| known.is_called(container))
        || process.container.as_ref().is_some_and(|known| known.has_id(container))
}

/// Whether a container is of a compose project.
fn is_of(container: Option<&EngineContainer>, project: &str) -> bool {
    container.and_then(EngineContainer::compose).is_some_and(|compose| compose.project == project)
}

fn belongs_to(process: &Process, project: &str) -> bool {
    let has = |known: &crate::model::Project| known.name == project || known.directory.as_os_str() == project;
    process.project.as_ref().is_some_and(has) || is_of(process.engine_container.as_deref(), project)
}
