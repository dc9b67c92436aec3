//! One port in words: the answer in the first line, then who holds it, what matters besides, and
//! what to do.

mod forward;
pub mod headline;
mod holder;
mod tunnel;
mod verbose;
mod words;

use std::io::{self, Write};

use super::paper::Paper;
use super::rows::on;
use super::{Style, colour};
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Finding, Group, PortReport, Prominence, Severity, Status, groups, remedy};
use crate::model::{Gap, Hides, ShownBy, Socket};
use crate::prose;

/// Writes the report on the one port that was asked about: for the addresses of each target, the
/// worst first.
pub fn write(diagnosis: &Diagnosis, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let paper = &mut Paper::new(style.width, out);
    let mut places = by_place(&diagnosis.ports);
    places.sort_by_key(|ports| worst(ports));
    for (index, ports) in places.into_iter().enumerate() {
        if index > 0 {
            paper.gap()?;
        }
        place(diagnosis, ports, style, paper)?;
    }
    notes(diagnosis, style, paper)
}

/// The ports, those in the same place together.
fn by_place(ports: &[PortReport]) -> Vec<Vec<&PortReport>> {
    let mut places: Vec<Vec<&PortReport>> = Vec::new();
    for port in ports {
        match places.iter_mut().find(|others| others[0].observed.place() == port.observed.place()) {
            Some(place) => place.push(port),
            None => places.push(vec![port]),
        }
    }
    places
}

fn worst(ports: &[&PortReport]) -> Option<Status> {
    ports.iter().map(|port| port.verdict.status).min()
}

/// Writes what there is to say about a port on the same addresses. What is the same for both
/// protocols is said once.
fn place(diagnosis: &Diagnosis, mut ports: Vec<&PortReport>, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    ports.sort_by_key(|port| port.verdict.status);
    let mut parts: Vec<Vec<&PortReport>> = Vec::new();
    for port in ports {
        match parts.iter_mut().find(|part| headline::is_same(part[0], port)) {
            Some(part) => part.push(port),
            None => parts.push(vec![port]),
        }
    }
    let is_told = |part: &Vec<&PortReport>| is_worth_telling(part, &parts, style);
    for (index, part) in parts.iter().filter(|part| is_told(part)).enumerate() {
        if index > 0 {
            paper.gap()?;
        }
        match part[0].verdict.status {
            Status::Free => free(diagnosis, part, style, paper)?,
            _ => held(diagnosis, part, style, paper)?,
        }
    }
    Ok(())
}

/// Writes what there is to say about one port of one protocol.
pub fn port(diagnosis: &Diagnosis, port: &PortReport, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    match port.verdict.status {
        Status::Free => free(diagnosis, &[port], style, paper),
        _ => held(diagnosis, &[port], style, paper),
    }
}

/// That the other protocol is free is not, beside one that is held.
fn is_worth_telling(part: &[&PortReport], parts: &[Vec<&PortReport>], style: &Style) -> bool {
    let mut findings = part.iter().flat_map(|port| &port.verdict.findings);
    part[0].verdict.status != Status::Free
        || parts.iter().all(|other| other[0].verdict.status == Status::Free)
        || style.verbose
        || findings.any(|finding| finding.severity == Severity::Warning)
}

/// Writes about ports that are free: a line, and what there is to know all the same.
fn free(diagnosis: &Diagnosis, ports: &[&PortReport], style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    paper.coloured(&headline::free(ports), colour::of(Status::Free))?;
    for text in told(ports, diagnosis, style, |finding| finding.severity == Severity::Warning) {
        paper.sentence(&format!("but {text}"))?;
    }
    for text in told(ports, diagnosis, style, |finding| finding.severity == Severity::Info) {
        paper.sentence(&text)?;
    }
    if style.verbose { verbose::port(ports[0], paper) } else { Ok(()) }
}

/// Writes about ports that the same process holds, or that are not available for the same reason.
fn held(diagnosis: &Diagnosis, ports: &[&PortReport], style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let headline = headline::of(ports, diagnosis);
    paper.coloured(&headline.text, colour::of(ports[0].verdict.status))?;
    let is_new = |finding: &Finding| !headline.tells(finding);
    for text in told(ports, diagnosis, style, is_new) {
        paper.sentence(&text)?;
    }
    verbose::free_elsewhere(ports[0], paper)?;
    if style.verbose {
        for port in ports {
            verbose::port(port, paper)?;
        }
    }
    let sockets: Vec<&Socket> = ports.iter().flat_map(|port| port.observed.shown_sockets()).collect();
    let groups: Vec<Group<'_>> = groups(sockets);
    for group in &groups {
        paper.gap()?;
        holder::write(group, groups.len(), diagnosis, style, paper)?;
    }
    remedies(ports, paper)?;
    if style.verbose { verbose::evidence(ports, paper) } else { Ok(()) }
}

/// The sentences on ports that are worth a line, each once.
fn told(ports: &[&PortReport], diagnosis: &Diagnosis, style: &Style, is_it: impl Fn(&Finding) -> bool) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for port in ports {
        for finding in port.verdict.findings.iter().filter(|finding| is_it(finding)) {
            let text = prose::on_port(finding, port, &on(port, "and"), &diagnosis.processes);
            if (style.verbose || finding.prominence == Prominence::Always) && !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    texts
}

fn remedies(ports: &[&PortReport], paper: &mut Paper<'_>) -> io::Result<()> {
    let findings = ports.iter().flat_map(|port| &port.verdict.findings);
    let remedies = remedy::each_once(findings.flat_map(|finding| &finding.remedies));
    if !remedies.is_empty() {
        paper.gap()?;
    }
    remedies.into_iter().try_for_each(|remedy| paper.remedy(remedy))
}

/// What was kept from sight, each said once.
pub fn notes(diagnosis: &Diagnosis, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let unsure = diagnosis.is_unsure();
    let matters = |gap: &Gap| match gap.kind.hides {
        Hides::Sockets => true,
        Hides::Owners => unsure || style.verbose || gap.shown_by == ShownBy::Asking,
        Hides::Details => style.verbose,
    };
    for (index, gap) in diagnosis.gaps.iter().filter(|gap| matters(gap)).enumerate() {
        if index == 0 {
            paper.gap()?;
        }
        paper.sentence(&unseen(gap))?;
    }
    Ok(())
}

/// What a gap kept from sight.
pub fn unseen(gap: &Gap) -> String {
    format!("not seen: {}", gap.summary)
}

/// The command that shows every holder, if root sees more.
pub fn as_root(diagnosis: &Diagnosis, style: &Style) -> Option<String> {
    let elevated = if diagnosis.host.os == "windows" { ", in an elevated prompt" } else { "" };
    let would_see = diagnosis.gaps.iter().any(Gap::hides_owners_from_us_only);
    would_see.then(|| format!("to see every holder{elevated}:  {}", style.as_root))
}
