//! A table in Markdown, to paste into an issue or a wiki.

use std::io::{self, Write};
use std::iter::repeat_n;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use super::rows::{Line, Row, asked, lines, range, rows, rows_of, service};
use super::{Style, escape};
use crate::commands::diagnosis::Diagnosis;
use crate::commands::preflight::Report as Preflight;
use crate::diagnose::{PortReport, Status};
use crate::request::Column;

/// The columns. The last one is hidden unless other network namespaces were looked at.
const HEADING: [&str; 10] =
    ["Port", "Status", "Service", "Address", "Exposed", "Process", "PID", "User", "Unit/container", "Namespace"];

/// Writes a row for each holder, one for each port without any, and one for all free ports in a
/// row.
pub fn write(diagnosis: &Diagnosis, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADING);
    if style.order.column != Column::Port {
        for row in rows(diagnosis, style) {
            add_row(&row, &mut table);
        }
        return finish(table, diagnosis, out);
    }
    for line in lines(&diagnosis.ports) {
        match line {
            Line::Free(run @ [first, .., last]) if first.observed.port != last.observed.port && is_unused(run) => {
                let start = [range(run), first.verdict.status.into_str().to_owned(), String::new()];
                table.add_row(start.into_iter().chain([asked(first).join(", ")]).chain(repeat_n(String::new(), 6)));
            }
            Line::Free(run) => run.iter().for_each(|port| add_port(port, diagnosis, style, &mut table)),
            Line::One(port) => add_port(port, diagnosis, style, &mut table),
        }
    }
    finish(table, diagnosis, out)
}

fn finish(mut table: Table, diagnosis: &Diagnosis, out: &mut dyn Write) -> io::Result<()> {
    let is_elsewhere =
        |port: &PortReport| port.observed.everywhere().any(|socket| socket.namespace != diagnosis.inside);
    if !diagnosis.ports.iter().any(is_elsewhere)
        && let Some(namespaces) = table.column_mut(HEADING.len() - 1)
    {
        namespaces.set_constraint(ColumnConstraint::Hidden);
    }
    writeln!(out, "{table}")
}

/// Writes a row for each port that a file asks for.
pub fn preflight(report: &Preflight, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["Status", "Port", "Asked for by", "Why", "Free"]);
    for row in &report.rows {
        let [status, port, service, why] = super::preflight::cells(report, row);
        let free = row.suggestion.map(|port| port.to_string()).unwrap_or_default();
        table.add_row([status, cell(&port), cell(&service), cell(&why), free]);
    }
    writeln!(out, "{table}")
}

fn is_unused(run: &[PortReport]) -> bool {
    run.iter().all(|port| port.observed.everywhere().next().is_none())
}

fn add_port(port: &PortReport, diagnosis: &Diagnosis, style: &Style, table: &mut Table) {
    let rows = rows_of(port, &diagnosis.processes, style);
    if rows.iter().all(|row| row.status != port.verdict.status) {
        let start = start(port, port.verdict.status).into_iter().chain([asked(port).join(", ")]);
        table.add_row(start.chain(repeat_n(String::new(), 6)));
    }
    for row in &rows {
        add_row(row, table);
    }
}

fn start(port: &PortReport, status: Status) -> [String; 3] {
    [port.observed.name(), status.into_str().to_owned(), cell(&service(port).unwrap_or_default())]
}

fn add_row(row: &Row<'_>, table: &mut Table) {
    let pids: Vec<String> = row.owners.pids().iter().map(ToString::to_string).collect();
    let rest = [
        cell(&row.addresses.join(", ")),
        row.exposure.into_str().to_owned(),
        cell(row.process.as_deref().unwrap_or_default()),
        pids.join(", "),
        cell(row.user.as_deref().unwrap_or_default()),
        cell(row.supervisor.as_deref().unwrap_or_default()),
        cell(row.namespace.as_deref().unwrap_or_default()),
    ];
    table.add_row(start(row.port, row.status).into_iter().chain(rest));
}

/// Keeps text from being taken for markup.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in escape::terminal(text).chars() {
        if matches!(character, '|' | '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '&') {
            cell.push('\\');
        }
        cell.push(character);
    }
    cell
}
