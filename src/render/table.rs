//! Tables for people: what is in use, and the verdicts on several ports.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::paper::Paper;
use super::rows::{Row, name, on, rows, service};
use super::{Style, colour, escape, prose, report};
use crate::answer::Answer;
use crate::diagnose::{PortReport, Status};
use crate::model::{Gap, Owners};

/// A column of a table. Which columns a table has is its own business; which of them give way first when the terminal
/// is narrow is told by [`Column::GIVES_WAY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Port,
    Protocol,
    State,
    Class,
    Service,
    Address,
    Peer,
    Exposure,
    Process,
    Pid,
    User,
    Supervisor,
    Command,
}

impl Column {
    /// The first one goes first: what another column says too, then what only adds to the answer. Port, protocol,
    /// address, process and pid are the answer and never go.
    const GIVES_WAY: [Self; 6] =
        [Self::Command, Self::Class, Self::Exposure, Self::Service, Self::Supervisor, Self::User];

    /// Whether a shortened text is still of use.
    const fn shrinks(self) -> bool {
        matches!(self, Self::Command | Self::Service | Self::Supervisor)
    }

    const fn heading(self) -> &'static str {
        match self {
            Self::Port => "PORT",
            Self::Protocol => "PROTO",
            Self::State => "STATE",
            Self::Class => "CLASS",
            Self::Service => "SERVICE",
            Self::Address => "ADDRESS",
            Self::Peer => "PEER",
            Self::Exposure => "EXPOSED",
            Self::Process => "PROCESS",
            Self::Pid => "PID",
            Self::User => "USER",
            Self::Supervisor => "UNIT/CONTAINER",
            Self::Command => "COMMAND",
        }
    }

    fn cell(self, row: &Row<'_>) -> String {
        let text = match self {
            Self::Port => row.port.observed.port.to_string(),
            Self::Protocol => row.port.observed.protocol.to_string(),
            Self::State => row.states.join(", "),
            Self::Class => row.port.observed.class().as_str().to_owned(),
            Self::Service => service(row.port).unwrap_or_default(),
            Self::Address => row.addresses.join(", "),
            Self::Peer => row.peer.clone().unwrap_or_default(),
            Self::Exposure => row.exposure.as_str().to_owned(),
            Self::Process => process(row),
            Self::Pid => pids(row),
            Self::User => row.user.clone().unwrap_or_default(),
            Self::Supervisor => row.supervisor.clone().unwrap_or_default(),
            Self::Command => escape::shorten(&escape::command_line(row.command), LONGEST_COMMAND).into_owned(),
        };
        escape::terminal(&text).into_owned()
    }
}

/// Enough to recognise a program by; the report shows all of it.
const LONGEST_COMMAND: usize = 80;

/// A column that would have to be narrower goes.
const NARROWEST: u16 = 10;

/// Between two columns.
const GUTTER: u16 = 2;

/// What is in use.
pub fn list(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let rows = rows(answer, style.connections);
    if rows.is_empty() {
        match answer.connections_left_out {
            0 => writeln!(out, "nothing to show: no socket fits")?,
            1 => writeln!(out, "nothing to show but 1 connection: add --all")?,
            count => writeln!(out, "nothing to show but {count} connections: add --all")?,
        }
        return notes(answer, style, out);
    }
    let mut columns = vec![Column::Port, Column::Protocol];
    if style.connections {
        columns.push(Column::State);
    }
    columns.extend([Column::Class, Column::Service, Column::Address]);
    if style.connections {
        columns.push(Column::Peer);
    }
    columns.extend([Column::Exposure, Column::Process, Column::Pid, Column::User, Column::Supervisor, Column::Command]);

    let mut cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| column.cell(row)).collect()).collect();
    let widths = fit(&columns, &cells, style.width);
    for row in &mut cells {
        for ((column, width), cell) in columns.iter().zip(&widths).zip(row) {
            if column.shrinks() {
                *cell = escape::shorten(cell, usize::from(*width)).into_owned();
            }
        }
    }
    let mut table = plain_table(style.width);
    table.set_header(columns.iter().map(|column| column.heading())).add_rows(cells);
    for ((column, width), shown) in columns.iter().zip(widths).zip(table.column_iter_mut()) {
        if width == 0 {
            shown.set_constraint(comfy_table::ColumnConstraint::Hidden);
        }
        if matches!(column, Column::Port | Column::Pid) {
            shown.set_cell_alignment(CellAlignment::Right);
        }
        shown.set_padding((0, GUTTER));
    }
    print(&table, out)?;
    notes(answer, style, out)?;
    if rows.iter().any(|row| matches!(row.owners, Owners::Likely { .. })) {
        writeln!(out, "a process with ? is deduced, not seen: ask for its port to learn how")?;
    }
    Ok(())
}

/// The width that each column gets, 0 for one that is left out: those without content, and as many of the others that
/// give way as it takes to fit into `limit`. What shrinks is shortened before it goes.
fn fit(columns: &[Column], cells: &[Vec<String>], limit: Option<u16>) -> Vec<u16> {
    let width_of = |text: &str| u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    let widest = |index: usize| cells.iter().map(|row| width_of(&row[index])).max().unwrap_or(0);
    let natural = columns.iter().enumerate().map(|(index, column)| match widest(index) {
        0 => 0,
        width => width.max(width_of(column.heading())),
    });
    let mut widths: Vec<u16> = natural.collect();
    let Some(limit) = limit else { return widths };
    for leaver in Column::GIVES_WAY {
        let needed: u32 = widths.iter().filter(|&&width| width > 0).map(|&width| u32::from(width + GUTTER)).sum();
        let Some(excess) = needed.checked_sub(u32::from(limit)).filter(|&excess| excess > 0) else { break };
        let Some(index) = columns.iter().position(|&column| column == leaver) else { continue };
        let left = u32::from(widths[index]).saturating_sub(excess);
        let left = if leaver.shrinks() && left >= u32::from(NARROWEST) { left } else { 0 };
        widths[index] = u16::try_from(left).unwrap_or(0);
    }
    widths
}

