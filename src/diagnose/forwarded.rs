//! How to free a port that a forwarder holds. The forwarder itself is never ended.

use std::iter;

use super::{Facts, Group, Remedy, RemedyKind, published, remedy};
use crate::model::{Engine, EngineContainer, Forward, Forwarder, Process, Runtime};
use crate::supervisor;
use crate::supervisor::command::{self, Caller};

/// What frees the one port that `group` holds, and leaves everything else that its forwarder
/// `process` does.
pub fn free_port(facts: &Facts<'_>, group: &Group<'_>, process: &Process, forwarder: Forwarder) -> Vec<Remedy> {
    let forward = group.sockets[0].forward.as_deref();
    let is_others = |uid: &u32| *uid != 0 && Some(*uid) != facts.host.euid;
    // No engine of another user answers to us.
    if let (Forwarder::Engine(runtime), Some(user)) = (forwarder, process.uid.filter(is_others)) {
        let container = forward.and_then(|forward| forward.container.as_ref());
        let name = container.map(|container| format!(" {}", container.title())).unwrap_or_default();
        let text = format!("stop its container{name} with {} as its user (uid {user})", runtime.into_str());
        return vec![Remedy::advice(RemedyKind::StopContainer, text)];
    }
    if let Some(container) = forward.and_then(|forward| forward.container.as_deref()) {
        let mut remedy = stop_known(container);
        // Who may not ask the engine for its containers may not stop one either.
        if forward.and_then(Forward::confirmed_container).is_none() && facts.host.euid != Some(0) {
            remedy.command = remedy.command.map(|command| remedy::as_root(command).collect());
        }
        return vec![remedy];
    }
    let engine = forward.and_then(|forward| forward.untold.as_ref()?.engine.as_ref());
    match forwarder {
        Forwarder::Proxy => vec![find_container(Runtime::Docker, engine, facts)],
        Forwarder::Engine(runtime) => vec![find_container(runtime, engine, facts)],
        // A context leads to it.
        Forwarder::Desktop("Docker Desktop") => vec![find(command::find_publisher(None, &facts.port_name()))],
        Forwarder::Desktop(name) => vec![Remedy::advice(RemedyKind::StopProgram, format!("stop the server in {name}"))],
        Forwarder::Guest => {
            let text = "stop the server in the container or virtual machine, or remove its port forwarding";
            vec![Remedy::advice(RemedyKind::StopProgram, text)]
        }
        Forwarder::SshSession => {
            let user = process.user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
            vec![Remedy::advice(RemedyKind::StopProgram, format!("close the tunnel (ssh -R) in the ssh session{user}"))]
        }
        Forwarder::ServiceManager => stop_activation(group, process),
        Forwarder::Tunnel => vec![stop_tunnel(facts, process)],
        Forwarder::ServiceHost => {
            let command = ["tasklist", "/svc", "/fi", &format!("PID eq {}", process.pid)];
            vec![Remedy::run(RemedyKind::FindHolder, "see which services it runs, and stop the right one", command)]
        }
        Forwarder::Windows => vec![Remedy::run(RemedyKind::TakeAnother, "take another port", facts.take_near())],
    }
}

/// Why `process`, the forwarder of `group` called `name`, is never ended: a subject, and the rest of
/// a sentence about it.
pub fn why_never_ended(group: &Group<'_>, name: String, process: &Process, forwarder: Forwarder) -> (String, String) {
    if forwarder == Forwarder::SshSession {
        let user = process.user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
        let reason =
            format!("is never ended itself: ending it would end the whole ssh login{user}, with all its tunnels");
        return (name, reason);
    }
    let Some(forward) = &group.sockets[0].forward else {
        return (name, forwarder.reason());
    };
    match (&forward.untold, &forward.container) {
        (Some(untold), _) => (name, format!("{}; {}", forwarder.reason(), untold.reason)),
        (None, Some(container)) => {
            let reason = format!("publishes the port, and {name} is never ended itself");
            (published::name(container), reason)
        }
        (None, None) => (name, forwarder.reason()),
    }
}

/// Stops a container that its engine has told of.
pub fn stop_known(container: &EngineContainer) -> Remedy {
    Remedy::run(RemedyKind::StopContainer, "stop it", command::stop_known(container, Caller::Reader))
}

/// How to find the container that publishes the port, by its engine if that is known.
pub fn find_container(runtime: Runtime, engine: Option<&Engine>, facts: &Facts<'_>) -> Remedy {
    match runtime {
        Runtime::Docker => {
            let usual = Engine::usual_docker();
            find(command::find_publisher(engine.or(Some(&usual)), &facts.port_name()))
        }
        Runtime::Podman => find(["podman", "ps"].map(str::to_owned).to_vec()),
        Runtime::Kubernetes => Remedy::advice(
            RemedyKind::StopContainer,
            "remove the port from the pod or service that uses it, by kubectl",
        ),
        other => Remedy::advice(
            RemedyKind::StopContainer,
            format!("stop the {} container that uses the port with the tool that started it", other.title()),
        ),
    }
}

fn find(command: Vec<String>) -> Remedy {
    Remedy::run(RemedyKind::FindHolder, "find the container that publishes the port, and stop it", command)
}

/// A known socket unit has its own verdict and remedy.
fn stop_activation(group: &Group<'_>, manager: &Process) -> Vec<Remedy> {
    if group.sockets[0].activated_by.is_some() {
        return Vec::new();
    }
    if manager.name != "systemd" {
        let text = format!("take the port out of the configuration of {}", manager.name);
        return vec![Remedy::advice(RemedyKind::StopProgram, text)];
    }
    let user = (manager.pid != 1).then_some("--user");
    let command = iter::once("systemctl").chain(user).chain(["list-sockets"]);
    vec![Remedy::run(RemedyKind::FindHolder, "find the unit that listens, and stop it", command)]
}

fn stop_tunnel(facts: &Facts<'_>, process: &Process) -> Remedy {
    let unit = process.unit.as_ref().filter(|unit| supervisor::names_service(unit));
    let what = "its service, which ends every connection through it";
    match unit {
        Some(unit) => remedy::stop_unit(what, &unit.seen_by(facts.host.euid)),
        None => {
            let text = "stop it with its own tool, which ends every connection through it";
            Remedy::advice(RemedyKind::StopProgram, text)
        }
    }
}
