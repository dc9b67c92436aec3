//! What manifests ask for, and whether it is available: a table, and what to do.

use std::io::{self, Write};

use super::paper::Paper;
use super::report::headline;
use super::table::with_status;
use super::{Style, escape};
use crate::commands::preflight::{Asked, Report, Row, Standing};
use crate::diagnose::{PortReport, Prominence, Remedy, Severity, Status};
use crate::prose;

/// Writes a row for each port, and what to do about those that are not available.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if report.rows.is_empty() {
        return writeln!(out, "nothing to show: no file asks for a port");
    }
    let rows: Vec<(Status, [String; 4])> = report.rows.iter().map(|row| (colour_of(row), cells(report, row))).collect();
    with_status(["STATUS", "PORT", "ASKED FOR BY", "WHY"], &rows, style, out)?;
    let paper = &mut Paper::new(style.width, out);
    let wrong: Vec<&Row> = report.rows.iter().filter(|row| !row.is_fine()).collect();
    if !wrong.is_empty() {
        paper.gap()?;
    }
    for row in &wrong {
        for text in what_to_do(report, row) {
            paper.field(&place(row), &text)?;
        }
    }
    super::report::notes(&report.diagnosis, style, paper)?;
    writeln!(out, "{}", conclusion(report))
}

/// How many ports are available.
pub fn conclusion(report: &Report) -> String {
    let all = report.rows.len();
    let wrong = report.rows.iter().filter(|row| !row.is_fine()).count();
    let ports = if all == 1 { "port" } else { "ports" };
    let files = if report.files == 1 { "1 file" } else { &*format!("{} files", report.files) };
    match wrong {
        0 if all == 1 => format!("1 port of {files} is available"),
        0 => format!("{all} ports of {files} are available"),
        1 => format!("1 of {all} {ports} of {files} is not available"),
        _ => format!("{wrong} of {all} {ports} of {files} are not available"),
    }
}

fn colour_of(row: &Row) -> Status {
    match row.standing {
        _ if row.is_fine() => Status::Free,
        Standing::Unknown | Standing::Unresolved => Status::Unknown,
        _ => Status::Held,
    }
}

/// What a row says in each column.
pub fn cells(report: &Report, row: &Row) -> [String; 4] {
    let service = &row.wanted.service;
    let mut reasons: Vec<String> = why(report, row).into_iter().collect();
    reasons.extend(warnings(report, row));
    let cells = [status(row).to_owned(), port(row), format!("{} {service}", place(row)), reasons.join("; ")];
    cells.map(|cell| escape::terminal(&cell).into_owned())
}

/// `held`, `moved` where a variable was given another port, `ours` for what this project itself holds.
pub fn status(row: &Row) -> &'static str {
    match row.standing {
        Standing::Free => "free",
        _ if row.is_own => "ours",
        _ if row.is_fine() => "moved",
        standing => standing.into_str(),
    }
}

/// `8080/tcp`, `127.0.0.1:8080/tcp`, `8080-8090/tcp`.
pub fn port(row: &Row) -> String {
    let protocol = row.wanted.protocol;
    let place = match row.wanted.address {
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]:"),
        Some(address) => format!("{address}:"),
        None => String::new(),
    };
    match (&row.wanted.port, row.port) {
        (Asked::AnyOf(first, last), _) => format!("{place}{first}-{last}/{protocol}"),
        (_, Some(port)) => format!("{place}{port}/{protocol}"),
        _ => format!("{place}?/{protocol}"),
    }
}

/// `compose.yaml:12`.
pub fn place(row: &Row) -> String {
    let file = row.wanted.file.display();
    if row.wanted.spot.line > 0 { format!("{file}:{}", row.wanted.spot.line) } else { file.to_string() }
}

fn answered<'a>(report: &'a Report, row: &Row) -> Option<&'a PortReport> {
    row.report.and_then(|at| report.diagnosis.ports.get(at))
}

