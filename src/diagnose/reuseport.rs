//! The verdicts on sockets that share an address by SO_REUSEPORT: `reuseport-group`,
//! `reuseport-other-user`.

use super::{Detail, Explanation, Facts, Observation, Rule, Severity, Statement, Subject, Verb};
use crate::model::{Pid, Protocol, Socket, State};

pub static GROUP: Rule = Rule {
    code: "reuseport-group",
    severity: Severity::Info,
    explanation: Explanation {
        what: "Several sockets listen on the same address and port. That is on purpose: the kernel spreads the connections \
               over them.",
        why: "All of them set SO_REUSEPORT before they were bound. Another process of the same user that sets it can join.",
        detection: "The socket table has more than one listener with the same address, port and device, which the kernel \
                    allows only with SO_REUSEPORT.",
        remedy: "Nothing to do. To free the port, end all of them.",
    },
    check: |facts| observe(facts, false),
};

pub static OTHER_USER: Rule = Rule {
    code: "reuseport-other-user",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "Several sockets of another user share the port by SO_REUSEPORT. Setting SO_REUSEPORT does not help you \
               to join them.",
        why: "The kernel lets sockets share a port only if all were opened by the same user. So nobody can take over \
              some of another user's connections. Root is another user, too.",
        detection: "The socket table has more than one listener with the same address, port and device, and their user \
                    is not the one who asks.",
        remedy: "Run the server as that user, or take another port.",
    },
    check: |facts| observe(facts, true),
};

fn observe(facts: &Facts<'_>, of_another_user: bool) -> Vec<Observation> {
    let listeners: Vec<&Socket> = facts.obstacles().filter(|socket| socket.state == State::Listen).collect();
    // Datagram sockets may share an address by SO_REUSEADDR, too. The two cannot be distinguished.
    if facts.observed.protocol != Protocol::Tcp {
        return Vec::new();
    }
    groups(&listeners)
        .filter(|group| {
            let user = group[0].uid;
            let is_other = user.is_some() && facts.host.euid.is_some() && user != facts.host.euid;
            is_other == of_another_user
        })
        .map(|group| {
            let address = group[0].local_name();
            let mut pids: Vec<Pid> = group.iter().flat_map(|socket| socket.owners.pids()).copied().collect();
            pids.sort_unstable();
            pids.dedup();
            let how = if of_another_user {
                let user = group[0].user.as_deref().map(str::to_owned);
                let user = user.or(group[0].uid.map(|uid| format!("uid {uid}"))).unwrap_or_default();
                format!("{address} by SO_REUSEPORT, and only processes of {user} can join")
            } else {
                format!("{address} on purpose, by SO_REUSEPORT")
            };
            let subject = Subject::Things(format!("{} sockets", group.len()));
            let statement = Statement::new(subject, Verb("shares", "share"), how);
            let details = vec![("sockets", Detail::Number(group.len() as u64))];
            Observation { pids, details, ..Observation::of(statement) }
        })
        .collect()
}

/// The listeners that share an address, if there are several.
fn groups<'a>(listeners: &[&'a Socket]) -> impl Iterator<Item = Vec<&'a Socket>> + use<'a> {
    let mut groups: Vec<Vec<&Socket>> = Vec::new();
    for &socket in listeners {
        let place = |socket: &Socket| (socket.local, socket.device.clone(), socket.family);
        match groups.iter_mut().find(|group| place(group[0]) == place(socket)) {
            Some(group) => group.push(socket),
            None => groups.push(vec![socket]),
        }
    }
    groups.into_iter().filter(|group| group.len() > 1)
}
