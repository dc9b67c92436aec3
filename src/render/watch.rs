//! The events of `portcheck watch` for people, a line each.

use std::io::{self, Write};
use std::time::SystemTime;

use super::Style;
use super::colour::{FAINT, STRONG};
use super::columns::items;
use super::rows::{Row, rows_of};
use crate::commands::watch::Event;
use crate::diagnose::PortReport;
use crate::model::Process;
use crate::request::Column;

/// Writes an event.
pub fn event(event: &Event, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let (time, kind) = (time(event.time), event.kind.into_str());
    write!(out, "{FAINT}{time}{FAINT:#}  {STRONG}{kind:7}{STRONG:#}  ")?;
    let Some(port) = &event.port else {
        return writeln!(out, "{}", lost(event.missed));
    };
    let (name, what) = (port.observed.name(), holders(port, &event.processes, style));
    write!(out, "{STRONG}{name}{STRONG:#}  {what}")?;
    if let Some(before) = &event.before {
        write!(out, "  before: {}", holders(before, &event.processes, style))?;
    }
    writeln!(out)
}

/// To the millisecond, in UTC, as RFC 3339 writes it.
pub fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.3}")).unwrap_or_default()
}

fn lost(missed: Option<usize>) -> String {
    match missed {
        Some(1) => "1 event was missed: too quick to be seen, or too many for the reader".to_owned(),
        Some(count) => format!("{count} events were missed: too quick to be seen, or too many for the reader"),
        None => "so many sockets were closed that the kernel did not report all".to_owned(),
    }
}

/// Who holds a port, and where: `0.0.0.0, ::  nginx  4242  www  nginx.service`.
fn holders(port: &PortReport, processes: &[Process], style: &Style) -> String {
    let rows: Vec<String> = rows_of(port, processes, style).iter().map(holder).collect();
    rows.join("; ")
}

fn holder(row: &Row<'_>) -> String {
    let is_connection = row.peer.is_some();
    let state = [Column::State, Column::Peer].into_iter().filter(|_| is_connection);
    let columns = [Column::Namespace, Column::Address].into_iter().chain(state);
    let columns = columns.chain([Column::Process, Column::Pid, Column::User, Column::Unit]);
    let texts = columns.map(|column| items(column, row).join(", ")).filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join("  ")
}
