//! Containers of Podman, which has no engine that runs: conmon, which it leaves with each container,
//! names the container by its arguments. Published ports are held by conmon itself for root, and by
//! rootlessport or pasta for other users.

use std::env;
use std::path::Path;

use super::super::program::{Program, parent_of};
use super::ask::arguments;
use super::{because, for_container, is_id, option, untold};
use crate::model::{Engine, EngineContainer, Forward, Pid, Runtime};

/// A port of the container that conmon watches, by its arguments.
pub fn behind_conmon(conmon: &Program, arguments: &[String]) -> Forward {
    match container(conmon, arguments) {
        Some(container) => published_for(container, conmon),
        None => untold(Runtime::Podman, because("its arguments name no container".to_owned())),
    }
}

/// A port of the container whose processes are `inside`, held by the helper of a user's own Podman.
/// `None` if the helper serves something else.
pub fn behind_helper(proc: &Path, helper: &Program, inside: &[Pid]) -> Option<Forward> {
    let mut found: Vec<(Program, EngineContainer)> = Vec::new();
    for &pid in inside {
        let Some(conmon) = parent_of(proc, pid).and_then(|pid| Some((pid, Program::read(proc, pid)?))) else {
            continue;
        };
        if conmon.1.name == "conmon" && conmon.1.uid == helper.uid {
            let container = container(&conmon.1, &arguments(proc, conmon.0));
            found.extend(container.map(|container| (conmon.1, container)));
        }
    }
    found.dedup_by(|a, b| a.1.id == b.1.id);
    match found.len() {
        0 => None,
        1 => found.pop().map(|(conmon, container)| published_for(container, &conmon)),
        _ => {
            let names: Vec<&str> = found.iter().map(|(_, container)| container.title()).collect();
            let reason = format!("these containers share its network: {}", names.join(", "));
            Some(untold(Runtime::Podman, because(reason)))
        }
    }
}

/// The container that conmon watches for us, by its arguments.
pub fn own_container(conmon: &Program, arguments: &[String]) -> Option<EngineContainer> {
    container(conmon, arguments).filter(|_| is_ours(conmon))
}

/// Another user's word is not taken for more than a name.
fn published_for(container: EngineContainer, conmon: &Program) -> Forward {
    if is_ours(conmon) {
        return for_container(Runtime::Podman, container, None);
    }
    let reason = format!("only its user (uid {}) can ask Podman about it", conmon.uid);
    Forward { container: Some(Box::new(container)), ..untold(Runtime::Podman, because(reason)) }
}

fn is_ours(conmon: &Program) -> bool {
    conmon.uid == rustix::process::geteuid().as_raw()
}

fn container(conmon: &Program, arguments: &[String]) -> Option<EngineContainer> {
    let id = option(arguments, "-c").filter(|id| is_id(id))?;
    let is_led = || ["CONTAINER_HOST", "CONTAINER_CONNECTION"].iter().any(|name| env::var_os(name).is_some());
    let engine = Engine { runtime: Runtime::Podman, socket: None, is_default: is_ours(conmon) && !is_led() };
    let name = option(arguments, "-n").map(str::to_owned);
    Some(EngineContainer { name, ..EngineContainer::by_id(Some(engine), Runtime::Podman, id.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conmon_vouches_for_its_container_only_to_its_own_user() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let id = "8f".repeat(32);
        let arguments = words(&format!("/usr/bin/conmon --api-version 1 -c {id} -u {id} -r /usr/bin/runc -n web"));
        let euid = rustix::process::geteuid().as_raw();
        let program = |uid| Program { name: "conmon".to_owned(), uid, parent: 1 };
        let found = own_container(&program(euid), &arguments).unwrap();
        assert_eq!((&*found.id, found.title(), found.engine.runtime), (&*id, "web", Runtime::Podman));
        assert_eq!(own_container(&program(euid + 1), &arguments), None);
        assert_eq!(own_container(&program(euid), &words("conmon -c --version")), None);
        assert!(behind_conmon(&program(euid), &arguments).confirmed_container().is_some());
        let others = behind_conmon(&program(euid + 1), &arguments);
        assert_eq!(others.container.as_ref().unwrap().title(), "web");
        assert_eq!(others.confirmed_container(), None);
    }
}
