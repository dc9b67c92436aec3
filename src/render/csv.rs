//! Comma-separated values (RFC 4180): a heading, then a row for each process on a port, escaped as for a terminal.

use std::io::{self, Write};
use std::iter::repeat_n;

use super::rows::{asked, rows};
use super::{Style, escape};
use crate::answer::Answer;

/// Writes a row for each holder, and one for each port without any.
pub fn write(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
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
    ])?;
    let rows = rows(answer, style.connections);
    let mut rows = rows.iter().peekable();
    for port in &answer.ports {
        let service = port.observed.service.as_ref();
        let start = [
            port.observed.port.to_string(),
            port.observed.protocol.to_string(),
            port.verdict.status.as_str().to_owned(),
            port.observed.class().as_str().to_owned(),
            service.and_then(|service| service.name.clone()).unwrap_or_default(),
            service.and_then(|service| service.common_use).unwrap_or_default().to_owned(),
        ];
        if rows.peek().is_none_or(|row| !std::ptr::eq(row.port, port)) {
            let start = start.into_iter().chain([asked(port).join(" ")]);
            writer.write_record(start.map(|text| cell(&text)).chain(repeat_n(String::new(), 9)))?;
            continue;
        }
        while let Some(row) = rows.next_if(|row| std::ptr::eq(row.port, port)) {
            let pids: Vec<String> = row.pids.iter().map(ToString::to_string).collect();
            let rest = [
                row.addresses.join(" "),
                row.states.join(" "),
                row.peer.clone().unwrap_or_default(),
                row.exposure.as_str().to_owned(),
                row.owners.kind().to_owned(),
                row.process.clone().unwrap_or_default(),
                pids.join(" "),
                row.user.clone().unwrap_or_default(),
                row.supervisor.clone().unwrap_or_default(),
                escape::command_line(row.command),
            ];
            writer.write_record(start.iter().chain(&rest).map(|text| cell(text)))?;
        }
    }
    writer.flush()
}

/// A table of this kind is looked at on a terminal too.
fn cell(text: &str) -> String {
    escape::terminal(text).into_owned()
}
