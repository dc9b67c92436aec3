//! What the steps of a packet through the rules come to.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::doubts;
use super::firewall::{Firewall, OWN};
use super::netfilter::{Chain, Step, Verdict};
use super::ruleset::comment;
use crate::model::{Doubt, Frontend, Question, RuleText, Stopper};

/// Reads steps.
#[derive(Debug)]
pub struct Reader<'a> {
    pub firewall: &'a Firewall,
    /// The handles of the rules in the replica.
    pub handles: &'a HashMap<Chain, Vec<u64>>,
}

/// What the rules did with a packet.
#[derive(Debug, Default)]
pub struct Fate {
    /// Where it was headed when it had passed all rules of a local packet.
    pub delivered: Option<SocketAddr>,
    pub stopper: Option<Stopper>,
    pub doubt: Option<Doubt>,
    pub is_dockers: bool,
}

/// A chain that a packet was in, and the position of the last rule that it got to.
struct Visit {
    chain: Chain,
    last: usize,
}

/// The ports that a packet had on its way.
fn headed<'a>(steps: impl IntoIterator<Item = &'a Step>) -> impl Iterator<Item = u16> {
    steps.into_iter().filter_map(|step| Some(step.headed?.port()))
}

impl Reader<'_> {
    /// Judges the steps of the packet that asks `question`.
    pub fn read(&self, steps: &[Step], question: &Question) -> Fate {
        let end = |step: &&Step| step.chain.1 == OWN && step.chain.2 == "end";
        let delivered = steps.iter().filter(end).find_map(|step| step.headed);
        let foreign: Vec<&Step> = steps.iter().filter(|step| step.chain.1 != OWN).collect();
        let stopping = foreign.iter().rev().find(|step| step.verdict == Verdict::Drop);
        let stopper = stopping.map(|step| self.stopper(&step.chain, step.handle));
        let taken = foreign.iter().find(|step| step.verdict == Verdict::Other);
        let taken = taken
            .map(|step| Doubt { rule: Some(self.stopper(&step.chain, step.handle)), on: "another program".to_owned() });
        let doubt = self.doubt(&foreign, question).or(taken);
        let is_dockers = foreign
            .iter()
            .any(|step| step.handle.is_some() && self.firewall.texts.frontend(&step.chain) == Some(Frontend::Docker));
        Fate { delivered, stopper, doubt, is_dockers }
    }

    /// The first rule on the way whose effect cannot be replayed.
    fn doubt(&self, steps: &[&Step], question: &Question) -> Option<Doubt> {
        let ports: Vec<u16> = headed(steps.iter().copied()).chain([question.to.port()]).collect();
        self.visits(steps).into_iter().find_map(|Visit { chain, last }| {
            let rules = self.firewall.texts.of(&chain).iter().take(last).enumerate();
            rules.into_iter().find_map(|(index, rule)| {
                let on = doubts::of(rule, question, &ports)?.to_owned();
                Some(Doubt { rule: Some(self.at(&chain, index + 1)), on })
            })
        })
    }

    /// How far the packet got in each chain. One that it left without a word was passed as a whole.
    fn visits(&self, steps: &[&Step]) -> Vec<Visit> {
        let whole = |chain: &Chain| Visit { chain: chain.clone(), last: usize::MAX };
        let (mut done, mut open): (Vec<Visit>, Vec<Visit>) = (Vec::new(), Vec::new());
        for step in steps {
            while open.last().is_some_and(|visit| visit.chain != step.chain) {
                done.extend(open.pop().map(|visit| whole(&visit.chain)));
            }
            open.pop();
            let last = step.handle.map_or(Some(usize::MAX), |handle| self.position(&step.chain, handle));
            let here = Visit { chain: step.chain.clone(), last: last.unwrap_or(usize::MAX) };
            let (family, table, _) = &step.chain;
            let next = step.next.clone().map(|name| Visit { chain: (family.clone(), table.clone(), name), last: 0 });
            match step.verdict {
                Verdict::Next => open.push(here),
                Verdict::Jump => open.extend([here].into_iter().chain(next)),
                Verdict::Goto => {
                    done.push(here);
                    open.extend(next);
                }
                Verdict::Return => done.push(here),
                Verdict::Accept | Verdict::Drop | Verdict::Other => {
                    done.push(here);
                    done.append(&mut open);
                }
            }
        }
        done.extend(open.iter().map(|visit| whole(&visit.chain)));
        done
    }

    /// Any rule of iptables-legacy that may concern the packet, and whose effect cannot be replayed.
    pub fn legacy_doubt(&self, steps: &[Step], question: &Question) -> Option<Doubt> {
        let ports: Vec<u16> = headed(steps).chain([question.to.port()]).collect();
        let on = self.firewall.legacy.all().find_map(|rule| doubts::of(rule, question, &ports))?;
        Some(Doubt { rule: None, on: on.to_owned() })
    }

    fn position(&self, chain: &Chain, handle: u64) -> Option<usize> {
        let index = self.handles.get(chain)?.iter().position(|&known| known == handle)?;
        Some(index + 1)
    }

    /// A rule by its handle in the replica, or the policy of its chain.
    fn stopper(&self, chain: &Chain, handle: Option<u64>) -> Stopper {
        match handle.and_then(|handle| self.position(chain, handle)) {
            Some(position) => self.at(chain, position),
            None => self.named(chain, None),
        }
    }

    fn at(&self, chain: &Chain, position: usize) -> Stopper {
        let texts = self.firewall.texts.of(chain);
        let here = self.firewall.handles.get(chain);
        let text = texts.get(position - 1).cloned().unwrap_or_default();
        let handle = here.filter(|handles| handles.len() == texts.len()).and_then(|handles| handles.get(position - 1));
        self.named(chain, Some(RuleText { position, comment: comment(&text), text, handle: handle.copied() }))
    }

    fn named(&self, chain: &Chain, rule: Option<RuleText>) -> Stopper {
        let (family, table, name) = chain.clone();
        Stopper {
            backend: self.firewall.backend(&family, &table),
            family,
            table,
            chain: name,
            rule,
            frontend: self.firewall.texts.frontend(chain),
        }
    }
}
