//! What this project itself holds already is no conflict: its containers, and its units.

use super::wanted::{Kind, Project, Wanted};
use crate::diagnose::Observed;
use crate::model::{EngineContainer, Process, Socket, find_process};

/// Whether all that holds the port belongs to the project that asks for it.
pub fn is_own(wanted: &Wanted, observed: &Observed, processes: &[Process]) -> bool {
    let mut waiting = observed.sockets.iter().filter(|socket| socket.state.is_waiting()).peekable();
    waiting.peek().is_some()
        && waiting.all(|socket| match wanted.kind {
            Kind::Systemd => is_of_unit(socket, processes, &wanted.service),
            _ => container(socket, processes).is_some_and(|container| is_of(container, &wanted.project)),
        })
}

/// The container that a socket is held for, or in.
fn container<'a>(socket: &'a Socket, processes: &'a [Process]) -> Option<&'a EngineContainer> {
    let forwarded = socket.forward.as_deref().and_then(|forward| forward.confirmed_container());
    let mut owners = socket.owners.pids().iter().filter_map(|&pid| find_process(processes, pid));
    forwarded.or_else(|| owners.find_map(|process| process.engine_container.as_deref()))
}

/// Whether docker compose made a container for the project. It goes by the name of the project, so
/// the same name in another directory is another project only if the container says which.
fn is_of(container: &EngineContainer, project: &Project) -> bool {
    let Some(compose) = container.compose() else { return false };
    let directory = container.labels.get("com.docker.compose.project.working_dir");
    let is_file = |file: &str| project.files.iter().any(|own| own.as_os_str() == file);
    let is_here = directory.is_some_and(|directory| project.directory.as_os_str() == &**directory);
    let has_name = project.name.as_deref() == Some(compose.project);
    is_here
        || compose.files.iter().any(|file| is_file(file))
        || (has_name && directory.is_none() && compose.files.is_empty())
}

/// Whether a unit, or the service of a socket unit, has the socket.
fn is_of_unit(socket: &Socket, processes: &[Process], name: &str) -> bool {
    let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| stem.to_owned());
    let is_it = |unit: &crate::model::Unit| stem(&unit.name) == stem(name);
    let mut owners = socket.owners.pids().iter().filter_map(|&pid| find_process(processes, pid));
    socket.activated_by.as_deref().is_some_and(&is_it)
        || owners.any(|process| process.unit.as_ref().is_some_and(&is_it))
}
