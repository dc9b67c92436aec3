//! The verdict `unseen`: nothing was seen to hold the port, but not everything that could hold it
//! can be seen, or bind failed nevertheless.

use std::collections::BTreeSet;

use super::{
    Detail, Explanation, Facts, Finding, Observation, Phrase, Prominence, Rule, Severity, Statement, Status, Subject,
    Verb,
};
use crate::probe::Outcome;

pub static RULE: Rule = Rule {
    code: "unseen",
    severity: Severity::Unknown,
    explanation: Explanation {
        what: "Nothing was seen that holds the port, but something needed could not be seen, so the port is not called \
               free.",
        why: "With --no-probe, a sandbox forbids netlink, the kernel does not list sockets that are bound without \
              listening, or the backend is the portable one. Otherwise bind failed in a way that no other verdict \
              explains, such as a lack of memory or descriptors.",
        detection: "No socket holds the port, a gap hides sockets of its protocol, and bind was not tried. Or bind was \
                    tried and failed, and nothing else was found that blocks it.",
        remedy: "Ask without --no-probe, or where the gap does not exist. If bind failed, its error says what to fix.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    if !facts.observed.sockets.is_empty() || !facts.observed.attempts.is_empty() {
        return Vec::new();
    }
    facts
        .hiding_gaps()
        .map(|gap| Observation {
            details: vec![("gap", Detail::Text(gap.kind.code.to_owned()))],
            ..Observation::of(nothing_seen(facts, &gap.summary))
        })
        .collect()
}

/// The finding for a bind that failed without a reason in `findings`: such a port is not free.
pub fn unexplained(facts: &Facts<'_>, findings: &[Finding]) -> Option<Finding> {
    if Status::of(findings) != Status::Free || facts.observed.attempts.is_empty() || facts.can_bind() {
        return None;
    }
    let failures: BTreeSet<String> =
        facts.observed.attempts.iter().filter_map(|attempt| reason(attempt.outcome)).collect();
    let reasons = failures.into_iter().collect::<Vec<_>>().join(", or ");
    Some(Finding {
        code: RULE.code,
        severity: RULE.severity,
        prominence: Prominence::Always,
        statement: nothing_seen(facts, &format!("bind fails with {reasons}")),
        pids: Vec::new(),
        details: vec![("errno", Detail::Text(reasons))],
        remedies: Vec::new(),
    })
}

fn nothing_seen(facts: &Facts<'_>, but: &str) -> Statement {
    let subject = Subject::Thing("nothing".to_owned());
    Statement::new(subject, Verb("was seen on", "were seen on"), Phrase::port(facts)).and(format!(", but {but}"))
}

/// The error by its name, or in the words of the system.
fn reason(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Other(number) => Some(std::io::Error::from_raw_os_error(number).to_string()),
        _ => outcome.errno().map(std::borrow::Cow::into_owned),
    }
}
