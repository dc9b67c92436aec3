//! A table in Markdown, to paste into an issue or a wiki.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};

use super::rows::{asked, rows, service};
use super::{Style, escape};
use crate::answer::Answer;

/// Writes a row for each holder, and one for each port without any.
pub fn write(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["Port", "Status", "Service", "Address", "Exposed", "Process", "PID", "User", "Unit/container"]);
    let rows = rows(answer, style.connections);
    let mut rows = rows.iter().peekable();
    for port in &answer.ports {
        let start = [
            format!("{}/{}", port.observed.port, port.observed.protocol),
            port.verdict.status.into_str().to_owned(),
            cell(&service(port).unwrap_or_default()),
        ];
        if rows.peek().is_none_or(|row| !std::ptr::eq(row.port, port)) {
            let asked = asked(port).join(", ");
            table.add_row(start.iter().map(String::as_str).chain([&*asked]).chain([""; 5]));
        }
        while let Some(row) = rows.next_if(|row| std::ptr::eq(row.port, port)) {
            let pids: Vec<String> = row.pids.iter().map(ToString::to_string).collect();
            let rest = [
                cell(&row.addresses.join(", ")),
                row.exposure.into_str().to_owned(),
                cell(row.process.as_deref().unwrap_or_default()),
                pids.join(", "),
                cell(row.user.as_deref().unwrap_or_default()),
                cell(row.supervisor.as_deref().unwrap_or_default()),
            ];
            table.add_row(start.iter().chain(&rest));
        }
    }
    writeln!(out, "{table}")
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
