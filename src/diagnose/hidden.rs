//! The verdict `hidden-owner`: somebody holds the port, and the process is at best deduced.

use super::holders::groups_where;
use super::remnants::are_unlisted;
use super::{
    Detail, Explanation, Facts, Group, Observation, Phrase, Rule, Severity, Statement, Subject, Verb, listener, remedy,
};
use crate::model::{Owners, Socket, Via};
use crate::probe::Outcome;
use crate::supervisor;

pub static RULE: Rule = Rule {
    code: "hidden-owner",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A socket holds the port, but the process that has it open could not be inspected. Its user is known, \
               and often its unit or container. Sometimes the process can be deduced: then it is called likely.",
        why: "The descriptors of a process are readable only for its own user and for root. Processes in another pid \
              namespace cannot be seen at all.",
        detection: "The kernel's socket table has the socket, with the user and the cgroup that created it. No process \
                    that could be inspected has a descriptor of it. Or bind fails with EADDRINUSE, and no socket can \
                    be seen at all.",
        remedy: "Ask again as root, or stop the unit or container that is named.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    if are_unlisted(facts) {
        return Vec::new();
    }
    if facts.observed.sockets.is_empty() && facts.fails_with(Outcome::InUse) {
        return vec![unseen_holder(facts)];
    }
    let is_hidden = |socket: &Socket| {
        socket.state.is_waiting()
            && socket.forward.is_none()
            && matches!(socket.owners, Owners::Hidden { .. } | Owners::Likely { .. })
            && !matches!(socket.via, Via::UnixQueue | Via::SystemCall(_))
    };
    let hidden = groups_where(facts, is_hidden);
    let observe = |group: &Group<'_>| {
        let mut observation = Observation { details: details(group), ..listener::held_by(facts, group) };
        // First find out who it is, then end it.
        observation.remedies.splice(0..0, remedy::see_holder(facts));
        observation
    };
    hidden.iter().map(observe).collect()
}

/// bind finds the port in use, and no socket is seen.
fn unseen_holder(facts: &Facts<'_>) -> Observation {
    let holder = Subject::Thing("something that cannot be seen".to_owned());
    Observation {
        details: facts.hiding_gaps().map(|gap| ("gap", Detail::Text(gap.kind.code.to_owned()))).collect(),
        ..Observation::of(
            Statement::new(holder, Verb("holds", "hold"), Phrase::port(facts)).and(": bind fails with EADDRINUSE"),
        )
    }
}

/// What the socket tells of its holder.
fn details(group: &Group<'_>) -> Vec<(&'static str, Detail)> {
    let socket = group.sockets[0];
    let found = socket.cgroup.as_deref().map(supervisor::of_cgroup).unwrap_or_default();
    let reason = match &*group.owners {
        Owners::Hidden { reason } | Owners::Likely { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    let texts = [
        ("reason", reason),
        ("user", socket.user.as_deref().map(str::to_owned)),
        ("cgroup", socket.cgroup.as_deref().map(str::to_owned)),
        ("unit", found.unit.map(|unit| unit.name)),
        ("container", found.container.map(|container| container.id)),
    ];
    let texts = texts.into_iter().filter_map(|(name, value)| Some((name, Detail::Text(value?))));
    texts.chain(socket.uid.map(|uid| ("uid", Detail::Number(uid.into())))).collect()
}
