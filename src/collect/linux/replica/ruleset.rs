//! The firewall as its tools print it: what is to be loaded again, and the text of each rule.

use std::collections::HashMap;

use super::netfilter::Chain;
use crate::model::Frontend;

/// The texts of the rules of each chain, in their order.
#[derive(Debug, Default)]
pub struct Texts {
    chains: HashMap<Chain, Vec<String>>,
}

impl Texts {
    /// Learns what `nft list ruleset` prints.
    pub fn learn_nft(&mut self, listing: &str) {
        let (mut table, mut chain, mut depth) = (None, None, 0usize);
        for line in listing.lines().map(str::trim) {
            let words: Vec<&str> = line.split(' ').collect();
            match (depth, &words[..]) {
                (0, ["table", family, name, "{"]) => table = Some(((*family).to_owned(), (*name).to_owned())),
                (1, ["chain", name, "{"]) => {
                    let key = table.clone().map(|(family, table)| (family, table, (*name).to_owned()));
                    chain.clone_from(&key);
                    self.chains.extend(key.map(|key| (key, Vec::new())));
                }
                (2, [first, ..]) if !matches!(*first, "type" | "policy" | "comment" | "}" | "") => {
                    if let Some(rules) = chain.as_ref().and_then(|chain| self.chains.get_mut(chain)) {
                        rules.push(without_counters(line));
                    }
                }
                _ => {}
            }
            // A rule may have sets in braces; they end in the same line.
            let unquoted: String = line.split('"').step_by(2).collect();
            let (opened, closed) = (unquoted.matches('{').count(), unquoted.matches('}').count());
            depth = (depth + opened).saturating_sub(closed);
            if depth < 2 {
                chain = None;
            }
        }
    }

    /// Learns what iptables-save prints of `family`.
    pub fn learn_iptables(&mut self, family: &str, saved: &str) {
        let mut table = String::new();
        for line in saved.lines() {
            let chain = |name: &str| (family.to_owned(), table.clone(), name.to_owned());
            if let Some(name) = line.strip_prefix('*') {
                name.clone_into(&mut table);
            } else if let Some(name) = line.strip_prefix(':').and_then(|rest| rest.split(' ').next()) {
                self.chains.entry(chain(name)).or_default();
            } else if let Some(name) = line.strip_prefix("-A ").and_then(|rest| rest.split(' ').next()) {
                self.chains.entry(chain(name)).or_default().push(line.to_owned());
            }
        }
    }

    /// The rules of a chain.
    pub fn of(&self, chain: &Chain) -> &[String] {
        self.chains.get(chain).map_or(&[], Vec::as_slice)
    }

    /// The rules of all chains.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.chains.values().flatten()
    }

    /// Whether ufw has rules here.
    pub fn has_ufw(&self) -> bool {
        self.chains.keys().any(|(.., chain)| is_ufws(chain))
    }

    /// Who wrote a chain.
    pub fn frontend(&self, (family, table, chain): &Chain) -> Option<Frontend> {
        if table == "firewalld"
            || ["IN_", "FWD_", "FWDI_", "INPUT_ZONES", "FORWARD_IN_ZONES"].iter().any(|start| chain.starts_with(start))
        {
            return Some(Frontend::Firewalld);
        }
        if chain.starts_with("DOCKER") {
            return Some(Frontend::Docker);
        }
        if ["KUBE-", "cali-", "CILIUM_"].iter().any(|start| chain.starts_with(start)) || table == "kube-proxy" {
            return Some(Frontend::Kubernetes);
        }
        let is_base = ["INPUT", "FORWARD", "OUTPUT"].contains(&&**chain) && table == "filter";
        let has = |is: fn(&str) -> bool| {
            self.chains.keys().any(|known| (&known.0, &known.1) == (family, table) && is(&known.2))
        };
        match () {
            () if is_ufws(chain) || (is_base && has(is_ufws)) => Some(Frontend::Ufw),
            () if is_base && has(|name| name.starts_with("INPUT_ZONES")) => Some(Frontend::Firewalld),
            () => None,
        }
    }
}

fn is_ufws(chain: &str) -> bool {
    chain.starts_with("ufw-") || chain.starts_with("ufw6-")
}

/// A rule without what its counters show.
fn without_counters(rule: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut rest = rule.split(' ').peekable();
    while let Some(word) = rest.next() {
        words.push(word);
        if word == "counter" && rest.peek() == Some(&"packets") {
            for _ in 0..4 {
                rest.next();
            }
        }
    }
    words.join(" ")
}

/// The comment of a rule.
pub fn comment(rule: &str) -> Option<String> {
    let words = shlex::split(rule)?;
    let option = words.iter().position(|word| word == "--comment");
    let at = option.or_else(|| words.iter().position(|word| word == "comment"))?;
    words.get(at + 1).cloned()
}

/// What `nft list ruleset` prints, without the tables that `is_left_out` names by family and name.
pub fn without_tables(listing: &str, is_left_out: impl Fn(&str, &str) -> bool) -> String {
    let (mut kept, mut skips) = (String::new(), false);
    for line in listing.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["table", family, name, "{"] = words[..] {
            skips = is_left_out(family, name);
        }
        if !skips {
            kept.push_str(line);
            kept.push('\n');
        }
        if line == "}" {
            skips = false;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "table inet filter {\n\tset allowed {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.0,\n\t\t\t     10.0.0.1 }\n\t}\n\n\
        \tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tip saddr @allowed counter packets 3 bytes 180 accept comment \"our own\"\n\
        \t\ttcp dport vmap { 22 : accept, 80 : jump web }\n\t}\n\n\tchain web {\n\t\treject with tcp reset\n\t}\n}\ntable ip nat {\n\tchain PREROUTING {\n\t}\n}\n";

    #[test]
    fn the_rules_of_each_chain_are_numbered() {
        let mut texts = Texts::default();
        texts.learn_nft(LISTING);
        let of = |chain: &str| texts.of(&("inet".to_owned(), "filter".to_owned(), chain.to_owned())).to_vec();
        assert_eq!(of("input")[0], "ip saddr @allowed counter accept comment \"our own\"");
        assert_eq!(comment(&of("input")[0]).as_deref(), Some("our own"));
        assert_eq!(of("input").len(), 2);
        assert_eq!(of("web"), ["reject with tcp reset"]);
        let kept = without_tables(LISTING, |family, name| (family, name) == ("inet", "filter"));
        assert_eq!(kept, "table ip nat {\n\tchain PREROUTING {\n\t}\n}\n");
    }

    #[test]
    fn iptables_names_its_chains_first() {
        let mut texts = Texts::default();
        texts.learn_iptables("ip", "*filter\n:INPUT DROP [1:2]\n:ufw-user-input - [0:0]\n-A INPUT -p tcp -m comment --comment \"a b\" -j DROP\nCOMMIT\n");
        let input = ("ip".to_owned(), "filter".to_owned(), "INPUT".to_owned());
        assert_eq!(comment(&texts.of(&input)[0]).as_deref(), Some("a b"));
        assert_eq!(texts.frontend(&input), Some(Frontend::Ufw));
    }
}
