//! The verdict `browser-blocked`: a server could bind the port, but browsers refuse to connect to
//! it.

use super::{Explanation, Observation, Rule, Severity, Statement, Subject, Verb};
use crate::classify::browser;
use crate::model::Protocol;

pub static RULE: Rule = Rule {
    code: "browser-blocked",
    severity: Severity::Info,
    explanation: Explanation {
        what: "Browsers refuse to open a URL with this port (ERR_UNSAFE_PORT), and fetch() of most runtimes does too.",
        why: "Other protocols use it, and a page could attack them through the browser.",
        detection: "The port is among the bad ports of the WHATWG Fetch Standard.",
        remedy: "Take another port for anything that a browser should open.",
    },
    check: |facts| {
        if facts.observed.protocol != Protocol::Tcp || !browser::refuses(facts.observed.port) {
            return Vec::new();
        }
        vec![Observation::of(Statement::new(
            Subject::Things("browsers".to_owned()),
            Verb("refuses to open", "refuse to open"),
            format!("http://localhost:{}/ (ERR_UNSAFE_PORT)", facts.observed.port),
        ))]
    },
};
