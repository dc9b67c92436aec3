//! The verdict `published-port`: a container engine holds the port for a container.

use super::holders::groups_where;
use super::{Detail, Explanation, Facts, Group, Observation, Phrase, Rule, Severity, Statement, Subject, Verb, remedy};
use crate::model::{EngineContainer, Forward, ForwardKind, Runtime};

pub static RULE: Rule = Rule {
    code: "published-port",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A container engine holds the port and passes on what arrives to a container.",
        why: "The container was started with a published port (`docker run -p 8081:80`, `ports:` in a compose file). \
              The engine holds the port here: Docker by docker-proxy or dockerd, Podman by conmon or rootlessport.",
        detection: "The holder of the socket is a part of an engine. Docker names the container, over its own socket. \
                    If that socket cannot be used, portcheck deduces the container from docker-proxy's arguments and \
                    the cgroups of the processes behind the address. Podman leaves a process with each container, \
                    conmon, whose arguments name it. The firewall's rules show the port inside. Without \
                    them it is the only one that somebody listens on there.",
        remedy: "Stop the container, or publish another port. The engine's own process is never ended, as it may hold \
                 ports for others.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    let groups = groups_where(facts, |socket| socket.state.is_waiting() && published(socket).is_some());
    groups.iter().filter_map(|group| Some(observation(facts, group, published(group.sockets[0])?))).collect()
}

fn published(socket: &crate::model::Socket) -> Option<&Forward> {
    socket.forward.as_deref().filter(|forward| forward.kind == ForwardKind::Published)
}

fn observation(facts: &Facts<'_>, group: &Group<'_>, forward: &Forward) -> Observation {
    let subject = Subject::Thing(match &forward.container {
        Some(container) => name(container),
        None => format!("a container of {}", forward.by.parse().map_or_else(|_| forward.by.clone(), title)),
    });
    let statement = Statement::new(subject, Verb("publishes", "publish"), Phrase::port(facts));
    let container = forward.container.as_ref();
    let mut details = Vec::new();
    details.extend(container.map(|container| ("container", Detail::Text(container.id.clone()))));
    details.extend(container.and_then(|container| Some(("container_name", Detail::Text(container.name.clone()?)))));
    details.extend(forward.untold.as_ref().map(|untold| ("untold", Detail::Text(untold.reason.clone()))));
    let remedies = remedy::end_holder(facts, group);
    Observation { details, remedies, pids: group.owners.pids().to_vec(), ..Observation::of(statement) }
}

/// `container shop-web-1 (compose project shop, service web)`.
pub fn name(container: &EngineContainer) -> String {
    let title = container.title();
    match container.compose() {
        Some(compose) => {
            let service = compose.service.map(|service| format!(", service {service}")).unwrap_or_default();
            format!("container {title} (compose project {}{service})", compose.project)
        }
        None => format!("container {title}"),
    }
}

fn title(engine: Runtime) -> String {
    engine.title().to_owned()
}
