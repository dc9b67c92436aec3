//! The verdict `firewall-blocks`: a rule or policy of the firewall keeps others from the port.

use super::{
    Detail, Explanation, Facts, Observation, Observed, Phrase, Remedy, RemedyKind, Rule, Severity, Statement, Subject,
    Verb,
};
use crate::model::{By, Frontend, Protocol, Reach, Reached, Stopper};

pub static RULE: Rule = Rule {
    code: "firewall-blocks",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "A firewall rule, or the policy of a chain, keeps connections from the port.",
        why: "The server listens, but the firewall of this machine drops or rejects what arrives. Bind still works.",
        detection: "`portcheck reach`, as root, builds a replica of the network with the same rules, sends a packet into it \
                    and has the kernel trace it. Nothing is sent on the real network.",
        remedy: "Allow the port with the tool that manages the firewall: ufw, firewall-cmd, iptables or nft.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    stoppers(facts.observed).into_iter().map(|(stopper, sources)| observation(facts, stopper, &sources)).collect()
}

/// What helps against all rules that block a port, each once.
pub fn remedies(port: &Observed) -> Vec<Remedy> {
    let mut remedies: Vec<Remedy> = Vec::new();
    for remedy in stoppers(port).into_iter().filter_map(|(stopper, _)| allow(port.port, port.protocol, stopper)) {
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    remedies
}

/// Each rule or policy that blocks a port, with whom.
fn stoppers(port: &Observed) -> Vec<(&Stopper, Vec<&Reach>)> {
    let mut found: Vec<(&Stopper, Vec<&Reach>)> = Vec::new();
    for reach in port.reach.iter().filter(|reach| matches!(reach.result, Reached::Dropped | Reached::Refused)) {
        let Some(By::Firewall(stopper)) = &reach.by else { continue };
        match found.iter_mut().find(|(known, _)| *known == stopper) {
            Some((_, sources)) => sources.push(reach),
            None => found.push((stopper, vec![reach])),
        }
    }
    found
}

fn observation(facts: &Facts<'_>, stopper: &Stopper, sources: &[&Reach]) -> Observation {
    let Stopper { backend, family, table, chain, rule, .. } = stopper;
    let from: Vec<String> = sources.iter().map(|reach| reach.from.to_string()).collect();
    let is_refused = sources.iter().any(|reach| reach.result == Reached::Refused);
    let verb = if is_refused { Verb("rejects", "reject") } else { Verb("drops", "drop") };
    let statement = Statement::new(Subject::Thing(name(stopper)), verb, "connections to ")
        .and(Phrase::port(facts))
        .and(format!(" from {}", from.join(", ")));
    let text = |name, value: &str| (name, Detail::Text(value.to_owned()));
    let mut details =
        vec![text("backend", backend), text("family", family), text("table", table), text("chain", chain)];
    if let Some(rule) = rule {
        details.push(("position", Detail::Number(u64::try_from(rule.position).unwrap_or(u64::MAX))));
        details.push(text("rule", &rule.text));
    }
    details.push(text("from", &from.join(", ")));
    let remedies = allow(facts.observed.port, facts.observed.protocol, stopper).into_iter().collect();
    Observation { details, remedies, ..Observation::of(statement) }
}

/// `rule 3 of INPUT (iptables-nft, table filter)`, `the policy of input (nftables, table inet fw)`.
pub fn name(stopper: &Stopper) -> String {
    let Stopper { backend, family, table, chain, rule, .. } = stopper;
    let what = rule.as_ref().map_or_else(|| "the policy".to_owned(), |rule| format!("rule {}", rule.position));
    let table = match (*backend, &**family) {
        ("nftables", family) => format!("{family} {table}"),
        (_, "ip6") => format!("{table} of IPv6"),
        _ => table.clone(),
    };
    format!("{what} of {chain} ({backend}, table {table})")
}

/// The command that lets connections in, in the words of what manages the rules.
fn allow(port: u16, protocol: Protocol, stopper: &Stopper) -> Option<Remedy> {
    let run = |words: Vec<String>| Some(Remedy::run(RemedyKind::ChangeSetting, "allow it", words));
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    let Stopper { backend, family, table, chain, rule, frontend } = stopper;
    match frontend {
        Some(Frontend::Ufw) => return run(words(format!("ufw allow {port}/{protocol}"))),
        Some(Frontend::Firewalld) => return run(words(format!("firewall-cmd --add-port={port}/{protocol}"))),
        Some(Frontend::Docker) => {
            let text = "Docker manages this chain: publish the port, or add a rule to the chain DOCKER-USER";
            return Some(Remedy::advice(RemedyKind::ChangeSetting, text));
        }
        Some(Frontend::Kubernetes) => {
            let text = "Kubernetes manages this chain: change the network policy or the service";
            return Some(Remedy::advice(RemedyKind::ChangeSetting, text));
        }
        None => {}
    }
    if *backend == "nftables" {
        let place = format!("{family} {table} {chain}");
        let accept = format!("{protocol} dport {port} accept");
        return match rule.as_ref().map(|rule| rule.handle) {
            Some(Some(handle)) => run(words(format!("nft insert rule {place} handle {handle} {accept}"))),
            Some(None) => run(words(format!("nft insert rule {place} {accept}"))),
            None => run(words(format!("nft add rule {place} {accept}"))),
        };
    }
    let start = if family == "ip6" { "ip6tables" } else { "iptables" };
    let tool = if *backend == "iptables-legacy" { format!("{start}-legacy") } else { start.to_owned() };
    let at = rule.as_ref().map_or_else(|| format!("-A {chain}"), |rule| format!("-I {chain} {}", rule.position));
    let table = if table == "filter" { String::new() } else { format!("-t {table} ") };
    run(words(format!("{tool} {table}{at} -p {protocol} --dport {port} -j ACCEPT")))
}
