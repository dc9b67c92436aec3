//! Which rule of iptables-legacy stopped a packet: the one whose counter it raised. The counters are
//! those of the replica.

use std::collections::HashMap;

use super::firewall::{Firewall, find, print};
use super::ruleset::comment;
use crate::model::{RuleText, Stopper};

/// The targets that end the way of a packet.
const ENDING: [&str; 3] = ["DROP", "REJECT", "NFQUEUE"];

/// The counters of every rule and policy of a family.
#[derive(Debug)]
pub struct Counters {
    family: &'static str,
    saved: String,
}

impl Counters {
    /// Reads them.
    pub fn read(family: &'static str) -> Option<Self> {
        let start = if family == "ip" { "iptables" } else { "ip6tables" };
        let saved = print(&find(format!("{start}-legacy-save"))?, &["-c"])?;
        Some(Self { family, saved })
    }

    /// The rule or policy that stopped the packets since `before`.
    pub fn stopper(&self, before: &Self, firewall: &Firewall) -> Option<Stopper> {
        let mut table = String::new();
        let mut positions: HashMap<&str, usize> = HashMap::new();
        let (mut rule, mut policy) = (None, None);
        for (old, new) in before.saved.lines().zip(self.saved.lines()) {
            if let Some(name) = new.strip_prefix('*') {
                name.clone_into(&mut table);
                positions.clear();
            }
            let named = |chain: &str, rule| Stopper {
                backend: "iptables-legacy",
                family: self.family.to_owned(),
                table: table.clone(),
                chain: chain.to_owned(),
                rule,
                frontend: firewall.legacy.frontend(&(self.family.to_owned(), table.clone(), chain.to_owned())),
            };
            if let Some((_, text)) = new.split_once("] ").filter(|(counters, _)| counters.starts_with('[')) {
                let chain = text.split(' ').nth(1).unwrap_or_default();
                let position = *positions.entry(chain).and_modify(|position| *position += 1).or_insert(1);
                let mut words = text.split(' ').skip_while(|word| *word != "-j");
                if old != new && words.nth(1).is_some_and(|target| ENDING.contains(&target)) {
                    let text = text.to_owned();
                    rule = Some(named(chain, Some(RuleText { position, comment: comment(&text), text, handle: None })));
                }
            } else if let Some(words) = new.strip_prefix(':')
                && old != new
                && let [chain, "DROP", _] = words.split(' ').collect::<Vec<_>>()[..]
            {
                policy = Some(named(chain, None));
            }
        }
        rule.or(policy)
    }
}
