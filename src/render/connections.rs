//! Connections as a table: who is connected to whom.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use strum::VariantArray;

use super::columns::GUTTER;
use super::escape::{self, width_of};
use super::table::{self, plain_table, print};
use super::{Style, hint};
use crate::commands::connections::{Connection, Group, Report, no_process};
use crate::duration::words;
use crate::model::{Owners, Pid, Process, Socket, TcpInfo, find_process};
use crate::render::rows::{engine_and_name, supervisor_of_process};
use crate::request::ConnectionColumn as Column;

/// A column with its cells.
struct Filled {
    column: Column,
    cells: Vec<String>,
}

/// Writes the connections, or how many they are.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    match &report.groups {
        _ if report.connections().len() == 0 => {
            writeln!(out, "{}", hint::nothing(report.hint.as_ref(), "connection"))?;
        }
        Some(groups) => counts(groups, out)?,
        None => {
            let (columns, left_out) = columns(report, style);
            print(&table(report, &columns), out)?;
            if style.verbose && !left_out.is_empty() {
                writeln!(out, "not shown, for want of width: {}", left_out.join(", "))?;
            }
        }
    }
    match report.time_waits {
        0 => {}
        1 => writeln!(out, "1 more is in TIME_WAIT: add --all")?,
        count => writeln!(out, "{count} more are in TIME_WAIT: add --all")?,
    }
    table::unseen(&report.diagnosis, style, out)
}

fn counts(groups: &[Group], out: &mut dyn Write) -> io::Result<()> {
    let width = groups.first().map_or(0, |group| group.count.to_string().len()).max(1);
    groups.iter().try_for_each(|group| writeln!(out, "{:>width$}  {}", group.count, escape::terminal(&group.name)))
}

/// The columns that are shown, and the headings of those for which there is no room.
fn columns(report: &Report, style: &Style) -> (Vec<Filled>, Vec<&'static str>) {
    let fill = |&column: &Column| {
        let cell = |connection| escape::terminal(&cell(column, connection, report, style)).into_owned();
        Filled { column, cells: report.connections().map(cell).collect() }
    };
    let is_usual = |column: &&Column| rank(**column).is_some_and(|rank| style.verbose || rank < VERBOSE);
    match &*style.connection_columns {
        [] => fit(Column::VARIANTS.iter().filter(is_usual).map(fill).collect(), style.width),
        chosen => (chosen.iter().map(fill).collect(), Vec::new()),
    }
}

fn table(report: &Report, columns: &[Filled]) -> Table {
    let mut table = plain_table();
    table.set_header(columns.iter().map(|filled| heading(filled.column)));
    for row in 0..report.connections().len() {
        table.add_row(columns.iter().map(|filled| &filled.cells[row]));
    }
    for (filled, shown) in columns.iter().zip(table.column_iter_mut()) {
        if is_number(filled.column) {
            shown.set_cell_alignment(CellAlignment::Right);
        }
        shown.set_padding((0, GUTTER));
    }
    table
}

/// Leaves out what is empty, and as much of the rest as it takes to fit into `limit`. Returns the
/// headings of the latter, too.
fn fit(mut columns: Vec<Filled>, limit: Option<u16>) -> (Vec<Filled>, Vec<&'static str>) {
    columns.retain(|filled| filled.cells.iter().any(|cell| !cell.is_empty()));
    let mut left_out = Vec::new();
    let Some(limit) = limit else { return (columns, left_out) };
    let room = usize::from(limit) + usize::from(GUTTER);
    let width = |columns: &[Filled]| columns.iter().map(|filled| filled.width() + usize::from(GUTTER)).sum::<usize>();
    while width(&columns) > room {
        let rank = |&at: &usize| rank(columns[at].column).unwrap_or(0);
        let Some(last) = (0..columns.len()).filter(|at| rank(at) > 0).max_by_key(rank) else { break };
        left_out.push(heading(columns.remove(last).column));
    }
    left_out.reverse();
    (columns, left_out)
}

impl Filled {
    fn width(&self) -> usize {
        self.cells.iter().map(|cell| width_of(cell)).fold(heading(self.column).len(), usize::max)
    }
}

/// From this rank on, a column is for `-v` only.
const VERBOSE: u8 = 7;

/// How soon a column is left out on a narrow terminal: those with higher numbers go first, and 0
/// never. `None` for those that are shown only if asked for, as others say the same.
const fn rank(column: Column) -> Option<u8> {
    match column {
        Column::From | Column::Client | Column::To | Column::Server => Some(0),
        Column::Namespace => Some(2),
        Column::State => Some(3),
        Column::Protocol => Some(4),
        Column::Sent | Column::Received => Some(6),
        Column::Rtt | Column::Idle | Column::Queued => Some(VERBOSE),
        Column::Retransmits => Some(VERBOSE + 1),
        Column::Port | Column::Local | Column::Peer | Column::Process | Column::Bytes => None,
    }
}

const fn heading(column: Column) -> &'static str {
    match column {
        Column::Port => "PORT",
        Column::Protocol => "PROTO",
        Column::State => "STATE",
        Column::Local => "LOCAL",
        Column::Peer => "PEER",
        Column::Process => "PROCESS",
        Column::From => "FROM",
        Column::Client => "CLIENT",
        Column::To => "TO",
        Column::Server => "SERVER",
        Column::Namespace => "NAMESPACE",
        Column::Sent => "SENT",
        Column::Received => "RECEIVED",
        Column::Bytes => "BYTES",
        Column::Queued => "QUEUED",
        Column::Rtt => "RTT",
        Column::Retransmits => "RETRANSMITS",
        Column::Idle => "IDLE",
    }
}

