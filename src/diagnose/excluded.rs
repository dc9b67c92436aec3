//! The verdict `excluded-range`: Windows excludes the port, and nobody holds it.

use super::{Detail, Explanation, Facts, Observation, Phrase, Remedy, Rule, Severity, Statement, Subject, Verb};
use crate::model::ExcludedRange;
use crate::probe::Outcome;

pub static RULE: Rule = Rule {
    code: "excluded-range",
    severity: Severity::Blocked,
    explanation: Explanation {
        what: "The port lies in a range that Windows excludes: nobody holds it, nothing lists it, and no program may bind it.",
        why: "Hyper-V and WinNAT (which WSL, Docker and the Windows Sandbox use) take blocks of the dynamic range at each start, \
              and an administrator may have set ranges aside.",
        detection: "bind fails with WSAEACCES, and `netsh interface ipv4 show excludedportrange` has a range with the port.",
        remedy: "Take a port outside of it. Or restart WinNAT, which gives its blocks back and takes others, and then \
                 set the port aside, so that WinNAT does not take it again.",
    },
    check: |facts| {
        // If somebody holds the port, that is the better reason.
        let is_the_reason = facts.fails_with(Outcome::AccessDenied) && facts.observed.sockets.is_empty();
        let Some(range) = range_of(facts).filter(|_| is_the_reason) else {
            return Vec::new();
        };
        let ExcludedRange { first, last, is_administered, .. } = range;
        let by = if *is_administered {
            "set aside by an administrator"
        } else {
            "taken by Hyper-V, WinNAT or another driver"
        };
        vec![Observation {
            details: vec![
                ("first", Detail::Number((*first).into())),
                ("last", Detail::Number((*last).into())),
                ("origin", Detail::Text(if *is_administered { "administrator" } else { "dynamic" }.to_owned())),
            ],
            remedies: remedies(facts, range),
            ..Observation::of(
                Statement::new(Subject::Thing("Windows".to_owned()), Verb("excludes", "exclude"), Phrase::port(facts))
                    .and(format!(": {first}-{last} is {by}, and nobody holds the port")),
            )
        }]
    },
};

/// The range that `facts` are about, if there is one.
pub fn range_of<'a>(facts: &Facts<'a>) -> Option<&'a ExcludedRange> {
    let has_it = |range: &&ExcludedRange| {
        range.protocol == facts.observed.protocol && (range.first..=range.last).contains(&facts.observed.port)
    };
    facts.circumstances.excluded_ranges.iter().flatten().find(has_it)
}

fn remedies(facts: &Facts<'_>, range: &ExcludedRange) -> Vec<Remedy> {
    let ExcludedRange { protocol, first, last, .. } = range;
    let remedy = |text: &str, command: String| Remedy { text: text.to_owned(), command: Some(command) };
    let mut remedies = vec![remedy("take a free port instead", format!("{} --free", facts.program))];
    if range.is_administered {
        let count = u32::from(*last) - u32::from(*first) + 1;
        remedies.push(remedy(
            "give the range back, in an elevated prompt",
            format!(
                "netsh interface ipv4 delete excludedportrange protocol={protocol} startport={first} numberofports={count}"
            ),
        ));
    } else {
        let set_aside = format!(
            "netsh interface ipv4 add excludedportrange protocol={protocol} startport={} numberofports=1",
            facts.observed.port
        );
        remedies
            .push(remedy("keep it for your server: stop WinNAT, in an elevated prompt", "net stop winnat".to_owned()));
        remedies
            .push(remedy("then set the port aside: WinNAT leaves it alone, and a server can still bind it", set_aside));
        remedies.push(remedy("and start WinNAT again", "net start winnat".to_owned()));
    }
    remedies
}
