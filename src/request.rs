//! What was asked, in the program's own terms: what the command line means, without any trace of
//! it.

use crate::classify::Class;
use crate::collect::{Detail, Namespaces, Scope};
use crate::model::{Backend, Family, Pid, Protocol};
use crate::target::Target;

/// A question about ports.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice by itself")]
#[derive(Debug, Clone)]
pub struct Request {
    /// The ports asked about; all that are in use, if there are none.
    pub targets: Vec<Target>,
    /// The protocols to look at, in the order of the answer.
    pub protocols: Vec<Protocol>,
    /// Only what this family reaches; both if `None`.
    pub family: Option<Family>,
    /// Whether to show connections too.
    pub connections: bool,
    /// How much to learn about the owners.
    pub detail: Detail,
    /// Whether the first holder of a socket is enough.
    pub quick: bool,
    /// What to read the facts with.
    pub backend: Backend,
    /// Whether to ask bind(2) as well.
    pub probe: bool,
    /// Whether to judge for a server that sets SO_REUSEADDR.
    pub reuse_address: bool,
    /// In which network namespaces to look.
    pub namespaces: Namespaces,
    /// What this program is called by, for remedies that call it again.
    pub program: String,
}

impl Request {
    /// What is to be read of the machine. The tables of protocols that nobody asks about are not.
    pub fn scope(&self) -> Scope {
        let targets = &self.targets;
        let is_asked = |protocol: &Protocol| targets.is_empty() || targets.iter().any(|target| target.wants(*protocol));
        Scope {
            backend: self.backend,
            protocols: self.protocols.iter().copied().filter(is_asked).collect(),
            targets: targets.clone(),
            connections: self.connections,
            detail: self.detail,
            quick: self.quick,
            family: self.family,
            namespaces: self.namespaces.clone(),
        }
    }
}

/// What a listing is narrowed to. Every field that is set must fit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Owned by one of these processes; any if empty.
    pub pids: Vec<Pid>,
    /// Owned by a process with this text in its name or command line, in whatever case.
    pub process: Option<String>,
    /// Created by this user, or owned by a process of this user, by name or id.
    pub user: Option<String>,
    /// On a port of this class.
    pub class: Option<Class>,
    /// Reachable from beyond this machine.
    pub exposed: bool,
}

/// What a listing is ordered by; ties by port and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
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