/// Who holds a port, in the words of a report.
pub fn holder(report: &Report, row: &Row) -> Option<String> {
    let answered = answered(report, row).filter(|port| port.verdict.status == Status::Held)?;
    Some(headline::of(&[answered], &report.diagnosis).text)
}

/// Why a port is not available, or why that is no conflict.
pub fn why(report: &Report, row: &Row) -> Option<String> {
    let other = row.collides_with.and_then(|other| report.rows.get(other));
    let found = || {
        let answered = answered(report, row)?;
        Some(prose::sentence(answered.verdict.findings.first()?, &report.diagnosis.processes))
    };
    match (row.standing, &row.wanted.port) {
        (Standing::Collision, _) => Some(match other {
            Some(other) => format!("{} {} asks for it, too", place(other), other.wanted.service),
            None => "the other ports of the files take all of the range".to_owned(),
        }),
        (_, Asked::Unresolved(why)) => Some(why.clone()),
        (Standing::Held, _) if row.is_own => Some(format!("this project holds it: {}", holder(report, row)?)),
        (Standing::Held, _) => holder(report, row),
        (Standing::Free, Asked::AnyOf(..)) => Some(format!("{} is free", row.port.unwrap_or_default())),
        (Standing::Free, _) => None,
        _ => found(),
    }
}

/// What may surprise, a sentence each.
pub fn warnings(report: &Report, row: &Row) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    if let (Some(name), Some(port)) = (&row.substitute, row.suggestion.filter(|_| row.is_fine())) {
        warnings.push(format!("so {name}={port} is written"));
    }
    if row.wanted.is_default {
        warnings.push("default: no file names it".to_owned());
    }
    warnings.extend(row.wanted.warning.clone());
    if let Some(other) = row.collides_with.and_then(|other| report.rows.get(other)) {
        let says_it = row.standing == Standing::Collision;
        warnings.extend((!says_it).then(|| format!("{} {} asks for it, too", place(other), other.wanted.service)));
    }
    if row.is_bound_by_root {
        warnings.push("only root may bind it, as a system service does; an engine of your own may not".to_owned());
    }
    if row.port.is_some_and(|port| report.diagnosis.host.reserved_ports.contains(port)) {
        warnings
            .push("it is reserved (net.ipv4.ip_local_reserved_ports), so somebody may keep it for a server".to_owned());
    }
    let findings = answered(report, row).map_or(&[][..], |port| &port.verdict.findings);
    let is_told =
        |severity: Severity, prominence: Prominence| severity == Severity::Warning && prominence == Prominence::Always;
    let told = findings.iter().filter(|finding| is_told(finding.severity, finding.prominence));
    warnings.extend(told.map(|finding| prose::sentence(finding, &report.diagnosis.processes)));
    warnings
}

/// What helps, the best first: another port, or what ends the holder.
pub fn what_to_do(report: &Report, row: &Row) -> Vec<String> {
    let mut todo = Vec::new();
    if let Asked::Unresolved(_) = row.wanted.port {
        todo.extend(row.wanted.variable.as_ref().map(|name| format!("set {name}, or give it a default")));
        return todo;
    }
    if let (Some(port), Some(suggestion)) = (row.port, row.suggestion) {
        todo.push(match &row.wanted.variable {
            Some(name) => format!("set {name}={suggestion}, which is free"),
            None if row.substitute.is_some() => {
                let name = row.substitute.as_deref().unwrap_or_default();
                format!("{name}={suggestion} is written: put ${{{name}:-{port}}} in place of {port}, so that it counts")
            }
            None => format!("change {port} to {suggestion}, which is free"),
        });
    }
    if row.standing == Standing::Held {
        let command = remedy(report, row).and_then(|remedy| remedy.command.as_deref());
        todo.extend(command.map(|command| format!("or end the holder: {}", escape::typed(command))));
    }
    todo
}

/// The best thing to do about a holder.
fn remedy<'a>(report: &'a Report, row: &Row) -> Option<&'a Remedy> {
    answered(report, row)?.verdict.findings.first()?.remedies.iter().find(|remedy| remedy.command.is_some())
}
