//! Who can reach a port, as JSON: the types, and how they are made.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

#[cfg(test)]
use super::parts::or_null;
#[cfg(test)]
use crate::model::Reached;
use crate::model::{By, Reach};

/// Whether one source can reach the port.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Reach"))]
pub struct WireReach<'a> {
    /// The address of the source.
    pub from: String,
    /// The address that it connects to; where a rule diverts it, address and port that it ends at.
    pub to: String,
    #[cfg_attr(test, schemars(extend("enum" = Reached::VARIANTS)))]
    pub result: &'static str,
    /// What stops it; null if nothing does, or it is not known.
    pub by: Option<WireBy<'a>>,
    /// What else there is to know, in words.
    pub note: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ReachBy"))]
pub struct WireBy<'a> {
    /// A `rule` or the `policy` of a chain; the addresses of the server (`binding`); no `route`.
    #[cfg_attr(test, schemars(extend("enum" = ["rule", "policy", "binding", "route"])))]
    pub kind: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = or_null(&["nftables", "iptables-nft", "iptables-legacy"]))))]
    pub backend: Option<&'static str>,
    /// `ip`, `ip6`, `inet`.
    pub family: Option<&'a str>,
    pub table: Option<&'a str>,
    pub chain: Option<&'a str>,
    /// Counted from one within the chain.
    pub position: Option<usize>,
    /// The rule as its tool prints it, without counters.
    pub rule: Option<&'a str>,
    pub comment: Option<&'a str>,
    /// The number by which nft names the rule.
    pub handle: Option<u64>,
    /// Who manages it: `ufw`, `firewalld`, `docker`, `kubernetes`.
    pub frontend: Option<&'static str>,
}

pub fn reach(reach: &Reach) -> WireReach<'_> {
    WireReach {
        from: reach.from.to_string(),
        to: reach.diverted_to.map_or_else(|| reach.to.to_string(), |to| to.to_string()),
        result: reach.result.into_str(),
        by: reach.by.as_ref().map(by),
        note: reach.note.as_deref(),
    }
}

fn by(by: &By) -> WireBy<'_> {
    let nothing = |kind| WireBy {
        kind,
        backend: None,
        family: None,
        table: None,
        chain: None,
        position: None,
        rule: None,
        comment: None,
        handle: None,
        frontend: None,
    };
    let stopper = match by {
        By::Binding(_) => return nothing("binding"),
        By::Route => return nothing("route"),
        By::Firewall(stopper) => stopper,
    };
    let rule = stopper.rule.as_ref();
    WireBy {
        backend: Some(stopper.backend),
        family: Some(&stopper.family),
        table: Some(&stopper.table),
        chain: Some(&stopper.chain),
        position: rule.map(|rule| rule.position),
        rule: rule.map(|rule| &*rule.text),
        comment: rule.and_then(|rule| rule.comment.as_deref()),
        handle: rule.and_then(|rule| rule.handle),
        frontend: stopper.frontend.map(|frontend| frontend.into_str()),
        ..nothing(if rule.is_some() { "rule" } else { "policy" })
    }
}
