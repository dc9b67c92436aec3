//! Remedies that several rules give: how to end a holder, how to see a hidden one, how to keep a port out of the
//! ephemeral range, how to drop remnants.

use super::{Facts, Group, Remedy};
use crate::model::{Container, Gap, Manager, Owners, Pid, Process, Runtime, Unit};
use crate::port_set::PortSet;
use crate::supervisor;

/// How to end whoever holds the sockets of a group: its supervisor's command where it has one, since what is
/// supervised comes back.
pub fn end_holder(facts: &Facts<'_>, group: &Group<'_>) -> Vec<Remedy> {
    let pids = group.owners.pids();
    let leader = pids.first().and_then(|&pid| facts.process(pid));
    let mut remedies: Vec<Remedy> = leader.and_then(stop_supervisor).into_iter().collect();
    match group.owners {
        Owners::Known(_) if remedies.is_empty() && pids.first().is_some_and(|&pid| pid != 1) => {
            remedies.push(Remedy {
                text: if pids.len() == 1 { "end it".to_owned() } else { "end all of them".to_owned() },
                command: Some(end(facts, leader, pids)),
            });
        }
        Owners::Hidden { .. } => remedies.extend(stop_hidden(group)),
        _ => {}
    }
    remedies
}

/// How to see who a hidden holder is, if being root would show it.
pub fn see_holder(facts: &Facts<'_>) -> Option<Remedy> {
    let would_show = facts.gaps.iter().any(Gap::hides_owners_from_us_only);
    let ask = format!("{} {}", facts.program, facts.port_name());
    would_show.then(|| match facts.host.os {
        "windows" => Remedy { text: "see who it is, in an elevated prompt".to_owned(), command: Some(ask) },
        _ => Remedy { text: "see who it is".to_owned(), command: Some(format!("sudo {ask}")) },
    })
}

