//! The situations in which a bind fails or surprises. Each is made for real, in a network namespace
//! of its own. The shipped binary must report status, verdicts and processes exactly. The commands
//! that it offers are run, and must help.
//!
//! The rows are numbered as in the catalogue of situations (1 to 42). One test below proves that no
//! situation is missing, and another one that every verdict appears.

#![allow(clippy::unnecessary_wraps, reason = "every scenario has the same signature")]

mod addresses;
mod connections;
mod health;
mod leases;
mod listeners;
mod mixed;
mod namespaces;
mod owners;
mod sandboxes;
mod stage;

use stage::Scenario;

/// Makes a table of scenarios, each a function with its name, and a test for each.
macro_rules! scenarios {
    ($($name:ident: rows $rows:expr, proves $codes:expr;)*) => {
        pub static ALL: &[$crate::scenarios::stage::Scenario] = &[$($crate::scenarios::stage::Scenario {
            name: concat!(module_path!(), "::tests::", stringify!($name)),
            rows: &$rows,
            codes: &$codes,
            play: $name,
        }),*];

        mod tests {
            $(
                #[test]
                fn $name() {
                    $crate::scenarios::stage::run(concat!(module_path!(), "::", stringify!($name)), super::ALL);
                }
            )*
        }
    };
}
pub(crate) use scenarios;

fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        listeners::ALL,
        connections::ALL,
        owners::ALL,
        addresses::ALL,
        sandboxes::ALL,
        health::ALL,
        leases::ALL,
        mixed::ALL,
        namespaces::ALL,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn every_situation_has_a_scenario() {
    let rows: Vec<&str> = all().flat_map(|scenario| scenario.rows).copied().collect();
    let expected = (1..=42).map(|row| row.to_string()).chain(["15b", "15c", "15d"].map(str::to_owned));
    let missing: Vec<String> = expected.filter(|row| !rows.contains(&row.as_str())).collect();
    assert!(missing.is_empty(), "without a scenario: {missing:?}");
}

/// Verdicts of other systems. Unit tests prove them, and docs/platforms.md lists them.
const OF_OTHER_SYSTEMS: [&str; 4] = ["excluded-range", "http-sys", "portproxy", "airplay"];

/// Verdicts that need programs besides ours: `engines`, `firewall` and `reach` prove them.
const OF_OTHER_PROGRAMS: [&str; 3] = ["published-port", "rule-diverts", "firewall-blocks"];

#[test]
fn every_verdict_is_proved_by_a_scenario() {
    let proved: Vec<&str> = all().flat_map(|scenario| scenario.codes).copied().collect();
    let listed = crate::common::run(&["explain"]).stdout;
    let codes: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let is_proved =
        |code: &&&str| [&proved[..], &OF_OTHER_SYSTEMS, &OF_OTHER_PROGRAMS].iter().any(|codes| codes.contains(*code));
    let missing: Vec<&&str> = codes.iter().filter(|code| !is_proved(code)).collect();
    assert!(missing.is_empty(), "without a scenario: {missing:?}");
    let unknown: Vec<&&str> = proved.iter().filter(|code| !codes.contains(code)).collect();
    assert!(unknown.is_empty(), "no such verdict: {unknown:?}");
}
