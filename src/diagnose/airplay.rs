//! The verdict `airplay`: macOS itself listens on 5000 and 7000, which development servers like
//! too.

use super::holders::groups_where;
use super::{Explanation, Facts, Group, Observation, Remedy, RemedyKind, Rule, Severity, Statement, Subject, Verb};
use crate::model::{Host, Pid, Process, Socket, State, find_process};

/// What listens for AirPlay since macOS 12.
const RECEIVER: &str = "ControlCenter";

pub static RULE: Rule = Rule {
    code: "airplay",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "The AirPlay receiver of macOS listens on the port.",
        why: "Since macOS 12 the Control Center receives AirPlay on 5000 and 7000, which Flask and others use as well.",
        detection: "The listener on 5000 or 7000 belongs to the process ControlCenter of macOS.",
        remedy: "Turn the AirPlay receiver off in the System Settings, or take another port. Ending the process does \
                 not help: macOS starts it again.",
    },
    check: |facts| {
        let is_its = |socket: &Socket| is_receiver(facts.host, facts.processes, socket);
        groups_where(facts, is_its).iter().map(|group| describe(facts, group)).collect()
    },
};

fn describe(facts: &Facts<'_>, group: &Group<'_>) -> Observation {
    Observation {
        pids: group.owners.pids().to_vec(),
        remedies: vec![
            Remedy::advice(
                RemedyKind::ChangeSetting,
                "switch it off: System Settings, General, AirDrop & Handoff, AirPlay Receiver",
            ),
            Remedy::run(RemedyKind::TakeAnother, "take another port", facts.take_near()),
        ],
        ..Observation::of(Statement::new(
            Subject::Thing("the AirPlay receiver of macOS".to_owned()),
            Verb("listens on", "listen on"),
            group.addresses(),
        ))
    }
}

/// Whether a socket is the AirPlay receiver's.
pub fn is_receiver(host: &Host, processes: &[Process], socket: &Socket) -> bool {
    let is_it = |&pid: &Pid| find_process(processes, pid).is_some_and(|process| process.name == RECEIVER);
    host.os == "macos"
        && socket.state == State::Listen
        && matches!(socket.local.port(), 5000 | 7000)
        && socket.owners.pids().iter().any(is_it)
}
