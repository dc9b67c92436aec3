//! What a finding says: who does what to what. Renderers make sentences of it.

use super::{Facts, Group};
use crate::model::{Owners, Pid, Protocol};
use crate::supervisor::{self, Supervisor};

/// A sentence in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Who or what it is about.
    pub subject: Subject,
    /// What that does.
    pub verb: Verb,
    /// The rest of the sentence.
    pub object: Vec<Phrase>,
}

/// Who or what a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Whoever holds the port.
    Holder(Holder),
    /// A port as a whole: `80/tcp`.
    Port(u16, Protocol),
    /// Sockets, by their addresses.
    Sockets(Vec<String>),
    /// Any other singular: `localhost`.
    Thing(String),
    /// Any other plural: `browsers`.
    Things(String),
}

/// A verb in singular and plural: `listens on`, `listen on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verb(pub &'static str, pub &'static str);

/// `is`, `are`.
pub const IS: Verb = Verb("is", "are");

/// `listens on`, `listen on`.
pub const LISTENS: Verb = Verb("listens on", "listen on");

/// `receives on`, `receive on`.
pub const RECEIVES: Verb = Verb("receives on", "receive on");

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phrase {
    /// Words.
    Text(String),
    /// The name of a holder.
    Holder(Holder),
    /// The port that is judged, which a report whose first line names it calls `it`.
    Port(u16, Protocol),
}

/// Who holds sockets, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// These processes, the leader first.
    Processes(Vec<Pid>),
    /// These processes, the leader first, and perhaps others.
    AtLeast(Vec<Pid>),
    /// Probably one of these, the likeliest first.
    Likely(Vec<Pid>),
    /// A process that cannot be seen, with what its socket says about it.
    Hidden {
        /// The name of its user.
        user: Option<String>,
        /// The id of its user.
        uid: Option<u32>,
        /// Its unit or container.
        supervisor: Box<Supervisor>,
    },
    /// The kernel.
    Kernel,
    /// No process.
    Nobody,
    /// Some process: which one was not asked.
    Somebody,
}

impl Statement {
    /// A sentence whose object is one phrase.
    pub fn new(subject: impl Into<Subject>, verb: Verb, object: impl Into<Phrase>) -> Self {
        Self { subject: subject.into(), verb, object: vec![object.into()] }
    }

    /// The same with more of the sentence.
    pub fn and(mut self, phrase: impl Into<Phrase>) -> Self {
        self.object.push(phrase.into());
        self
    }
}

impl Phrase {
    /// The port that is judged.
    pub fn port(facts: &Facts<'_>) -> Self {
        Self::Port(facts.observed.port, facts.observed.protocol)
    }
}

impl Subject {
    /// Whether it is plural, so that the verb agrees.
    pub fn is_plural(&self) -> bool {
        match self {
            Self::Holder(Holder::Processes(pids)) => pids.len() > 1,
            Self::Sockets(addresses) => addresses.len() > 1,
            Self::Holder(Holder::AtLeast(_)) | Self::Things(_) => true,
            Self::Holder(_) | Self::Port(..) | Self::Thing(_) => false,
        }
    }

    /// The port that is judged.
    pub fn port(facts: &Facts<'_>) -> Self {
        Self::Port(facts.observed.port, facts.observed.protocol)
    }

    /// The sockets of a group.
    pub fn sockets(group: &Group<'_>) -> Self {
        Self::Sockets(group.local_names())
    }
}

impl From<&Group<'_>> for Subject {
    fn from(group: &Group<'_>) -> Self {
        Self::Holder(group.into())
    }
}

impl From<&Group<'_>> for Holder {
    fn from(group: &Group<'_>) -> Self {
        match &*group.owners {
            Owners::Known(pids) => Self::Processes(pids.clone()),
            Owners::Partial { pids, .. } => Self::AtLeast(pids.clone()),
            Owners::Likely { pids, .. } => Self::Likely(pids.clone()),
            Owners::Kernel => Self::Kernel,
            Owners::Hidden { .. } => {
                let socket = group.sockets[0];
                let supervisor = socket.cgroup.as_deref().map(supervisor::of_cgroup).unwrap_or_default();
                Self::Hidden {
                    user: socket.user.as_deref().map(str::to_owned),
                    uid: socket.uid,
                    supervisor: Box::new(supervisor),
                }
            }
            Owners::None => Self::Nobody,
            Owners::NotAsked => Self::Somebody,
        }
    }
}

impl From<Holder> for Phrase {
    fn from(holder: Holder) -> Self {
        Self::Holder(holder)
    }
}

impl From<String> for Phrase {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Phrase {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
