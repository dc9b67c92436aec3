//! The verdict `unseen`: nothing was seen to hold the port, but not everything that could hold it can be seen.

use super::{Detail, Explanation, Facts, Observation, Rule, Severity};

pub static RULE: Rule = Rule {
    code: "unseen",
    severity: Severity::Unknown,
    explanation: Explanation {
        what: "Nothing was seen that holds the port, but something needed could not be looked at, so the port is not \
               called free.",
        why: "With --no-probe: a sandbox without netlink, a kernel that does not list sockets that are bound without listening, or the \
              portable backend.",
        detection: "No socket holds the port, there is a gap that hides sockets of its protocol, and bind was not asked.",
        remedy: "Ask without --no-probe, or where the gap does not exist.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    if !facts.sockets.is_empty() || !facts.attempts.is_empty() {
        return Vec::new();
    }
    facts
        .hiding_gaps()
        .map(|gap| Observation {
            summary: format!("nothing was seen on {}, but {}", facts.port_name(), gap.summary),
            details: vec![("gap", Detail::Text(gap.code.to_owned()))],
            ..Observation::default()
        })
        .collect()
}
