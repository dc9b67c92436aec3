//! Who can reach a port, in words: the answer first, then a line for each source, and the command
//! that would let more in.

use std::io::{self, Write};

use comfy_table::Table;

use super::columns::GUTTER;
use super::escape::width_of;
use super::paper::{Paper, wrap};
use super::report;
use super::table::{plain_table, print};
use super::{Style, colour, escape};
use crate::commands::exit::Exit;
use crate::commands::reach::{Report, leads_to_its_container, result_of};
use crate::diagnose::{PortReport, Status, enumerate, firewall_name, firewall_remedies};
use crate::model::{By, Origin, Owners, Process, Reach, Reached, Socket, find_process};

/// Writes what there is to say of each port.
pub fn write(found: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let diagnosis = &found.diagnosis;
    if found.is_audit {
        audit(found, style, out)?;
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
    let row = |reach: &Reach| {
        let result = reach.result.into_str().to_owned();
        [format!("    {}", origin(reach)), reach.to.to_string(), result, why_and_note(port, reach)]
    };
    let rows: Vec<[String; 4]> = port.observed.reach.iter().map(row).collect();
    let is_told = |row: &[String; 4]| row[2] != Reached::Unknown.into_str() || !row[3].is_empty();
    // Without root nothing could be tried, and the gap says so once.
    if rows.iter().any(is_told) {
        paper.gap()?;
        print(&table(["    FROM", "TO", "RESULT", "WHY"], rows, style), paper.out)?;
    }
    let remedies = firewall_remedies(&port.observed);
    if !remedies.is_empty() {
        paper.gap()?;
    }
    remedies.iter().try_for_each(|remedy| paper.remedy(remedy))?;
    if style.verbose { report::port(&found.diagnosis, port, style, paper) } else { Ok(()) }
}

/// Whether a port can be reached, and from where.
pub fn headline(port: &PortReport, found: &Report) -> (Status, String) {
    let name = port.observed.name();
    let from = if found.is_from_named { "from every address asked about" } else { "from other machines" };
    match result_of(port, found.is_from_named) {
        Exit::Yes => (Status::Free, format!("{name} can be reached {from}")),
        Exit::Unknown => (Status::Unknown, format!("whether {name} can be reached {from} is not known")),
        _ if found.is_from_named && port.observed.reach.len() == 1 => {
            (Status::Held, format!("{name} cannot be reached from {}", port.observed.reach[0].from))
        }
        _ => match networks(port) {
            networks if networks.is_empty() => (Status::Held, format!("{name} cannot be reached {from}")),
            networks => {
                let near = enumerate(&networks, "and");
                (Status::Held, format!("{name} can be reached from {near}, and not from elsewhere"))
            }
        },
    }
}

/// The connected networks that can reach a port.
fn networks(port: &PortReport) -> Vec<String> {
    let open = port.observed.reach.iter().filter(|reach| reach.result == Reached::Open);
    open.filter(|reach| matches!(reach.origin, Origin::Network(..))).map(origin).collect()
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
fn audit(found: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if found.diagnosis.ports.is_empty() {
        return writeln!(out, "nothing listens");
    }
    let row = |port: &PortReport| {
        let (result, why) = summary(port);
        let holder = port.observed.sockets.iter().find_map(|socket| holder(socket, &found.diagnosis.processes));
        [port.observed.name(), holder.unwrap_or_default(), result, why]
    };
    let rows = found.diagnosis.ports.iter().map(row).collect();
    print(&table(["PORT", "HOLDER", "ELSEWHERE", "WHY"], rows, style), out)
}

fn why_and_note(port: &PortReport, reach: &Reach) -> String {
    let both = [Some(why(port, reach)).filter(|why| !why.is_empty()), reach.note.clone()];
    both.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The last column continues below itself where the terminal is narrow.
fn table(heading: [&str; 4], rows: Vec<[String; 4]>, style: &Style) -> Table {
    let width = |at: usize| rows.iter().map(|row| width_of(&row[at])).fold(heading[at].len(), usize::max);
    let taken: usize = (0..3).map(|at| width(at) + usize::from(GUTTER)).sum();
    let room = style.width.map_or(usize::MAX, |all| usize::from(all).saturating_sub(taken).max(NARROWEST));
    let mut table = plain_table();
    table.set_header(heading);
    for [first, second, third, last] in rows {
        let last = wrap(&escape::terminal(&last), room).join("\n");
        table.add_row([&*escape::terminal(&first), &*escape::terminal(&second), &*third, &*last]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GUTTER));
    }
    table
}

/// Reasons get at least so much room.
const NARROWEST: usize = 20;

/// Whether others can reach a port, and why not; for each IP version if these differ.
fn summary(port: &PortReport) -> (String, String) {
    let rows = &port.observed.reach;
    let is_bound = |reach: &&Reach| reach.result != Reached::NotBoundThere;
    let mut told: Vec<&Reach> = rows.iter().filter(is_bound).collect();
    if told.is_empty() {
        told.extend(rows.first());
    }
    match told[..] {
        [one, other] if one.result != other.result => {
            let version = |reach: &Reach| if reach.from.is_ipv4() { "IPv4" } else { "IPv6" };
            let result = |reach: &Reach| format!("{} ({})", reach.result.into_str(), version(reach));
            let reasons = [one, other].map(|reach| why_and_note(port, reach));
            (format!("{}, {}", result(one), result(other)), reasons.join(" ").trim().to_owned())
        }
        [one, ..] => (one.result.into_str().to_owned(), why_and_note(port, one)),
        [] => ("unknown".to_owned(), String::new()),
    }
}

fn holder(socket: &Socket, processes: &[Process]) -> Option<String> {
    match &socket.owners {
        Owners::Kernel => Some("the kernel".to_owned()),
        owners => {
            owners.pids().first().and_then(|&pid| find_process(processes, pid)).map(|process| process.name.clone())
        }
    }
}
