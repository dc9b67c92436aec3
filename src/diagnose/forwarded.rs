//! How to free a port that a forwarder holds. The forwarder itself is never ended.

use super::{Facts, Group, Remedy, remedy};
use crate::model::{Engine, EngineContainer, Forwarder, Process, Publication, Runtime};
use crate::supervisor;
use crate::supervisor::command::{self, Caller};

/// What frees the one port that `group` holds, and leaves everything else that its forwarder
/// `process` does.
pub fn free_port(facts: &Facts<'_>, group: &Group<'_>, process: &Process, forwarder: Forwarder) -> Vec<Remedy> {
    let engine = match &group.sockets[0].publication {
        Some(Publication::Of(container)) => return vec![stop_known(container)],
        Some(Publication::Untold { engine, .. }) => engine.as_ref(),
        None => None,
    };
    match forwarder {
        Forwarder::Proxy => vec![find_container(Runtime::Docker, engine, facts)],
        Forwarder::Engine(runtime) => vec![find_container(runtime, engine, facts)],
        // A context leads to it.
        Forwarder::Desktop("Docker Desktop") => vec![find(&command::find_publisher(None, &facts.port_name()))],
        Forwarder::Desktop(name) => vec![advice(format!("stop the server in {name}"))],
        Forwarder::Guest => {
            vec![advice(
                "stop the server in the container or virtual machine, or remove its port forwarding".to_owned(),
            )]
        }
        Forwarder::SshSession => {
            let user = process.user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
            vec![advice(format!("close the tunnel (ssh -R) in the ssh session{user}"))]
        }
        Forwarder::ServiceManager => stop_activation(group, process),
        Forwarder::Tunnel => vec![stop_tunnel(facts, process)],
        Forwarder::ServiceHost => vec![Remedy {
            text: "see which services it runs, and stop the right one".to_owned(),
            command: Some(format!("tasklist /svc /fi \"PID eq {}\"", process.pid)),
        }],
        Forwarder::Windows => vec![Remedy {
            text: "take another port".to_owned(),
            command: Some(format!("{} --free --near {}", facts.program, facts.observed.port)),
        }],
    }
}

/// Why the forwarder of `group` is never ended, as the rest of a sentence about it.
pub fn reason(group: &Group<'_>, forwarder: Forwarder) -> String {
    match &group.sockets[0].publication {
        Some(Publication::Of(container)) => format!(
            "holds the port for container {} of {}, and is never ended itself",
            container.title(),
            container.engine.runtime.title()
        ),
        Some(Publication::Untold { reason, .. }) => format!("{}; {reason}", forwarder.reason()),
        None => forwarder.reason(),
    }
}

/// Stops a container that its engine has told of.
pub fn stop_known(container: &EngineContainer) -> Remedy {
    let command = command::typed(&command::stop_known(container, Caller::Reader));
    Remedy { text: format!("stop container {}", container.title()), command }
}

/// How to find the container that publishes the port, by its engine if that is known.
pub fn find_container(runtime: Runtime, engine: Option<&Engine>, facts: &Facts<'_>) -> Remedy {
    match runtime {
        Runtime::Docker => {
            let usual = Engine::usual_docker();
            find(&command::find_publisher(engine.or(Some(&usual)), &facts.port_name()))
        }
        Runtime::Podman => find(&["podman".to_owned(), "ps".to_owned()]),
        Runtime::Kubernetes => advice("remove the port from the pod or service that uses it, by kubectl".to_owned()),
        other => advice(format!("stop the {} container that uses the port by what started it", other.title())),
    }
}

fn find(command: &[String]) -> Remedy {
    let text = "find the container that publishes the port, and stop it".to_owned();
    Remedy { text, command: command::typed(command) }
}

/// A known socket unit has its own verdict and remedy.
fn stop_activation(group: &Group<'_>, manager: &Process) -> Vec<Remedy> {
    if group.sockets[0].activated_by.is_some() {
        return Vec::new();
    }
    if manager.name != "systemd" {
        return vec![advice(format!("take the port out of the configuration of {}", manager.name))];
    }
    let command = if manager.pid == 1 { "systemctl list-sockets" } else { "systemctl --user list-sockets" };
    let text = "find the unit that listens, and stop it".to_owned();
    vec![Remedy { text, command: Some(command.to_owned()) }]
}

fn stop_tunnel(facts: &Facts<'_>, process: &Process) -> Remedy {
    let unit = process.unit.as_ref().filter(|unit| supervisor::names_service(unit));
    let what = "its service, which ends every connection through it";
    match unit {
        Some(unit) => remedy::stop_unit(what, &unit.seen_by(facts.host.euid)),
        None => advice("stop it by its own tool, which ends every connection through it".to_owned()),
    }
}

fn advice(text: String) -> Remedy {
    Remedy { text, command: None }
}
