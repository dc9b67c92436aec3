//! What network namespaces are called: by `ip netns`, by the container in them, or by their first process.

use std::fs;
use std::path::Path;

use super::{Neighbour, files};
use crate::collect::Detail;
use crate::collect::linux::processes::{self, Users};
use crate::collect::linux::{cgroup, engines};
use crate::model::{Container, NamespaceName, Pid, Process, name_or_stand_in};
use crate::supervisor;

/// Of so many processes of a namespace the container is looked for.
const MOST_ASKED: usize = 8;

/// Gives each of `neighbours` a name. Engines are asked only if a container is in one.
pub fn give_names(proc: &Path, neighbours: &mut [Neighbour]) {
    let mut contained: Vec<(usize, Pid, Container)> = Vec::new();
    for (index, neighbour) in neighbours.iter_mut().enumerate() {
        if let Some(name) = netns(neighbour) {
            neighbour.namespace.name = NamespaceName::Netns(name);
            continue;
        }
        let Some(pid) = neighbour.namespace.pid else { continue };
        // The helper of a rootless engine may have come first.
        let in_container = |&pid: &Pid| Some((pid, container(proc, pid)?));
        match neighbour.pids.iter().take(MOST_ASKED).find_map(in_container) {
            Some((pid, container)) => {
                neighbour.namespace.name = NamespaceName::Container(container.short_id().to_owned());
                contained.push((index, pid, container));
            }
            None => neighbour.namespace.name = NamespaceName::Process(process(proc, pid)),
        }
    }
    let described = described(proc, contained.iter().map(|&(_, pid, _)| pid).collect());
    for (index, pid, container) in contained {
        if let Some(name) = name_of(&described, pid, &container) {
            neighbours[index].namespace.name = NamespaceName::Container(name);
        }
    }
}

/// The processes, with their containers as engines describe them.
pub fn described(proc: &Path, pids: Vec<Pid>) -> Vec<Process> {
    if pids.is_empty() {
        return Vec::new();
    }
    let mut processes = processes::read(proc, pids, Detail::Full, &mut Users::default()).unwrap_or_default();
    engines::assign(proc, &mut [], &mut processes);
    processes
}

/// The name that its engine has for the container of a process.
pub fn name_of(described: &[Process], pid: Pid, container: &Container) -> Option<String> {
    let process = described.iter().find(|process| process.pid == pid)?;
    let known = process.engine_container.as_deref().filter(|known| known.id == container.id)?;
    known.name.clone()
}

/// The container that a process is in, by its cgroup, or else by what started it.
pub fn container(proc: &Path, pid: Pid) -> Option<Container> {
    let by_cgroup = cgroup::of_process(proc, pid).iter().find_map(|path| supervisor::of_cgroup(path).container);
    by_cgroup.or_else(|| engines::container_by_monitor(proc, pid))
}

/// The name of a process, which it can set at will.
pub fn process(proc: &Path, pid: Pid) -> String {
    let name = fs::read(proc.join(pid.to_string()).join("comm")).unwrap_or_default();
    name_or_stand_in(String::from_utf8_lossy(&name).trim_end_matches('\n'), None, &[])
}

/// The name by `ip netns`.
fn netns(neighbour: &Neighbour) -> Option<String> {
    let file = neighbour.files.iter().find(|path| path.parent() == Some(Path::new(files::NETNS)))?;
    Some(file.file_name()?.to_string_lossy().into_owned())
}
