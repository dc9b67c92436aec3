//! The verdict `free`: nothing holds the port.

use super::{Explanation, Facts, Observation, Rule, Severity};

pub static RULE: Rule = Rule {
    code: "free",
    severity: Severity::Info,
    explanation: Explanation {
        what: "Nothing holds the port on the addresses asked about.",
        why: "No socket has it: no listener, no bound socket, no connection and no remnant of one.",
        detection: "The kernel's socket tables were read in full, in all states, and no socket with this local port \
                    overlaps the addresses.",
        remedy: "Nothing to do.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    if !facts.sockets.is_empty() || facts.hiding_gaps().next().is_some() {
        return Vec::new();
    }
    let place = match facts.addresses {
        [] => String::new(),
        addresses => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!(" on {}", addresses.join(" and "))
        }
    };
    vec![Observation { summary: format!("nothing holds {}{place}", facts.port_name()), ..Observation::default() }]
}