/// `sudo `, where the process is not the reader's own.
fn sudo(facts: &Facts<'_>, process: Option<&Process>) -> &'static str {
    let own = match (facts.host.euid, process.and_then(|process| process.uid)) {
        (Some(0), _) => true,
        (Some(euid), Some(uid)) => euid == uid,
        _ => true,
    };
    if own { "" } else { "sudo " }
}

fn stop_supervisor(process: &Process) -> Option<Remedy> {
    // It is in the unit of Docker itself, whose end would be that of all containers.
    if let Some(port) = supervisor::published_by_docker(process) {
        let command = Some(supervisor::stop_published(&port));
        return Some(Remedy { text: "stop the container that publishes the port".to_owned(), command });
    }
    stop(process.container.as_ref(), process.unit.as_ref())
}

fn stop_hidden(group: &Group<'_>) -> Option<Remedy> {
    let found = supervisor::of_cgroup(group.sockets.first()?.cgroup.as_deref()?);
    stop(found.container.as_ref(), found.unit.as_ref())
}

fn stop(container: Option<&Container>, unit: Option<&Unit>) -> Option<Remedy> {
    if let Some(container) = container {
        let id = container.short_id();
        let command = match container.runtime {
            Runtime::Docker => format!("docker stop {id}"),
            Runtime::Podman => format!("podman stop {id}"),
            Runtime::Nspawn => format!("machinectl poweroff {}", quote(&container.id)?),
            Runtime::Lxc => format!("lxc-stop -n {}", quote(&container.id)?),
            // What belongs to a pod is started again by its controller, and is Kubernetes' to stop.
            Runtime::Containerd | Runtime::Crio | Runtime::Kubernetes => {
                let pod = container.pod.as_deref().map(|pod| format!(" of pod {pod}")).unwrap_or_default();
                let text = format!("stop the {} container {id}{pod} by what started it", container.runtime.as_str());
                return Some(Remedy { text, command: None });
            }
        };
        return Some(Remedy { text: "stop its container".to_owned(), command: Some(command) });
    }
    let unit = unit?;
    // Sessions and the managers themselves are units, but nobody's service.
    if !unit.name.ends_with(".service") || unit.name.starts_with("user@") {
        return None;
    }
    let command = stop_unit(unit)?;
    Some(Remedy { text: "stop its service".to_owned(), command: Some(command) })
}

/// `None` for a name that no shell can be given.
pub fn stop_unit(unit: &Unit) -> Option<String> {
    let name = quote(&unit.name)?;
    Some(match unit.manager {
        Manager::System => format!("sudo systemctl stop {name}"),
        Manager::User => format!("systemctl --user stop {name}"),
    })
}

/// The command that lets a frozen process run again.
pub fn thaw(process: &Process) -> Option<String> {
    match (&process.container, &process.unit, &process.frozen_cgroup) {
        (Some(container), ..) if container.runtime == Runtime::Docker => {
            Some(format!("docker unpause {}", container.short_id()))
        }
        (Some(container), ..) if container.runtime == Runtime::Podman => {
            Some(format!("podman unpause {}", container.short_id()))
        }
        (None, Some(unit), _) if unit.manager == Manager::System && unit.name.ends_with(".service") => {
            Some(format!("sudo systemctl thaw {}", quote(&unit.name)?))
        }
        (_, _, Some(directory)) => {
            let file = directory.join("cgroup.freeze");
            Some(format!("echo 0 | sudo tee {}", quote(file.to_str()?)?))
        }
        _ => None,
    }
}

/// How to keep the kernel from giving the port to clients, where it does: a better port, or the setting with what it has
/// already.
pub fn keep_out_of_range(facts: &Facts<'_>) -> Vec<Remedy> {
    let Some((first, last)) = facts.host.ephemeral_range.filter(|_| facts.host.picks_by_itself(facts.port)) else {
        return Vec::new();
    };
    let mut remedies = vec![Remedy {
        text: format!("take a port outside {first}-{last}, the range that outgoing connections get theirs from"),
        command: None,
    }];
    let own = [(facts.port, facts.port)];
    match facts.host.os {
        "linux" => {
            let reserved: PortSet = facts.host.reserved_ports.ranges().iter().copied().chain(own).collect();
            remedies.push(Remedy {
                text: "keep the port from being given out again".to_owned(),
                command: Some(format!("sudo sysctl net.ipv4.ip_local_reserved_ports={reserved}")),
            });
        }
        "windows" => remedies.push(Remedy {
            text: "keep the port from being given out again, in an elevated prompt".to_owned(),
            command: Some(format!(
                "netsh interface ipv4 add excludedportrange protocol={} startport={} numberofports=1",
                facts.protocol, facts.port
            )),
        }),
        _ => {}
    }
    remedies
}

/// How root drops what is left of connections, in these of ss's states, without a process to ask (`SOCK_DESTROY`). Only Linux lets
/// anybody do that.
pub fn drop_remnants(facts: &Facts<'_>, states: &[&str]) -> Option<Remedy> {
    let states: Vec<String> = states.iter().map(|state| format!("state {state}")).collect();
    (facts.host.os == "linux").then(|| Remedy {
        text: "drop it at once".to_owned(),
        command: Some(format!("sudo ss -K {} 'sport = :{}'", states.join(" "), facts.port)),
    })
}

/// The command that asks processes to end; on Windows it ends them, which have no way to ask there.
fn end(facts: &Facts<'_>, leader: Option<&Process>, pids: &[Pid]) -> String {
    let joined = |separator: &str| pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator);
    match facts.host.os {
        "windows" => format!("taskkill /F /PID {}", joined(" /PID ")),
        _ => format!("{}kill {}", sudo(facts, leader), joined(" ")),
    }
}

/// `None` for a name that no shell can be given.
pub fn quote(name: &str) -> Option<String> {
    shlex::try_quote(name).ok().map(std::borrow::Cow::into_owned)
}
