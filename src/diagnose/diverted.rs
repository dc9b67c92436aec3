//! The verdict `rule-diverts`: the firewall sends what arrives for the port elsewhere.

use super::{
    Detail, Explanation, Facts, Observation, Phrase, Remedy, RemedyKind, Rule, Severity, Statement, Subject, Verb,
    place, published,
};
use crate::model::Diversion;

pub static RULE: Rule = Rule {
    code: "rule-diverts",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "A firewall rule redirects connections from other machines, so they do not reach this port.",
        why: "Address translation (DNAT, REDIRECT) comes before the local sockets. Docker without proxies, CNI's host ports \
              and kube-proxy's node ports work this way. So does port forwarding on a router. Bind still works.",
        detection: "As root, portcheck prints the nat tables with nft or iptables-save. It follows a new connection through \
                    them, starting at prerouting. Conditions on interface or source count as met.",
        remedy: "Take another port, or remove the rule by what made it. Connections from this machine itself are not \
                 affected.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    facts.observed.diversion.as_deref().map(|diversion| observation(facts, diversion)).into_iter().collect()
}

fn observation(facts: &Facts<'_>, diversion: &Diversion) -> Observation {
    let Diversion { forward, family, table, chain, position, .. } = diversion;
    let target = forward.to.as_ref().map(place);
    let container = forward.container.as_ref().map(|container| format!(" ({})", published::name(container)));
    let rule = format!("table {family} {table}, chain {chain}, rule {position}");
    let to = target.clone().unwrap_or_else(|| "another place".to_owned());
    let statement = Statement::new(
        Subject::Thing("a firewall rule".to_owned()),
        Verb("redirects", "redirect"),
        "connections from other machines to ",
    )
    .and(Phrase::port(facts))
    .and(format!(": they reach {to}{} ({rule})", container.unwrap_or_default()));
    let text = |name, value: &str| (name, Detail::Text(value.to_owned()));
    let mut details =
        vec![text("backend", diversion.backend), text("family", family), text("table", table), text("chain", chain)];
    details.push(("position", Detail::Number(u64::try_from(*position).unwrap_or(u64::MAX))));
    details.extend(target.map(|target| ("target", Detail::Text(target))));
    let remedies = vec![
        Remedy::run(RemedyKind::FindHolder, "see the rule", show(diversion)),
        Remedy::run(RemedyKind::TakeAnother, "take another port", facts.take_near()),
    ];
    Observation { details, remedies, ..Observation::of(statement) }
}

/// The command that prints the chain.
fn show(diversion: &Diversion) -> Vec<String> {
    let Diversion { backend, family, table, chain, .. } = diversion;
    let iptables = if family == "ip6" { "ip6tables" } else { "iptables" };
    match *backend {
        "nftables" => ["nft", "list", "chain", family, table, chain].map(str::to_owned).to_vec(),
        "iptables-legacy" => {
            [&format!("{iptables}-legacy"), "-t", "nat", "-S", chain].map(ToString::to_string).to_vec()
        }
        _ => [iptables, "-t", "nat", "-S", chain].map(str::to_owned).to_vec(),
    }
}
