//! Comma-separated values (RFC 4180): a heading, then a row for each process on a port, or for each
//! port that was picked, leased or released. Texts are escaped as for a terminal.

use std::io::{self, Write};
use std::iter::repeat_n;

use super::rows::{Row, asked, with_ports};
use super::{Style, escape};
use crate::commands::connections;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::free::Report;
use crate::commands::preflight::Report as Preflight;
use crate::duration::milliseconds;
use crate::model::{Socket, find_process};

/// The columns. Scripts go by the names, so new ones are added at the end.
const HEADING: [&str; 17] = [
    "port",
    "protocol",
    "status",
    "class",
    "service",
    "common_use",
    "addresses",
    "state",
    "peer",
    "exposure",
    "owners",
    "process",
    "pids",
    "user",
    "supervisor",
    "command",
    "namespace",
];

/// Writes a row for each connection, from its end on this machine.
pub fn connections(report: &connections::Report, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "protocol",
        "state",
        "local",
        "remote",
        "direction",
        "process",
        "pids",
        "peer_process",
        "peer_pids",
        "bytes_sent",
        "bytes_received",
        "rtt_us",
        "retransmits",
        "remote_name",
        "send_queue",
        "receive_queue",
        "idle_ms",
        "namespace",
        "peer_state",
        "peer_namespace",
    ])?;
    let owner = |socket: &Socket| -> [String; 2] {
        let pids = socket.owners.pids();
        let process = pids.first().and_then(|&pid| find_process(&report.diagnosis.processes, pid));
        let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        [process.map(|process| process.name.clone()).unwrap_or_default(), pids.join(" ")]
    };
    for connection in report.connections() {
        let own = connection.own;
        let start = [
            own.protocol.to_string(),
            own.state.to_string(),
            own.local.to_string(),
            own.remote.map(|remote| remote.to_string()).unwrap_or_default(),
            connection.direction.map(|direction| direction.into_str().to_owned()).unwrap_or_default(),
        ];
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let info = own.tcp_info;
        let rest = [
            number(info.and_then(|info| info.bytes_sent)),
            number(info.and_then(|info| info.bytes_received)),
            info.map(|info| info.rtt_us.to_string()).unwrap_or_default(),
            info.map(|info| info.retransmits.to_string()).unwrap_or_default(),
            own.remote.and_then(|remote| report.names.get(&remote.ip())).cloned().unwrap_or_default(),
        ];
        let namespace =
            |end: Option<&Socket>| end.and_then(|end| Some(end.namespace.as_ref()?.title())).unwrap_or_default();
        let added = [
            number(own.send_queue.map(u64::from)),
            number(own.receive_queue.map(u64::from)),
            number(info.map(|info| info.idle_ms.into())),
            namespace(Some(own)),
            connection.peer.map(|peer| peer.state.to_string()).unwrap_or_default(),
            namespace(connection.peer),
        ];
        let peer = connection.peer.map(owner).unwrap_or_default();
        let cells = start.into_iter().chain(owner(own)).chain(peer).chain(rest).chain(added);
        writer.write_record(cells.map(|text: String| cell(&text)))?;
    }
    writer.flush()
}

/// Writes a row for each port that a file asks for.
pub fn preflight(report: &Preflight, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "file",
        "line",
        "service",
        "address",
        "port",
        "protocol",
        "status",
        "held_by_this_project",
        "reason",
        "suggestion",
    ])?;
    for row in &report.rows {
        let wanted = &row.wanted;
        let number = |number: Option<u16>| number.map(|number| number.to_string()).unwrap_or_default();
        let cells = [
            wanted.file.to_string_lossy().into_owned(),
            wanted.spot.line.to_string(),
            wanted.service.clone(),
            wanted.address.map(|address| address.to_string()).unwrap_or_default(),
            number(row.port),
            wanted.protocol.to_string(),
            row.standing.into_str().to_owned(),
            row.is_own.to_string(),
            super::preflight::why(report, row).unwrap_or_default(),
            number(row.suggestion),
        ];
        writer.write_record(cells.map(|text: String| cell(&text)))?;
    }
    writer.flush()
}

/// Writes a row for each holder, and one for each port without any.
pub fn write(diagnosis: &Diagnosis, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADING)?;
    for (port, rows) in with_ports(diagnosis, style) {
        let service = port.observed.service.as_ref();
        let start = [
            port.observed.port.to_string(),
            port.observed.protocol.to_string(),
            port.verdict.status.into_str().to_owned(),
            port.observed.class().into_str().to_owned(),
            service.and_then(|service| service.name.clone()).unwrap_or_default(),
            service.and_then(|service| service.common_use).unwrap_or_default().to_owned(),
        ];
        if rows.iter().all(|row| row.status != port.verdict.status) {
            let start = start.iter().cloned().chain([asked(port).join(" ")]);
            writer.write_record(start.map(|text| cell(&text)).chain(repeat_n(String::new(), 10)))?;
        }
        for row in rows {
            let [port, protocol, _, class, service, common] = &start;
            let status = row.status.into_str().to_owned();
            let rest = columns(&row);
            let start = [port, protocol, &status, class, service, common];
            writer.write_record(start.into_iter().chain(&rest).map(|text| cell(text)))?;
        }
    }
    writer.flush()
}

/// What a row says of the holder.
fn columns(row: &Row<'_>) -> [String; 11] {
    let pids: Vec<String> = row.owners.pids().iter().map(ToString::to_string).collect();
    [
        row.addresses.join(" "),
        row.states.join(" "),
        row.peer.clone().unwrap_or_default(),
        row.exposure.into_str().to_owned(),
        row.owners.kind().to_owned(),
        row.process.clone().unwrap_or_default(),
        pids.join(" "),
        row.user.clone().unwrap_or_default(),
        row.supervisor.clone().unwrap_or_default(),
        escape::command_line(row.command),
        row.namespace.clone().unwrap_or_default(),
    ]
}

/// Writes a row for each port of `free`, `leases` or `release`, with its lease if there is one.
pub fn leases(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["port", "kind", "expires_in_ms", "client", "client_pid", "pids", "user"])?;
    for port in &report.ports {
        let lease = report.leases.iter().find(|lease| lease.port == *port);
        let client = lease.and_then(|lease| lease.client.as_ref());
        let pids = lease.iter().flat_map(|lease| &lease.pids).map(ToString::to_string);
        writer.write_record([
            port.to_string(),
            lease.map_or("", |lease| lease.kind.into_str()).to_owned(),
            lease.and_then(|lease| lease.expires_in).map(|left| milliseconds(left).to_string()).unwrap_or_default(),
            client.map(|client| cell(&client.name)).unwrap_or_default(),
            client.and_then(|client| client.pid).map(|pid| pid.to_string()).unwrap_or_default(),
            pids.collect::<Vec<_>>().join(" "),
            lease.and_then(|lease| lease.user.as_deref()).map(cell).unwrap_or_default(),
        ])?;
    }
    writer.flush()
}

/// A table of this kind is looked at on a terminal too.
fn cell(text: &str) -> String {
    escape::terminal(text).into_owned()
}
