//! The verdict `free`: nothing holds the port.

use super::{Explanation, Facts, Observation, Prominence, Rule, Severity, Statement, Subject, Verb};

pub static RULE: Rule = Rule {
    code: "free",
    severity: Severity::Info,
    explanation: Explanation {
        what: "Nothing holds the port on the addresses asked about.",
        why: "No socket has it: no listener, no bound socket, no connection and no remnant of one.",
        detection: "bind worked on each of the addresses. With --no-probe: the kernel's socket tables were read in full, \
                    in all states, and no socket with this local port overlaps the addresses.",
        remedy: "Nothing to do.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    // A port that the kernel lets us bind is free, even if something could not be seen. Without
    // asking bind, everything must have been seen.
    let is_free = if facts.observed.attempts.is_empty() {
        facts.obstacles().next().is_none() && facts.hiding_gaps().next().is_none()
    } else {
        facts.can_bind() && !facts.observed.sockets.iter().any(|socket| facts.is_in_the_way(socket))
    };
    if !is_free || facts.observed.is_leased_to_others() {
        return Vec::new();
    }
    let place = match &facts.observed.addresses[..] {
        [] => String::new(),
        addresses => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!(" on {}", addresses.join(" and "))
        }
    };
    let (subject, verb) = if facts.observed.sockets.is_empty() {
        ("nothing", Verb("holds", "hold"))
    } else {
        ("a server that sets SO_REUSEADDR", Verb("can bind", "can bind"))
    };
    let object = format!("{}{place}", facts.port_name());
    let statement = Statement::new(Subject::Thing(subject.to_owned()), verb, object);
    vec![Observation { prominence: Prominence::Detail, ..Observation::of(statement) }]
}
