//! How to free a port that a forwarder holds. The forwarder itself is never ended.

use super::{Facts, Group, Remedy, remedy};
use crate::model::{Forwarder, Process, Runtime};
use crate::supervisor;

/// What frees the one port that `group` holds, and leaves everything else that its forwarder
/// `process` does.
pub fn free_port(facts: &Facts<'_>, group: &Group<'_>, process: &Process, forwarder: Forwarder) -> Vec<Remedy> {
    match forwarder {
        Forwarder::Proxy | Forwarder::Desktop("Docker Desktop") => vec![find_container(Runtime::Docker, facts)],
        Forwarder::Engine(runtime) => vec![find_container(runtime, facts)],
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

/// How to find the container that publishes the port.
pub fn find_container(runtime: Runtime, facts: &Facts<'_>) -> Remedy {
    let find = |command: String| Remedy {
        text: "find the container that publishes the port, and stop it".to_owned(),
        command: Some(command),
    };
    match runtime {
        Runtime::Docker => find(format!("docker ps --filter publish={}", facts.port_name())),
        Runtime::Podman => find("podman ps".to_owned()),
        Runtime::Kubernetes => advice("remove the port from the pod or service that uses it, by kubectl".to_owned()),
        other => advice(format!("stop the {} container that uses the port by what started it", other.title())),
    }
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
