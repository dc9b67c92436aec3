//! Remedies that several rules give: how to end a holder, and how to see a hidden one.

use super::{Facts, Group, Remedy};
use crate::model::{Gap, Manager, Owners, Process, Runtime};
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
                command: Some(format!("{}kill {}", sudo(facts, leader), join(pids))),
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
    would_show.then(|| Remedy {
        text: "see who it is".to_owned(),
        command: Some(format!("sudo {} {}", facts.program, facts.port_name())),
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
    stop(process.container.as_ref(), process.unit.as_ref())
}

fn stop_hidden(group: &Group<'_>) -> Option<Remedy> {
    let found = supervisor::of_cgroup(group.sockets.first()?.cgroup.as_deref()?);
    stop(found.container.as_ref(), found.unit.as_ref())
}

fn stop(container: Option<&crate::model::Container>, unit: Option<&crate::model::Unit>) -> Option<Remedy> {
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
    let name = quote(&unit.name)?;
    let command = match unit.manager {
        Manager::System => format!("sudo systemctl stop {name}"),
        Manager::User => format!("systemctl --user stop {name}"),
    };
    Some(Remedy { text: "stop its service".to_owned(), command: Some(command) })
}

/// `None` for a name that no shell can be given.
fn quote(name: &str) -> Option<String> {
    shlex::try_quote(name).ok().map(std::borrow::Cow::into_owned)
}

fn join(pids: &[crate::model::Pid]) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
