//! Facts about a process that the kernel vouches for, whatever the process calls itself: its
//! program file, its user and its parent.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::model::{Forwarder, Pid, Process};
use crate::platform::proc::Stat;

/// A process as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The name of its program file.
    pub name: String,
    /// Its effective user id.
    pub uid: u32,
    /// Its parent.
    pub parent: Pid,
}

impl Program {
    /// Reads /proc/PID. `None` if the process has ended, or its program cannot be seen.
    pub fn read(proc: &Path, pid: Pid) -> Option<Self> {
        let directory = proc.join(pid.to_string());
        let link = fs::read_link(directory.join("exe")).ok()?;
        let name = link.file_name()?.to_string_lossy();
        // The kernel marks a file that was replaced since, as by an upgrade.
        let name = name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned();
        // The effective user owns the directory /proc/PID, even if everything below it is hidden
        // from others (`task_dump_owner`, fs/proc/base.c).
        Some(Self { name, uid: fs::metadata(&directory).ok()?.uid(), parent: Stat::read(&directory)?.parent })
    }
}

/// The parent of a process; `None` if it has ended.
pub fn parent_of(proc: &Path, pid: Pid) -> Option<Pid> {
    Some(Stat::read(&proc.join(pid.to_string()))?.parent)
}

/// What `process` forwards for, by facts that the kernel vouches for.
///
/// The name of a process counts only if root runs it and its program cannot be seen: nobody else
/// can give such a name to a process of root. docker-proxy counts only below its engine, of the
/// same user, as anybody may run that program.
pub fn forwarder(proc: &Path, process: &Process) -> Option<Forwarder> {
    let forwarder = process.forwarder?;
    let program = Program::read(proc, process.pid);
    if program.is_none() && process.uid != Some(0) && process.pid != 1 {
        return None;
    }
    if forwarder != Forwarder::Proxy {
        return Some(forwarder);
    }
    let Some(program) = program else {
        return Some(forwarder);
    };
    let engine = Program::read(proc, program.parent)?;
    (engine.name == "dockerd" && engine.uid == program.uid).then_some(forwarder)
}
