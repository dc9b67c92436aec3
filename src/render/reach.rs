//! Who can reach a port, in words: the answer first, then a line for each source, and the command
//! that would let more in.

use std::io::{self, Write};

use comfy_table::Table;

use super::columns::GUTTER;
use super::paper::Paper;
use super::report;
use super::table::{plain_table, print};
use super::{Style, colour, escape};
use crate::commands::exit::Exit;
use crate::commands::reach::{Report, leads_to_its_container, result_of};
use crate::diagnose::{PortReport, Status, firewall_name, firewall_remedies};
use crate::model::{By, Origin, Owners, Process, Reach, Reached, Socket, find_process};

/// Writes what there is to say of each port.
pub fn write(found: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let diagnosis = &found.diagnosis;
    if found.is_audit {
        audit(found, out)?;
    }
    for (index, port) in diagnosis.ports.iter().enumerate().filter(|_| !found.is_audit) {
        if index > 0 {
            writeln!(out)?;
        }
        one(port, found, style, out)?;
    }
    let paper = &mut Paper::new(style.width, out);
    for (index, gap) in diagnosis.gaps.iter().filter(|gap| is_shown(gap, style)).enumerate() {
        if index == 0 {
            paper.gap()?;
        }
        paper.sentence(&format!("not seen: {}", gap.summary))?;
    }
    let needs_root =
        diagnosis.gaps.iter().any(|gap| is_shown(gap, style) && gap.shown_by == crate::model::ShownBy::Root);
    if needs_root { writeln!(out, "as root:  {}", escape::terminal(&style.as_root)) } else { Ok(()) }
}

fn is_shown(gap: &crate::model::Gap, style: &Style) -> bool {
    style.verbose || gap.kind == &crate::model::gap::REACH_UNTRIED
}

fn one(port: &PortReport, found: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let (status, text) = headline(port, found);
    let paper = &mut Paper::new(style.width, out);
    paper.coloured(&text, colour::of(status))?;
    paper.gap()?;
    let mut table = plain_table();
    table.set_header(["    FROM", "TO", "RESULT", "WHY"]);
    for reach in &port.observed.reach {
        let why = [why(port, reach), reach.note.clone().unwrap_or_default()].join("; ");
        let why = why.trim_matches([';', ' ']).to_owned();
        table.add_row([
            format!("    {}", origin(reach)),
            reach.to.to_string(),
            reach.result.into_str().to_owned(),
            escape::terminal(&why).into_owned(),
        ]);
    }
    columns(&mut table);
    print(&table, paper.out)?;
    let remedies = firewall_remedies(&port.observed);
    if !remedies.is_empty() {
        paper.gap()?;
    }
    remedies.iter().try_for_each(|remedy| paper.remedy(remedy))?;
    if style.verbose { report::port(&found.diagnosis, port, style, paper) } else { Ok(()) }
}

fn headline(port: &PortReport, found: &Report) -> (Status, String) {
    let name = port.observed.name();
    let from = if found.is_from_named { "from every address asked about" } else { "from other machines" };
    match result_of(port, found.is_from_named) {
        Exit::Yes => (Status::Free, format!("{name} can be reached {from}")),
        Exit::Unknown => (Status::Unknown, format!("whether {name} can be reached {from} is not known")),
        _ if found.is_from_named && port.observed.reach.len() == 1 => {
            (Status::Held, format!("{name} cannot be reached from {}", port.observed.reach[0].from))
        }
        _ => (Status::Held, format!("{name} cannot be reached {from}")),
    }
}

fn origin(reach: &Reach) -> String {
    match &reach.origin {
        Origin::Here => "this machine".to_owned(),
        Origin::Network(network, interface) => format!("{network} ({interface})"),
        Origin::Elsewhere => format!("elsewhere ({})", reach.from),
        Origin::Named => reach.from.to_string(),
    }
}

/// What stops it, in words.
fn why(port: &PortReport, reach: &Reach) -> String {
    match (&reach.by, reach.diverted_to) {
        (None, Some(to)) if leads_to_its_container(port, reach) => {
            format!("a rule passes it on to the container, {to}")
        }
        (None, Some(to)) => format!("a rule sends it to {to}"),
        (None, None) if reach.result == Reached::NotListening => "nobody listens on the port".to_owned(),
        (None, None) => String::new(),
        (Some(By::Binding(addresses)), _) => format!("the server listens on {} only", addresses.join(", ")),
        (Some(By::Route), _) => "no route leads there, or none leads back (rp_filter)".to_owned(),
        (Some(By::Firewall(stopper)), _) => match &stopper.rule {
            Some(rule) => format!("{}: {}", firewall_name(stopper), rule.text),
            None => firewall_name(stopper),
        },
    }
}

/// All that listens, a line each.
fn audit(found: &Report, out: &mut dyn Write) -> io::Result<()> {
    if found.diagnosis.ports.is_empty() {
        return writeln!(out, "nothing listens");
    }
    let mut table = plain_table();
    table.set_header(["PORT", "HOLDER", "ELSEWHERE", "WHY"]);
    for port in &found.diagnosis.ports {
        let main = main_row(port);
        let result = match result_of(port, false) {
            Exit::Yes => "open",
            _ => main.map_or("unknown", |reach| reach.result.into_str()),
        };
        let why = main.map(|reach| [why(port, reach), reach.note.clone().unwrap_or_default()].join("; "));
        let why = why.unwrap_or_default().trim_matches([';', ' ']).to_owned();
        let holder = port.observed.sockets.iter().find_map(|socket| holder(socket, &found.diagnosis.processes));
        table.add_row([
            port.observed.name(),
            escape::terminal(&holder.unwrap_or_default()).into_owned(),
            result.to_owned(),
            escape::terminal(&why).into_owned(),
        ]);
    }
    columns(&mut table);
    print(&table, out)
}

fn columns(table: &mut Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, GUTTER));
    }
}

/// The source that says most: one that can reach the port, else the first.
fn main_row(port: &PortReport) -> Option<&Reach> {
    let rows = &port.observed.reach;
    let is_bound = |reach: &&Reach| reach.result != Reached::NotBoundThere;
    rows.iter()
        .find(|reach| reach.result == Reached::Open)
        .or_else(|| rows.iter().find(is_bound))
        .or_else(|| rows.first())
}

fn holder(socket: &Socket, processes: &[Process]) -> Option<String> {
    match &socket.owners {
        Owners::Kernel => Some("the kernel".to_owned()),
        owners => {
            owners.pids().first().and_then(|&pid| find_process(processes, pid)).map(|process| process.name.clone())
        }
    }
}
