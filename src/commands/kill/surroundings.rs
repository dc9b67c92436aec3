//! Where portcheck itself runs, and what is never ended with a holder.

use crate::collect;
use crate::model::{Container, Pid, Unit};
use crate::platform::process::{ids_are_ours, may_signal};

/// Where portcheck itself runs: what must never be ended, and what its own supervisor is.
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
    /// The processes in question that it may not signal.
    pub untouchable: Vec<Pid>,
    /// Whether the ids in /proc stand for other processes than those that it can signal.
    pub reads_foreign_ids: bool,
}

impl Surroundings {
    /// Looks around, as the user `euid`, with the processes `pids` in question.
    pub fn read(euid: Option<u32>, pids: impl Iterator<Item = Pid>) -> Self {
        let own = std::process::id();
        let supervisor = collect::supervisor_of(own);
        let (unit, container) = (supervisor.unit, supervisor.container);
        let reads_foreign_ids = !ids_are_ours();
        let untouchable = pids.filter(|&pid| !may_signal(pid)).collect();
        Self { own, ancestors: collect::ancestors_of(own), unit, container, euid, untouchable, reads_foreign_ids }
    }

    /// Whether `pid` must not be ended: portcheck, one of its ancestors, or the first process.
    pub fn protects(&self, pid: Pid) -> bool {
        pid == 1 || pid == self.own || self.ancestors.contains(&pid)
    }
}
