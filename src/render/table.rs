//! Tables for people: what is in use, and the verdicts on several ports.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::columns::{GUTTER, fit, heading, items, shown, text};
use super::escape::width_of;
use super::paper::{Paper, wrap};
use super::rows::{Line, Row, lines, name, on, range, rows};
use super::{Style, colour, escape, hint, report};
use crate::commands::diagnosis::Diagnosis;
use crate::commands::list::Listing;
use crate::diagnose::{Finding, PortReport, Prominence, Severity, Status};
use crate::model::Owners;
use crate::prose;
use crate::request::Column;

/// What is in use.
pub fn list(listing: &Listing, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let diagnosis = &listing.diagnosis;
    let mut rows = rows(diagnosis, style);
    if diagnosis.inside.is_some() {
        // It is the same everywhere.
        for row in &mut rows {
            row.namespace = None;
        }
    }
    if rows.is_empty() {
        writeln!(out, "{}", hint::nothing(listing.hint.as_ref(), "socket"))?;
        return notes(diagnosis, style, out);
    }
    print(&table_of(&rows, style), out)?;
    notes(diagnosis, style, out)?;
    if rows.iter().any(|row| matches!(*row.owners, Owners::Likely { .. })) {
        writeln!(out, "? marks a process that is only likely: portcheck PORT says why")?;
    }
    if rows.iter().any(|row| matches!(*row.owners, Owners::Partial { .. })) {
        writeln!(out, "+? means that others may have the socket, too: portcheck PORT says who")?;
    }
    Ok(())
}

/// The rows as a table that fits the terminal.
fn table_of(rows: &[Row<'_>], style: &Style) -> Table {
    let columns = shown(style);
    let cells: Vec<Vec<Vec<String>>> =
        rows.iter().map(|row| columns.iter().map(|&column| items(column, row)).collect()).collect();
    let is_chosen = !style.columns.is_empty();
    let mut widths = fit(&columns, &cells, style.width.filter(|_| !is_chosen));
    if is_chosen {
        // Columns that were asked for are never left out.
        widths = widths.into_iter().zip(&columns).map(|(width, &column)| width.max(heading(column).len())).collect();
    }
    // A column without content has no width.
    let shown: Vec<usize> = (0..columns.len()).filter(|&index| widths[index] > 0).collect();
    let mut table = plain_table();
    table.set_header(shown.iter().map(|&index| heading(columns[index])));
    table.add_rows(cells.iter().map(|row| shown.iter().map(|&index| text(&row[index], widths[index]))));
    for (&index, column) in shown.iter().zip(table.column_iter_mut()) {
        if matches!(columns[index], Column::Port | Column::Pid) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((0, GUTTER));
    }
    table
}

/// Reasons get at least so much room.
const NARROWEST: usize = 30;

/// The verdicts on several ports; free ones in a row are one line.
pub fn verdicts(diagnosis: &Diagnosis, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if diagnosis.ports.is_empty() {
        return writeln!(out, "nothing to show: no port matches");
    }
    let rows: Vec<(Status, [String; 3])> =
        lines(&diagnosis.ports).iter().map(|line| verdict_row(line, diagnosis)).collect();
    with_status(["STATUS", "PORT", "WHY"], &rows, style, out)?;
    for port in diagnosis.ports.iter().filter(|port| !port.observed.elsewhere.is_empty()) {
        elsewhere(port, diagnosis, &mut Paper::new(style.width, out))?;
    }
    if style.verbose {
        for port in diagnosis.ports.iter().filter(|port| port.verdict.status != Status::Free) {
            writeln!(out)?;
            report::port(diagnosis, port, style, &mut Paper::new(style.width, out))?;
        }
    }
    notes(diagnosis, style, out)
}

/// Writes rows in columns: a status in its colour, and a reason at the end, which continues below
/// itself if it is long.
pub fn with_status<const N: usize>(
    heading: [&str; N],
    rows: &[(Status, [String; N])],
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let last = N - 1;
    let gutter = usize::from(GUTTER);
    let width = |at: usize| rows.iter().map(|(_, row)| width_of(&row[at])).fold(heading[at].len(), usize::max);
    let widths: Vec<usize> = (0..last).map(|at| width(at) + gutter).collect();
    let indent: usize = widths.iter().sum();
    let room = style.width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(indent).max(NARROWEST));
    let padded = |text: &str, at: usize| format!("{text}{:1$}", "", widths[at].saturating_sub(width_of(text)));
    let names: String = (0..last).map(|at| padded(heading[at], at)).collect();
    writeln!(out, "{0}{names}{1}{0:#}", colour::STRONG, heading[last])?;
    for (status, row) in rows {
        let colour = colour::of(*status);
        let lines = wrap(&row[last], room).join(&format!("\n{:indent$}", ""));
        let whole: String = (0..last).map(|at| padded(&row[at], at)).chain([lines]).collect();
        let (word, rest) = whole.trim_end().split_at(row[0].len());
        writeln!(out, "{colour}{word}{colour:#}{rest}")?;
    }
    Ok(())
}

/// What is good to know of a port that other network namespaces have as well.
fn elsewhere(port: &PortReport, diagnosis: &Diagnosis, paper: &mut Paper<'_>) -> io::Result<()> {
    let is_told = |finding: &&Finding| finding.severity == Severity::Info && finding.prominence == Prominence::Always;
    let mut findings = port.verdict.findings.iter().filter(is_told);
    findings.try_for_each(|finding| paper.sentence(&prose::sentence(finding, &diagnosis.processes)))
}

fn verdict_row(line: &Line<'_>, diagnosis: &Diagnosis) -> (Status, [String; 3]) {
    let (status, names, why) = match *line {
        Line::Free(run) => (Status::Free, format!("{}{}", range(run), on(&run[0], "and")), String::new()),
        Line::One(port) => {
            let first = port.verdict.findings.first().filter(|_| port.verdict.status != Status::Free);
            let why = first.map(|finding| prose::sentence(finding, &diagnosis.processes)).unwrap_or_default();
            (port.verdict.status, name(port), escape::terminal(&why).into_owned())
        }
    };
    (status, [status.into_str().to_owned(), names, why])
}

/// Without lines, and without a will of its own where to break cells: an address would not survive
/// it.
pub(super) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
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

/// What was kept from sight, once, and the command that would show more, if one would.
fn notes(diagnosis: &Diagnosis, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if let Some(inside) = &diagnosis.inside {
        writeln!(out, "looked at from inside: {}", escape::terminal(&inside.phrase()))?;
    }
    unseen(diagnosis, style, out)
}

/// The same for what has no ports.
pub(super) fn unseen(diagnosis: &Diagnosis, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    report::notes(diagnosis, style, &mut Paper::new(style.width, out))?;
    match report::as_root(diagnosis, style) {
        Some(line) if diagnosis.is_unsure() => writeln!(out, "{}", escape::terminal(&line)),
        _ => Ok(()),
    }
}