const fn is_number(column: Column) -> bool {
    matches!(
        column,
        Column::Port
            | Column::Sent
            | Column::Received
            | Column::Bytes
            | Column::Queued
            | Column::Rtt
            | Column::Retransmits
            | Column::Idle
    )
}

fn cell(column: Column, connection: Connection<'_>, report: &Report, style: &Style) -> String {
    let own = connection.own;
    let (from, to) = connection.addresses();
    let (client, server) = connection.client_and_server();
    let name = |end: SocketAddr| match report.names.get(&end.ip()) {
        Some(name) => format!("{name}:{}", end.port()),
        None => SocketAddr::new(end.ip().to_canonical(), end.port()).to_string(),
    };
    let address = |end: Option<SocketAddr>| end.map(name).unwrap_or_default();
    let owner = |end: Option<&Socket>| end.map(|end| owner(end, connection, report, style)).unwrap_or_default();
    let info = |text: &dyn Fn(TcpInfo) -> String| own.tcp_info.map(text).unwrap_or_default();
    match column {
        Column::Port => to.unwrap_or(from).port().to_string(),
        Column::Protocol => own.protocol.to_string(),
        Column::State => connection.states(),
        Column::Local => name(own.local),
        Column::Peer => address(own.remote),
        Column::Process => owner(Some(own)),
        Column::From => name(from),
        Column::Client => owner(client),
        Column::To => address(to),
        Column::Server => owner(server),
        Column::Namespace => connection.namespaces(),
        Column::Sent => bytes(connection.client_bytes().0),
        Column::Received => bytes(connection.client_bytes().1),
        Column::Bytes => bytes(connection.bytes()),
        Column::Queued => bytes(connection.queued()),
        Column::Rtt => info(&|info| rtt(info.rtt_us)),
        Column::Retransmits => info(&|info| info.retransmits.to_string()),
        Column::Idle => info(&|info| words(Duration::from_millis(info.idle_ms.into()))),
    }
}

/// `node (4242) in docker shop-web-1`, or what is known of a holder that could not be inspected.
fn owner(socket: &Socket, connection: Connection<'_>, report: &Report, style: &Style) -> String {
    let pids = socket.owners.pids();
    let process = |pids: &[Pid]| find_process(&report.diagnosis.processes, *pids.first()?);
    let Some(holder) = process(pids) else {
        let accepting = connection.waits_for().filter(|_| std::ptr::eq(socket, connection.own));
        return match accepting.and_then(|listener| process(listener.owners.pids())) {
            Some(server) => format!("(not accepted by {})", named(server, "")),
            None => no_process(socket),
        };
    };
    let sure = if matches!(socket.owners, Owners::Likely { .. }) { "?" } else { "" };
    let others = if pids.len() > 1 { format!(" +{}", pids.len() - 1) } else { String::new() };
    let descriptor = socket.descriptors.first().filter(|_| style.verbose);
    let descriptor = descriptor.map(|descriptor| format!(", fd {}", descriptor.number)).unwrap_or_default();
    let place = place(holder).or_else(|| published_for(socket)).unwrap_or_default();
    format!("{}{others}{place}", named(holder, &format!("{sure}{descriptor}")))
}

/// `node (4242)`, with more behind the number.
fn named(process: &Process, more: &str) -> String {
    format!("{} ({}{more})", process.name, process.pid)
}

/// `node (4242) in docker shop-web-1`.
pub fn owner_name(process: &Process) -> String {
    named(process, "") + &place(process).unwrap_or_default()
}

/// The container of a process.
fn place(process: &Process) -> Option<String> {
    let place = supervisor_of_process(process).filter(|_| process.container.is_some());
    place.map(|place| format!(" in {place}"))
}

/// The container whose port a process forwards.
fn published_for(socket: &Socket) -> Option<String> {
    let container = socket.forward.as_ref()?.container.as_ref()?;
    Some(format!(" for {}", engine_and_name(container)))
}

/// `23 us`, `1.5 ms`.
fn rtt(us: u32) -> String {
    if us < 1000 { format!("{us} us") } else { format!("{:.1} ms", f64::from(us) / 1e3) }
}

/// `1.2 kB`: powers of 1000.
pub fn bytes(count: Option<u64>) -> String {
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
    fn what_matters_least_is_left_out_and_named() {
        let filled = |column, cell: &str| Filled { column, cells: vec![cell.to_owned()] };
        let columns = || {
            let ends =
                [Column::From, Column::Client, Column::To, Column::Server].map(|end| filled(end, "127.0.0.1:8080"));
            [filled(Column::Protocol, "tcp"), filled(Column::State, "established")]
                .into_iter()
                .chain(ends)
                .chain([filled(Column::Sent, "0 B"), filled(Column::Namespace, ""), filled(Column::Rtt, "25 us")])
                .collect()
        };
        for (width, left_out) in [(None, &[][..]), (Some(90), &["RTT"]), (Some(80), &["PROTO", "SENT", "RTT"])] {
            let (shown, missing) = fit(columns(), width);
            assert_eq!((shown.len(), &*missing), (8 - left_out.len(), left_out), "{width:?}");
        }
        assert_eq!(fit(columns(), Some(20)).0.len(), 4, "the ends stay");
    }

    #[test]
    fn bytes_are_rounded_down() {
        let all = [0, 999, 1000, 1999, 999_999, 1_250_000, u64::MAX].map(|count| bytes(Some(count)));
        assert_eq!(all, ["0 B", "999 B", "1.0 kB", "1.9 kB", "999.9 kB", "1.2 MB", "18446.7 PB"]);
        assert_eq!(bytes(None), "");
    }
}
