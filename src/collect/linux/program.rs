//! What the kernel vouches for of a process, whatever it calls itself: its program file, its user and its parent.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::stat::Stat;
use crate::model::{Forwarder, Pid, Process};

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
    /// Reads /proc/PID. `None` if the process has ended, or its program may not be seen.
    pub fn read(proc: &Path, pid: Pid) -> Option<Self> {
        let directory = proc.join(pid.to_string());
        let link = fs::read_link(directory.join("exe")).ok()?;
        let name = link.file_name()?.to_string_lossy();
        // So the kernel says that the file was replaced since, by an upgrade.
        let name = name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned();
        // The effective user owns /proc/PID itself, whatever below it is kept from others (`task_dump_owner`, fs/proc/base.c).
        Some(Self { name, uid: fs::metadata(&directory).ok()?.uid(), parent: Stat::read(&directory)?.parent })
    }
}

/// What `process` is a forwarder for, by what the kernel vouches for.
///
/// The name of a process counts only for root's, whose program others may not see: nobody else can give one to them.
/// docker-proxy is one only below its engine, of the same user: anybody may run the program.
pub fn forwarder(proc: &Path, process: &Process) -> Option<Forwarder> {
    let forwarder = process.forwarder?;
    let program = Program::read(proc, process.pid);
    if program.is_none() && process.uid != Some(0) && process.pid != 1 {
        return None;
    }
    if forwarder != Forwarder::Proxy {
        return Some(forwarder);
    }
    let program = program?;
    let engine = Program::read(proc, program.parent)?;
    (engine.name == "dockerd" && engine.uid == program.uid).then_some(forwarder)
}
