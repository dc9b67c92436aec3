//! What answers on each port, in words: the answer first, then what the server says of itself.

use std::io::{self, Write};

use super::paper::Paper;
use super::report;
use super::{Style, colour};
use crate::commands::identify::Report;
use crate::diagnose::{PortReport, Status};
use crate::duration::rfc3339;
use crate::model::{Asked, Certificate, Identified, Spoken, Tls};

/// Writes what there is to say of each port.
pub fn write(found: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let paper = &mut Paper::new(style.width, out);
    for (index, port) in found.diagnosis.ports.iter().enumerate() {
        let Some(identified) = port.observed.identified.as_deref() else { continue };
        if index > 0 {
            paper.gap()?;
        }
        one(port, identified, style, paper)?;
        if style.verbose {
            paper.gap()?;
            report::port(&found.diagnosis, port, style, paper)?;
        }
    }
    Ok(())
}

fn one(port: &PortReport, found: &Identified, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let (status, text) = headline(&port.observed.name(), found);
    paper.coloured(&text, colour::of(status))?;
    let Some(address) = found.address.filter(|_| found.asked != Asked::NoConnection) else { return Ok(()) };
    paper.gap()?;
    paper.field("asked at", &address.to_string())?;
    if let Some(server) = &found.server {
        paper.field("server", server)?;
    }
    for (name, text) in &found.detail {
        paper.field(&name.replace('_', " "), text)?;
    }
    if let Some(tls) = &found.tls {
        encryption(tls, style, paper)?;
    }
    match &found.note {
        Some(note) if found.asked == Asked::Answered => paper.field("note", note),
        _ => Ok(()),
    }
}

/// What answers, or why that is not known.
fn headline(name: &str, found: &Identified) -> (Status, String) {
    let note = found.note.as_deref().unwrap_or_default();
    match (found.asked, found.spoken) {
        (Asked::Answered, Some(spoken)) => (Status::Free, answered(name, spoken, found)),
        (Asked::NoConnection, _) => (Status::Held, format!("{name} does not answer: {note}")),
        _ => (Status::Unknown, format!("what answers on {name} is not known: {note}")),
    }
}

fn answered(name: &str, spoken: Spoken, found: &Identified) -> String {
    let over = if found.tls.is_some() && spoken != Spoken::Tls { " over TLS" } else { "" };
    let status = found.status.map(|status| format!(", status {status}")).unwrap_or_default();
    let server = found.server.as_ref().map(|server| format!(": {server}")).unwrap_or_default();
    format!("{name} answers {}{over}{server}{status}", spoken.name())
}

/// What the handshake showed.
fn encryption(tls: &Tls, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    if let Some(version) = &tls.version {
        let alpn = tls.alpn.as_ref().map(|alpn| format!(", ALPN {alpn}")).unwrap_or_default();
        paper.field("encryption", &format!("{version}{alpn}"))?;
    }
    match &tls.certificate {
        Some(certificate) => self::certificate(certificate, style, paper),
        None => paper.field("certificate", "none that could be read"),
    }
}

fn certificate(certificate: &Certificate, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let names = if certificate.names.is_empty() { "no name".to_owned() } else { certificate.names.join(", ") };
    paper.field("certificate", &format!("for {names}"))?;
    let issuer = if certificate.is_self_signed { "itself (self-signed)" } else { &certificate.issuer };
    paper.field("issued by", issuer)?;
    let now = i64::try_from(style.now).unwrap_or(i64::MAX);
    paper.field("valid", &validity(certificate, now))
}

/// Until when it is valid, seen from now.
fn validity(certificate: &Certificate, now: i64) -> String {
    const DAY: i64 = 24 * 60 * 60;
    let date = |seconds| rfc3339(seconds).and_then(|text| Some(text.split_once('T')?.0.to_owned()));
    let day = |seconds| date(seconds).unwrap_or_else(|| "an unknown day".to_owned());
    let days = |seconds: i64| match seconds / DAY {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let (start, end) = (certificate.not_before, certificate.not_after);
    match () {
        () if end < now => format!("expired on {}, {} ago", day(end), days(now.saturating_sub(end))),
        () if start > now => format!("not before {}", day(start)),
        () => format!("until {}, for {}", day(end), days(end.saturating_sub(now))),
    }
}
