//! What the actions need of the operating system. The only file of them that asks which platform this is.

#[cfg(target_os = "linux")]
mod jobs;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as system;

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod unix;

#[cfg(any(target_os = "macos", target_os = "windows"))]
mod polling;

#[cfg(target_os = "windows")]
mod windows;
#[cfg(target_os = "windows")]
use windows as system;

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
mod unsupported;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
use unsupported as system;

pub use system::{Handle, allow_descriptors, ids_are_ours, may_signal, seat, stop_command, wait_for_exits};

use crate::collect;
use crate::model::{Container, Pid, Unit};

/// Where portcheck itself runs: what must never be ended, and whose supervisor is its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Its own id.
    pub own: Pid,
    /// Its parent, the parent of that one, and so on.
    pub ancestors: Vec<Pid>,
    /// The unit of systemd it runs in.
    pub unit: Option<Unit>,
    /// The container it runs in.
    pub container: Option<Container>,
    /// Its effective user id.
    pub euid: Option<u32>,
    /// Those of the processes in question that it may not signal.
    pub untouchable: Vec<Pid>,
    /// Whether the process ids that it reads mean other processes than those that it can signal.
    pub reads_foreign_ids: bool,
}

/// Whether a program of this name is a shell.
#[must_use]
pub fn is_shell(name: &str) -> bool {
    matches!(name, "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "busybox" | "fish" | "csh" | "tcsh")
}

/// Where a process sits in its session (credentials(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Whether it opened the session.
    pub is_leader: bool,
    /// Its process group.
    pub group: Pid,
    /// The process group in the foreground of its terminal; `None` without one.
    pub foreground: Option<Pid>,
}

impl Surroundings {
    /// Looks around, as the user `euid`, with `pids` in question.
    #[must_use]
    pub fn read(euid: Option<u32>, pids: impl Iterator<Item = Pid>) -> Self {
        let own = std::process::id();
        let supervisor = collect::supervisor_of(own);
        let (unit, container) = (supervisor.unit, supervisor.container);
        let reads_foreign_ids = !ids_are_ours();
        let untouchable = pids.filter(|&pid| !may_signal(pid)).collect();
        Self { own, ancestors: collect::ancestors_of(own), unit, container, euid, untouchable, reads_foreign_ids }
    }

    /// Whether `pid` must not be ended: it is portcheck, one of those that it was started from, or the first process.
    #[must_use]
    pub fn protects(&self, pid: Pid) -> bool {
        pid == 1 || pid == self.own || self.ancestors.contains(&pid)
    }
}
