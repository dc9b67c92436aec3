//! Connections as a table: who is connected to whom.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table};

use super::columns::GUTTER;
use super::escape::{self, width_of};
use super::paper::Paper;
use super::table::{plain_table, print};
use super::{Style, report};
use crate::commands::connections::{Connection, Group, Report};
use crate::model::{Owners, Process, Socket, TcpInfo, find_process};
use crate::render::rows::supervisor_of_process;

/// A column, and how soon it is left out on a narrow terminal: those with higher numbers go first.
struct Column {
    heading: &'static str,
    is_number: bool,
    rank: u8,
    cells: Vec<String>,
}

/// Writes the connections, or how many they are.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    match &report.groups {
        Some(groups) => counts(groups, out)?,
        None if report.connections.is_empty() => writeln!(out, "nothing to show: no connection matches")?,
        None => print(&table(report, style), out)?,
    }
    match report.time_waits {
        0 => {}
        1 => writeln!(out, "1 more is in TIME_WAIT: add --all")?,
        count => writeln!(out, "{count} more are in TIME_WAIT: add --all")?,
    }
    report::notes(&report.diagnosis, style, &mut Paper::new(style.width, out))
}

fn counts(groups: &[Group], out: &mut dyn Write) -> io::Result<()> {
    let width = groups.first().map_or(0, |group| group.count.to_string().len()).max(1);
    groups.iter().try_for_each(|group| writeln!(out, "{:>width$}  {}", group.count, escape::terminal(&group.name)))
}

fn table(report: &Report, style: &Style) -> Table {
    let mut columns = columns(report, style);
    let width =
        |columns: &[Column]| -> usize { columns.iter().map(|column| column.width() + usize::from(GUTTER)).sum() };
    columns.retain(|column| column.cells.iter().any(|cell| !cell.is_empty()));
    let room = style.width.map_or(usize::MAX, |width| usize::from(width) + usize::from(GUTTER));
    while width(&columns) > room {
        let last = (0..columns.len()).filter(|&at| columns[at].rank > 0).max_by_key(|&at| columns[at].rank);
        let Some(last) = last else { break };
        columns.remove(last);
    }
    let mut table = plain_table();
    table.set_header(columns.iter().map(|column| column.heading));
    for row in 0..report.connections.len() {
        table.add_row(columns.iter().map(|column| &column.cells[row]));
    }
    for (column, shown) in columns.iter().zip(table.column_iter_mut()) {
        if column.is_number {
            shown.set_cell_alignment(CellAlignment::Right);
        }
        shown.set_padding((0, GUTTER));
    }
    table
}

impl Column {
    fn width(&self) -> usize {
        self.cells.iter().map(|cell| width_of(cell)).fold(self.heading.len(), usize::max)
    }
}

fn columns(report: &Report, style: &Style) -> Vec<Column> {
    let processes = &report.diagnosis.processes;
    let column = |heading, is_number, rank, cell: &dyn Fn(&Connection) -> String| {
        let cell = |connection| escape::terminal(&cell(connection)).into_owned();
        Column { heading, is_number, rank, cells: report.connections.iter().map(cell).collect() }
    };
    let client = |connection: &Connection| owner(connection.client_and_server().0, processes);
    let server = |connection: &Connection| owner(connection.client_and_server().1, processes);
    let mut columns = vec![
        column("PROTO", false, 4, &|connection| connection.own.protocol.to_string()),
        column("STATE", false, 3, &|connection| connection.own.state.to_string()),
        column("FROM", false, 0, &|connection| connection.addresses().0.to_string()),
        column("CLIENT", false, 0, &client),
        column("TO", false, 0, &|connection| connection.addresses().1.map(|to| to.to_string()).unwrap_or_default()),
        column("SERVER", false, 0, &server),
        column("SENT", true, 6, &|connection| bytes(measured(connection).and_then(|(sent, _)| sent))),
        column("RECEIVED", true, 6, &|connection| bytes(measured(connection).and_then(|(_, received)| received))),
    ];
    if style.verbose {
        let info = |connection: &Connection, text: &dyn Fn(TcpInfo) -> String| {
            connection.own.tcp_info.map(text).unwrap_or_default()
        };
        columns.push(column("RTT", true, 7, &|it| info(it, &|info| format!("{:.1} ms", info.rtt.as_secs_f64() * 1e3))));
        columns.push(column("AGAIN", true, 8, &|it| info(it, &|info| info.retransmits.to_string())));
        columns.push(column("IDLE", true, 7, &|it| info(it, &|info| format!("{:.1} s", info.idle.as_secs_f64()))));
    }
    columns
}

/// What the client sent and received.
fn measured(connection: &Connection) -> Option<(Option<u64>, Option<u64>)> {
    let by = |socket: &Socket| socket.tcp_info.map(|info| (info.bytes_sent, info.bytes_received));
    match connection.client_and_server() {
        (Some(client), _) => by(client),
        (None, Some(server)) => by(server).map(|(sent, received)| (received, sent)),
        (None, None) => None,
    }
}

/// `node (4242) in docker shop-web-1`, or that somebody is not to be seen.
fn owner(socket: Option<&Socket>, processes: &[Process]) -> String {
    let Some(socket) = socket else { return String::new() };
    let pids = socket.owners.pids();
    let Some(process) = pids.first().and_then(|&pid| find_process(processes, pid)) else {
        let unseen = if socket.owners.is_unsure() { "(hidden)" } else { "(nobody)" };
        return unseen.to_owned();
    };
    let sure = if matches!(socket.owners, Owners::Likely { .. }) { "?" } else { "" };
    let others = if pids.len() > 1 { format!(" +{}", pids.len() - 1) } else { String::new() };
    let place = supervisor_of_process(process).filter(|_| process.container.is_some());
    let place = place.map(|place| format!(" in {place}")).unwrap_or_default();
    format!("{} ({}{sure}){others}{place}", process.name, process.pid)
}

/// `1.2 kB`: powers of 1000.
fn bytes(count: Option<u64>) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let Some(count) = count else { return String::new() };
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut whole, mut unit) = (count, 0);
    while whole >= 1_000_000 && unit + 1 < UNITS.len() {
        whole /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", whole / 1000, whole % 1000 / 100, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_down() {
        let all = [0, 999, 1000, 1999, 999_999, 1_250_000, u64::MAX].map(|count| bytes(Some(count)));
        assert_eq!(all, ["0 B", "999 B", "1.0 kB", "1.9 kB", "999.9 kB", "1.2 MB", "18446.7 PB"]);
        assert_eq!(bytes(None), "");
    }
}
