//! The verdict `excluded-range`: Windows excludes the port, and nobody holds it.

use super::{
    Detail, Explanation, Facts, Observation, Phrase, Remedy, RemedyKind, Rule, Severity, Statement, Subject, Verb,
    remedy,
};
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
    let take = Remedy::run(RemedyKind::TakeAnother, "take a free port instead", [facts.program, "free"]);
    let set = |text: &str, command: &[&str]| {
        Remedy::run(RemedyKind::ChangeSetting, text, command.iter().map(ToString::to_string))
    };
    if range.is_administered {
        let (protocol, start) = (format!("protocol={protocol}"), format!("startport={first}"));
        let count = format!("numberofports={}", u32::from(*last) - u32::from(*first) + 1);
        let delete = ["netsh", "interface", "ipv4", "delete", "excludedportrange", &protocol, &start, &count];
        return vec![take, set("give the range back, in an elevated prompt", &delete)];
    }
    vec![
        take,
        set("keep it for your server: stop WinNAT, in an elevated prompt", &["net", "stop", "winnat"]),
        Remedy::run(
            RemedyKind::ChangeSetting,
            "then set the port aside: WinNAT leaves it alone, and a server can still bind it",
            remedy::set_aside(facts),
        ),
        set("and start WinNAT again", &["net", "start", "winnat"]),
    ]
}
