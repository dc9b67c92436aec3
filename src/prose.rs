//! Sentences made of statements.

use std::borrow::Cow;

use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Finding, Phrase, PortReport, Statement, Subject, enumerate};
use crate::model::Process;

impl Diagnosis {
    /// What a finding says, as one sentence without a full stop.
    pub fn summary(&self, finding: &Finding) -> String {
        sentence(finding, &self.processes)
    }
}

/// What a finding says, as one sentence without a full stop.
pub fn sentence(finding: &Finding, processes: &[Process]) -> String {
    whole(&finding.statement, processes)
}

/// What a finding on a port says, in a report whose first line names it: the port itself is `it`,
/// and the other protocol stands with its addresses, `place`.
pub fn on_port(finding: &Finding, port: &PortReport, place: &str, processes: &[Process]) -> String {
    match &finding.statement.subject {
        Subject::Port(_, protocol) if *protocol == port.observed.protocol => {
            format!("it {}", predicate(&finding.statement, processes))
        }
        subject @ Subject::Port(..) => {
            format!("{}{place} {}", subject_name(subject, processes), predicate(&finding.statement, processes))
        }
        subject => {
            format!("{} {}", subject_name(subject, processes), predicate_about_it(&finding.statement, processes))
        }
    }
}

/// What a statement says.
pub fn whole(statement: &Statement, processes: &[Process]) -> String {
    [&subject_name(&statement.subject, processes), " ", &predicate(statement, processes)].concat()
}

/// What the subject of a statement is called.
fn subject_name<'a>(subject: &'a Subject, processes: &[Process]) -> Cow<'a, str> {
    match subject {
        Subject::Holder(holder) => holder.name(processes).into(),
        Subject::Port(port, protocol) => format!("{port}/{protocol}").into(),
        Subject::Sockets(addresses) => enumerate(addresses, "and").into(),
        Subject::Thing(name) | Subject::Things(name) => name.into(),
    }
}

/// What a statement says of its subject: `listens on 127.0.0.1:80`.
pub fn predicate(statement: &Statement, processes: &[Process]) -> String {
    let verb = if statement.subject.is_plural() { statement.verb.1 } else { statement.verb.0 };
    let object = statement.object.iter().map(|phrase| words(phrase, processes));
    let words: Vec<Cow<'_, str>> = [verb, " "].into_iter().map(Cow::from).chain(object).collect();
    words.concat()
}

fn words<'a>(phrase: &'a Phrase, processes: &[Process]) -> Cow<'a, str> {
    match phrase {
        Phrase::Text(text) => text.into(),
        Phrase::Holder(holder) => holder.name(processes).into(),
        Phrase::Port(port, protocol) => format!("{port}/{protocol}").into(),
    }
}

/// The same where the port was named before.
fn predicate_about_it(statement: &Statement, processes: &[Process]) -> String {
    let name_nothing_twice = |phrase: &Phrase| match phrase {
        Phrase::Port(..) => Phrase::from("it"),
        other => other.clone(),
    };
    let object = statement.object.iter().map(name_nothing_twice).collect();
    predicate(&Statement { object, ..statement.clone() }, processes)
}
