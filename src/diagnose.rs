//! From facts to verdicts: pure rules over what was collected.
//!
//! A [`Rule`] has a code, a severity, an explanation and a check. [`RULES`] lists them, the most
//! specific first. Status and exit code follow from severities alone, so a new rule is a new file
//! and a line in the table.

mod activation;
mod address;
mod airplay;
mod backlog;
mod beyond_descriptors;
mod blocked;
mod bound;
mod browser;
mod connections;
mod denied;
mod device;
mod diverted;
mod elsewhere;
mod ephemeral;
mod excluded;
mod facts;
mod finding;
pub(crate) mod forwarded;
mod free;
mod hidden;
mod holder_state;
mod holders;
mod inherited;
mod kernel;
mod leased;
mod listener;
mod one_protocol;
mod overlap;
mod port;
pub(crate) mod published;
mod reach;
pub(crate) mod remedy;
mod remnants;
mod reuseport;
mod self_connect;
mod split_localhost;
mod statement;
mod tunnels;
mod unseen;
mod windows_services;

pub use airplay::is_receiver as is_airplay_receiver;
pub use blocked::{name as firewall_name, remedies as firewall_remedies};
pub use denied::is_for_want_of_privilege;
pub use facts::Facts;
pub use finding::{Detail, Finding, Observation, Prominence, Severity};
pub use holders::{Group, enumerate, groups, name_spot, name_spots};
pub use port::{Observed, Place, PortReport, Status, Verdict};
pub use remedy::{Remedy, RemedyKind};
pub use statement::{Holder, IS, Phrase, Statement, Subject, Verb};
pub use tunnels::{leads_to, place};

/// The text of a rule, from which `docs/verdicts.md` is made.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// What it is.
    pub what: &'static str,
    /// Why it happens.
    pub why: &'static str,
    /// How it is detected.
    pub detection: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// A verdict, and how it is reached.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable and kebab-case: scripts compare it.
    pub code: &'static str,
    /// How much it stands in the way.
    pub severity: Severity,
    /// What to tell who asks.
    pub explanation: Explanation,
    /// Pure: the same facts give the same observations.
    pub check: fn(&Facts<'_>) -> Vec<Observation>,
}

/// Every rule, the most specific first within its severity.
pub static RULES: &[&Rule] = &[
    &leased::RULE,
    &beyond_descriptors::IN_FLIGHT,
    &beyond_descriptors::IN_A_CALL,
    &beyond_descriptors::IO_URING,
    &hidden::RULE,
    &windows_services::HTTP_SYS,
    &windows_services::PORTPROXY,
    &airplay::RULE,
    &kernel::RULE,
    &bound::RULE,
    &self_connect::RULE,
    &connections::OUTGOING,
    &connections::LEFTOVER,
    &remnants::ORPHANED,
    &remnants::TIME_WAIT_STUBBORN,
    &remnants::TIME_WAIT,
    &published::RULE,
    &tunnels::FORWARDER,
    &listener::RULE,
    &reuseport::OTHER_USER,
    &overlap::WILDCARD,
    &overlap::DUAL_STACK,
    &address::NEEDS_SCOPE,
    &address::TENTATIVE,
    &address::NO_IPV6,
    &address::NOT_LOCAL,
    &excluded::RULE,
    &denied::PRIVILEGED,
    &denied::SANDBOX,
    &unseen::RULE,
    &diverted::RULE,
    &blocked::RULE,
    &leased::NAME_TAKEN,
    &activation::RULE,
    &inherited::RULE,
    &beyond_descriptors::THREAD,
    &device::RULE,
    &tunnels::DEAD,
    &holder_state::STOPPED,
    &holder_state::DELETED,
    &backlog::FULL,
    &split_localhost::RULE,
    &ephemeral::EPHEMERAL,
    &reuseport::GROUP,
    &ephemeral::RESERVED,
    &backlog::QUEUE,
    &browser::RULE,
    &reach::LOOPBACK_ONLY,
    &reach::EXPOSED,
    &elsewhere::RULE,
    &one_protocol::UDP,
    &one_protocol::TCP,
    &free::RULE,
];

/// The rule with this code.
pub fn rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code == code)
}

/// Applies every rule. Conflicts come first, and within a severity the order of [`RULES`] stands.
pub fn diagnose(facts: &Facts<'_>) -> Vec<Finding> {
    // Most ports have one or two.
    let mut findings: Vec<Finding> = Vec::with_capacity(2);
    findings.extend(leased::harmless(facts));
    for &&Rule { code, severity, check, .. } in RULES {
        for Observation { statement, prominence, pids, details, remedies } in check(facts) {
            findings.push(Finding { code, severity, statement, prominence, pids, details, remedies });
        }
    }
    findings.extend(unseen::unexplained(facts, &findings));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod systems_tests;
#[cfg(test)]
mod tests;
