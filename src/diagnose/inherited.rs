//! The verdict `inherited-socket`: the process that opened the socket has ended, and a program that
//! it had started still has it.

use super::holder_state::about;
use super::{Explanation, Facts, Observation, Remedy, RemedyKind, Rule, Severity, Verb};
use crate::model::{Legacy, Owners, Process};

pub static RULE: Rule = Rule {
    code: "inherited-socket",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "The process that holds the port seems to have it by accident. The server that opened the socket has \
               ended, and a program that it had started has inherited the descriptor. The name of that program \
               misleads.",
        why: "The server opened its socket without close-on-exec (SOCK_CLOEXEC, FD_CLOEXEC). So every program that it \
              ran got a copy, and the port stays taken until the last copy is closed.",
        detection: "The parent of the process has ended: the process is in another session than its present parent. \
                    Its descriptor has no FD_CLOEXEC (/proc/PID/fdinfo). No thread of it waits in a call that a \
                    connection could end (/proc/PID/task/TID/syscall).",
        remedy: "End the process. Let the server open its sockets with close-on-exec.",
    },
    check: |facts| {
        heirs(facts)
            .map(|process| Observation {
                pids: vec![process.pid],
                remedies: vec![Remedy::advice(
                    RemedyKind::ChangeServer,
                    "to prevent it, let the server set FD_CLOEXEC on its sockets",
                )],
                ..Observation::of(about(
                    process,
                    Verb("seems to have", "seem to have"),
                    "inherited the socket from a server that has ended, and does not serve it".to_owned(),
                ))
            })
            .collect()
    },
};

/// The holders that do not use what they inherited, if no other process has the socket.
fn heirs<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a Process> {
    let facts = *facts;
    let is_heir =
        |process: &Process| matches!(process.legacy, Some(Legacy { survives_exec: true, serves: Some(false) }));
    let mut named = Vec::new();
    facts
        .observed
        .sockets
        .iter()
        .filter(|socket| socket.state.is_waiting())
        .filter_map(move |socket| match &socket.owners {
            // Of several, of which not all could be inspected, nothing is said.
            Owners::Known(pids) => {
                let processes: Vec<&Process> = pids.iter().filter_map(|&pid| facts.process(pid)).collect();
                processes.iter().all(|process| is_heir(process)).then_some(processes)
            }
            _ => None,
        })
        .flatten()
        .filter(move |process| {
            let is_new = !named.contains(&process.pid);
            named.push(process.pid);
            is_new
        })
}
