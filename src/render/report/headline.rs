//! The first line of a report: the answer.

use super::words;
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Finding, Group, Holder, PortReport, Severity, Status, Subject, groups};
use crate::model::State;
use crate::prose;
use crate::render::rows::{on, on_addresses};

/// The first line on ports that are not available.
pub struct Headline<'a> {
    /// The line.
    pub text: String,
    /// The finding whose sentence it is, if it is one.
    sentence: Option<&'a Finding>,
}

impl Headline<'_> {
    /// Whether what a finding says is in the line, or in the rows on the holders that follow.
    pub fn tells(&self, finding: &Finding) -> bool {
        let is_sentence = self.sentence.is_some_and(|own| own.statement == finding.statement);
        is_sentence || finding.says_only_where_it_waits()
    }
}

/// `8080 is free (tcp and udp) · http-alt; often Tomcat, Spring, Jenkins`.
pub fn free(ports: &[&PortReport]) -> String {
    let answer = bare_free(ports);
    match usual(ports[0]) {
        Some(usual) => format!("{answer} · {usual}"),
        None => answer,
    }
}

/// The same without what is usually there.
pub fn bare_free(ports: &[&PortReport]) -> String {
    let first = ports[0];
    let place = on_addresses(first, "and");
    let inside = inside(first);
    let answer = match ports {
        [_, _, ..] => format!("{}{place}{inside} is free (tcp and udp)", first.observed.port),
        _ => format!("{}{place}{inside} is free", first.observed.name()),
    };
    let remnants = ports.iter().any(|port| !port.observed.sockets.is_empty());
    if remnants { format!("{answer} to a server that sets SO_REUSEADDR") } else { answer }
}

/// ` in container shop-web-1`, for a port that is looked at from inside.
fn inside(port: &PortReport) -> String {
    let namespace = port.observed.namespace.as_ref();
    namespace.map(|namespace| format!(" in {}", namespace.phrase())).unwrap_or_default()
}

/// What is usually on a port: `http-alt; often Tomcat, Spring, Jenkins`.
fn usual(port: &PortReport) -> Option<String> {
    let service = port.observed.service.as_ref()?;
    let often = service.common_use.map(|common| format!("often {common}"));
    let parts: Vec<String> = service.name.clone().into_iter().chain(often).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Whether one line can answer for both: free alike, or held by the same alone.
pub fn is_same(one: &PortReport, other: &PortReport) -> bool {
    match (one.verdict.status, other.verdict.status) {
        (Status::Free, Status::Free) => one.observed.sockets.is_empty() == other.observed.sockets.is_empty(),
        (Status::Held, Status::Held) => {
            let holders = |port| waiting(port).iter().map(Holder::from).collect::<Vec<_>>();
            let (first, second) = (holders(one), holders(other));
            first == second && matches!(first[..], [Holder::Processes(_)])
        }
        _ => false,
    }
}

/// The groups that wait on a port: they are the answer, and connections are their own.
fn waiting(port: &PortReport) -> Vec<Group<'_>> {
    let sockets = port.observed.shown_sockets().filter(|socket| socket.state.is_waiting());
    groups(sockets)
}

/// The line on ports that the same process holds, or that are not available for the same reason.
pub fn of<'a>(ports: &[&'a PortReport], diagnosis: &Diagnosis) -> Headline<'a> {
    let first = ports[0];
    let names: Vec<String> = ports.iter().map(|port| port.observed.name()).collect();
    let names = format!("{}{}{}", names.join(" and "), on(first, "or"), inside(first));
    let is = if ports.len() == 1 { "is" } else { "are" };
    match first.verdict.status {
        Status::Held => {}
        Status::Blocked => {
            return reason(first, &format!("{names} cannot be bound, though nobody holds it"), diagnosis);
        }
        _ => return reason(first, &format!("{names}: cannot tell whether it is free"), diagnosis),
    }
    let holders: Vec<Holder> = waiting(first).iter().map(Holder::from).collect();
    let conflict = first.verdict.findings.iter().find(|finding| finding.severity == Severity::Conflict);
    if let Some(finding) = conflict.filter(|finding| is_about(finding, first)) {
        let text = format!("{names} {}", prose::predicate(&finding.statement, &diagnosis.processes));
        return Headline { text, sentence: Some(finding) };
    }
    if let [group] = &waiting(first)[..]
        && group.sockets[0].forward.is_some()
    {
        return reason(first, &format!("{names} {is} in use"), diagnosis);
    }
    let is_plain =
        first.observed.sockets.iter().any(|socket| matches!(socket.state, State::Listen | State::Unconnected));
    let name = |holder: &Holder| words::holder(holder, &diagnosis.processes);
    let who = match &holders[..] {
        [Holder::Likely(_)] if is_plain => {
            format!(", probably by {}", words::bare_holder(&holders[0], &diagnosis.processes))
        }
        [holder] if is_plain && *holder != Holder::Kernel => format!(": {}", name(holder)),
        [] | [_] => return reason(first, &format!("{names} {is} in use"), diagnosis),
        [one, another] => format!(": {}, and {}", name(one), name(another)),
        [one, others @ ..] => format!(": {}, and {} others", name(one), others.len()),
    };
    Headline { text: format!("{names} {is} in use{who}"), sentence: None }
}

/// The line with the worst finding as its reason.
fn reason<'a>(port: &'a PortReport, start: &str, diagnosis: &Diagnosis) -> Headline<'a> {
    let worst = port.verdict.findings.first();
    let text = match worst {
        Some(finding) => format!("{start}: {}", prose::on_port(finding, port, "", &diagnosis.processes)),
        None => start.to_owned(),
    };
    Headline { text, sentence: worst }
}

/// Whether a finding speaks of a port as a whole.
fn is_about(finding: &Finding, port: &PortReport) -> bool {
    finding.statement.subject == Subject::Port(port.observed.port, port.observed.protocol)
}
