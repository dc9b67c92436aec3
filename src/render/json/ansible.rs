//! What Ansible reads of a module: whether it changed anything or failed, beside the envelope. Of
//! facts, what becomes `ansible_facts.portcheck`.

use std::io::{self, Write};

use serde::Serialize;

use super::wire::{Envelope, WireGap};
use super::{ErrorKind, envelope, envelope_of_error, gap, line};
use crate::answer::Answer;
use crate::commands::ansible::Task;
use crate::commands::diagnosis::Diagnosis;
use crate::model::{self, Hides, Host};
use crate::render::Style;
use crate::render::ansible::Outcome;
use crate::render::rows::{Row, rows};

#[derive(Serialize)]
struct WireTask<'a> {
    changed: bool,
    failed: bool,
    msg: &'a str,
    /// Facts take the place of the envelope: as a result they would only be there twice.
    #[serde(flatten)]
    envelope: Option<Envelope<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ansible_facts: Option<Facts<'a>>,
}

#[derive(Serialize)]
struct Facts<'a> {
    portcheck: Fact<'a>,
}

#[derive(Serialize)]
struct Fact<'a> {
    version: &'static str,
    /// Whether every socket was seen, and the holders of each.
    complete: bool,
    listening: Vec<WireListener<'a>>,
    gaps: Vec<WireGap<'a>>,
}

/// Who has a port, with all addresses.
#[derive(Serialize)]
struct WireListener<'a> {
    port: u16,
    protocol: &'static str,
    addresses: Vec<String>,
    states: Vec<&'static str>,
    exposure: &'static str,
    /// How sure the holders are, as in `sockets[].owners.kind`.
    owners: &'static str,
    pids: Vec<u32>,
    process: Option<String>,
    command: &'a [String],
    user: Option<String>,
    /// The unit or the container.
    supervisor: Option<String>,
}

/// Writes what became of a task.
pub fn task(outcome: &Outcome, answer: &Answer, task: Task, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let wire = WireTask {
        changed: outcome.changed,
        failed: outcome.failed,
        msg: &outcome.msg,
        envelope: (!task.is_fact).then(|| envelope(answer, style)),
        ansible_facts: task.is_fact.then(|| Facts { portcheck: fact(answer.diagnosis(), style) }),
    };
    line(&wire, out)
}

/// Writes that a task could not be done.
pub fn task_error(kind: ErrorKind, message: &str, host: &Host, out: &mut dyn Write) -> io::Result<()> {
    let envelope = Some(envelope_of_error(kind, message, None, host));
    line(&WireTask { changed: false, failed: true, msg: message, envelope, ansible_facts: None }, out)
}

fn fact<'a>(diagnosis: &'a Diagnosis, style: &Style) -> Fact<'a> {
    let hides_sockets = |gap: &model::Gap| gap.kind.hides == Hides::Sockets;
    let listening: Vec<Row<'_>> = rows(diagnosis, style);
    Fact {
        version: env!("CARGO_PKG_VERSION"),
        complete: !diagnosis.gaps.iter().any(hides_sockets) && !listening.iter().any(|row| row.owners.is_unsure()),
        listening: listening.into_iter().map(listener).collect(),
        gaps: diagnosis.gaps.iter().map(gap).collect(),
    }
}

fn listener(row: Row<'_>) -> WireListener<'_> {
    WireListener {
        port: row.port.observed.port,
        protocol: row.port.observed.protocol.into_str(),
        addresses: row.addresses,
        states: row.states,
        exposure: row.exposure.into_str(),
        owners: row.owners.kind(),
        pids: row.owners.pids().to_vec(),
        process: row.process,
        command: row.command,
        user: row.user,
        supervisor: row.supervisor,
    }
}
