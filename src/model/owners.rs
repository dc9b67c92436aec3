//! Who has a socket open, and how sure that is.

use super::Pid;

/// Who has a socket open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// These processes have a descriptor of it: all that were seen. The leader of a fork group
    /// comes first.
    Known(Vec<Pid>),
    /// These have a descriptor of it, as [`Self::Known`], and others may that could not be
    /// inspected.
    Partial {
        /// Never empty.
        pids: Vec<Pid>,
        /// Who may, and why.
        reason: String,
    },
    /// Deduced, not seen. The most likely comes first.
    Likely {
        /// Never empty.
        pids: Vec<Pid>,
        /// How they were deduced.
        reason: String,
    },
    /// The kernel itself: everything could be looked at, and no process has it.
    Kernel,
    /// Somebody who could not be seen.
    Hidden {
        /// Why not, and what would show it.
        reason: String,
    },
    /// No process by nature: a remnant, or a connection that nobody has accepted yet.
    None,
    /// Nobody asked: the owners were not looked for.
    NotAsked,
}

impl Owners {
    /// The processes named, seen or deduced.
    pub fn pids(&self) -> &[Pid] {
        match self {
            Self::Known(pids) | Self::Partial { pids, .. } | Self::Likely { pids, .. } => pids,
            Self::Kernel | Self::Hidden { .. } | Self::None | Self::NotAsked => &[],
        }
    }

    /// The processes that were seen to have it, if any was.
    pub fn seen(&self) -> Option<&[Pid]> {
        match self {
            Self::Known(pids) | Self::Partial { pids, .. } => Some(pids),
            _ => None,
        }
    }

    /// Both as one. `None` if one is less sure than the other.
    pub fn union(&self, other: &Self) -> Option<Self> {
        let pids = |own: &[Pid], others: &[Pid]| {
            let new = others.iter().filter(|pid| !own.contains(pid));
            own.iter().chain(new).copied().collect()
        };
        match (self, other) {
            (own, other) if own == other => Some(own.clone()),
            (Self::Known(own), Self::Known(others)) => Some(Self::Known(pids(own, others))),
            (Self::Likely { pids: own, reason }, Self::Likely { pids: others, .. }) => {
                Some(Self::Likely { pids: pids(own, others), reason: reason.clone() })
            }
            _ => None,
        }
    }

    /// Whether somebody holds it, or may hold it, who was not seen to have the socket.
    pub const fn is_unsure(&self) -> bool {
        matches!(self, Self::Hidden { .. } | Self::Likely { .. } | Self::Partial { .. })
    }

    /// How sure it is, as every output format names it. Owners that were not asked for count as
    /// hidden.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Known(_) => "known",
            Self::Partial { .. } => "partial",
            Self::Likely { .. } => "likely",
            Self::Kernel => "kernel",
            Self::Hidden { .. } | Self::NotAsked => "hidden",
            Self::None => "none",
        }
    }
}

/// How the owners have a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Via {
    /// A descriptor in the table of the process. Every tool looks there.
    Descriptor,
    /// A descriptor in the table of this thread, which no longer shares that of its process
    /// (`CLONE_FILES`, clone(2); or the main thread has ended).
    Thread(Pid),
    /// A file registered with an io_uring (io_uring_register(2)); the descriptor may be closed.
    IoUring,
    /// A message on its way through a unix socket (`SCM_RIGHTS`, unix(7)): nobody has received it
    /// yet.
    UnixQueue,
    /// A system call that this thread is in; the descriptor is closed.
    SystemCall(Pid),
}