fn process(row: &Row<'_>) -> String {
    match (&row.process, row.owners) {
        (Some(name), Owners::Likely { .. }) => format!("{name}?"),
        (Some(name), _) => name.clone(),
        (None, Owners::Kernel) => "(kernel)".to_owned(),
        (None, Owners::Hidden { .. }) => "(hidden)".to_owned(),
        (None, Owners::None) => "(none)".to_owned(),
        (None, Owners::Known(_) | Owners::Likely { .. } | Owners::NotAsked) => "(ended)".to_owned(),
    }
}

fn pids(row: &Row<'_>) -> String {
    let doubt = if matches!(row.owners, Owners::Likely { .. }) { "?" } else { "" };
    match row.pids {
        [] => String::new(),
        [pid] => format!("{pid}{doubt}"),
        [pid, others @ ..] => format!("{pid}{doubt} +{}", others.len()),
    }
}

/// The verdicts on several ports; free ones in a row are one line.
pub fn verdicts(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if answer.ports.is_empty() {
        return writeln!(out, "nothing to show: no port fits");
    }
    let mut table = plain_table(style.width);
    table.set_header(["STATUS", "PORT", "WHY"]);
    let mut statuses = Vec::new();
    for line in lines(&answer.ports) {
        let (status, ports, why) = match line {
            Line::Free { first, last, protocol } => {
                let range = if first.observed.port == last {
                    last.to_string()
                } else {
                    format!("{}-{last}", first.observed.port)
                };
                let protocol = protocol.map(|protocol| format!("/{protocol}")).unwrap_or_default();
                (Status::Free, format!("{range}{protocol}{}", on(first, "and")), String::new())
            }
            Line::One(port) => {
                let first = port.verdict.findings.first().filter(|_| port.verdict.status != Status::Free);
                let why = first.map(|finding| prose::sentence(finding, &answer.processes)).unwrap_or_default();
                (port.verdict.status, name(port), escape::terminal(&why).into_owned())
            }
        };
        statuses.push(status);
        table.add_row([status.as_str().to_owned(), ports, why]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GUTTER));
    }
    print_with_status(&table, &statuses, out)?;
    if style.verbose {
        for port in answer.ports.iter().filter(|port| port.verdict.status != Status::Free) {
            writeln!(out)?;
            report::port(answer, port, style, &mut Paper::new(style.width, out))?;
        }
    }
    notes(answer, style, out)
}

enum Line<'a> {
    One(&'a PortReport),
    Free { first: &'a PortReport, last: u16, protocol: Option<crate::model::Protocol> },
}

/// Puts free neighbours together. A port that is free by every protocol asked about counts as one.
fn lines(ports: &[PortReport]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for group in ports.chunk_by(|a, b| a.observed.port == b.observed.port && a.observed.place() == b.observed.place()) {
        let all_free = group.iter().all(|port| port.verdict.status == Status::Free);
        if !all_free {
            lines.extend(group.iter().map(Line::One));
            continue;
        }
        let free = &group[0];
        let only = if let [single] = group { Some(single.observed.protocol) } else { None };
        match lines.last_mut() {
            Some(Line::Free { first, last, protocol })
                if last.checked_add(1) == Some(free.observed.port)
                    && *protocol == only
                    && first.observed.place() == free.observed.place() =>
            {
                *last = free.observed.port;
            }
            _ => lines.push(Line::Free { first: free, last: free.observed.port, protocol: only }),
        }
    }
    lines
}

pub(super) fn plain_table(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

/// Prints a table, its heading set off.
pub(super) fn print(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    for (index, line) in table.lines().enumerate() {
        let line = line.trim_end();
        match index {
            0 => writeln!(out, "{0}{line}{0:#}", colour::STRONG)?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// The same, with the word in the first column coloured.
fn print_with_status(table: &Table, statuses: &[Status], out: &mut dyn Write) -> io::Result<()> {
    let mut statuses = statuses.iter();
    for (index, line) in table.lines().enumerate() {
        let line = line.trim_end();
        let status = if index == 0 || line.starts_with(' ') { None } else { statuses.next() };
        match status.and_then(|status| Some((status, line.strip_prefix(status.as_str())?))) {
            Some((status, rest)) => {
                let colour = colour::of(*status);
                writeln!(out, "{colour}{}{colour:#}{rest}", status.as_str())?;
            }
            None if index == 0 => writeln!(out, "{0}{line}{0:#}", colour::STRONG)?,
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// What was kept from sight, once, and the command that would show more, if one would.
fn notes(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    report::notes(answer, style, &mut Paper::new(style.width, out))?;
    let unsure = |port: &PortReport| port.observed.sockets.iter().any(|socket| socket.owners.is_unsure());
    let root_would_see = answer.gaps.iter().any(Gap::hides_owners_from_us_only);
    if root_would_see && answer.ports.iter().any(unsure) {
        let elevated = if answer.host.os == "windows" { ", in an elevated prompt" } else { "" };
        writeln!(out, "to see every owner{elevated}:  {}", escape::terminal(&style.as_root))?;
    }
    Ok(())
}
