//! What `--free`, `--leases` and `--release` print for people, and for `$(…)`.

use std::io::{self, Write};

use comfy_table::Table;

use super::{escape, table};
use crate::commands::free::Choice;
use crate::commands::free::{Action, Report, ranges};
use crate::model::{Lease, LeaseKind};

/// Ports one a line, and nothing else: this is what scripts read. Of leases, a table.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    match report.action {
        Action::Pick(_) => report.ports.iter().try_for_each(|port| writeln!(out, "{port}")),
        Action::List if report.leases.is_empty() => writeln!(out, "no port is leased in this network namespace"),
        Action::List => table::print(&listing(&report.leases), out),
        Action::Release => report.ports.iter().try_for_each(|port| writeln!(out, "{port} is released")),
    }
}

fn listing(leases: &[Lease]) -> Table {
    let mut table = table::plain_table();
    table.set_header(["PORT", "KIND", "LEFT", "FOR", "KEPT BY", "USER"]);
    for lease in leases {
        let pids: Vec<String> = lease.pids.iter().map(ToString::to_string).collect();
        let row = [
            lease.port.to_string(),
            lease.kind.into_str().to_owned(),
            lease.expires_in.map_or_else(|| "while it runs".to_owned(), seconds),
            client(lease).unwrap_or_default(),
            if pids.is_empty() { String::new() } else { format!("pid {}", pids.join(", ")) },
            lease.user.clone().or_else(|| lease.uid.map(|uid| uid.to_string())).unwrap_or_default(),
        ];
        table.add_row(row.map(|cell| escape::terminal(&cell).into_owned()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn client(lease: &Lease) -> Option<String> {
    let client = lease.client.as_ref()?;
    Some(match client.pid {
        Some(pid) => format!("{} ({pid})", client.name),
        None => client.name.clone(),
    })
}

/// Rounded up, as what has not ended has not 0 s left.
fn seconds(time: std::time::Duration) -> String {
    format!("{} s", time.as_millis().div_ceil(1000))
}

/// What was chosen from, what was excluded, and what became of what was picked: for `-v`.
pub fn choice(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Action::Pick(Choice { span, candidates, excluded, gaps, .. }) = &report.action else { return Ok(()) };
    writeln!(out, "pool: {}, {candidates} candidates", ranges(span))?;
    for (reason, ports) in excluded {
        writeln!(out, "excluded: {} {}: {}", ports.len(), reason.words(), ranges(ports))?;
    }
    for lease in &report.leases {
        let how = if lease.kind == LeaseKind::Held { "held" } else { "reserved" };
        let whom = client(lease).map(|client| format!(" for {client}")).unwrap_or_default();
        let left = lease.expires_in.map(|left| format!(" for {}", seconds(left))).unwrap_or_default();
        let keeper = lease.pids.first().map(|pid| format!(", kept by pid {pid}")).unwrap_or_default();
        let ends = lease.client.as_ref().is_some_and(|client| client.ends_lease);
        let ends = if ends { ", or until that ends" } else { "" };
        writeln!(out, "{}", escape::terminal(&format!("lease: {} {how}{left}{whom}{ends}{keeper}", lease.port)))?;
    }
    for gap in gaps {
        writeln!(out, "{}", escape::terminal(&format!("not seen: {}", gap.summary)))?;
    }
    Ok(())
}
