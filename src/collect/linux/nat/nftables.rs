//! The output of `nft -j list table` (libnftables-json(5)).

use std::net::IpAddr;

use serde_json::Value;

use super::rules::{Action, Chain, Chains, Match, Rule};
use crate::model::{Destination, Protocol};
use crate::port_set::PortSet;

/// The chains of a table.
pub fn parse(json: &str) -> Chains {
    let document: Value = serde_json::from_str(json).unwrap_or_default();
    let objects: Vec<&Value> = document["nftables"].as_array().into_iter().flatten().collect();
    let maps: Vec<&Value> =
        objects.iter().filter_map(|object| object.get("map").or_else(|| object.get("set"))).collect();
    let mut chains = Chains::new();
    for chain in objects.iter().filter_map(|object| object.get("chain")) {
        let is_entry = chain["hook"] == "prerouting" && chain["type"] == "nat";
        chains.insert(text(&chain["name"]), Chain { is_entry, rules: Vec::new() });
    }
    let mut counts: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for rule in objects.iter().filter_map(|object| object.get("rule")) {
        let chain = text(&rule["chain"]);
        let position = counts.entry(chain.clone()).and_modify(|count| *count += 1).or_insert(1);
        let rules = Expressions { maps: &maps }.rules(&rule["expr"]);
        let rules = rules.into_iter().map(|(matches, action)| Rule { matches, action, position: *position });
        chains.entry(chain).or_default().rules.extend(rules);
    }
    chains
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Reads the expressions of rules. A map makes a rule for each of its elements.
struct Expressions<'a> {
    maps: &'a [&'a Value],
}

impl Expressions<'_> {
    fn rules(&self, expressions: &Value) -> Vec<(Match, Action)> {
        let mut matches = Match::default();
        for expression in expressions.as_array().into_iter().flatten() {
            if let Some(condition) = expression.get("match") {
                self.condition(condition, &mut matches);
            } else if let Some(actions) = self.actions(expression, &matches) {
                return actions;
            } else if expression.get("xt").is_some() {
                matches.has_more = true;
            }
        }
        vec![(matches, Action::Next)]
    }

    /// What the last expression of a rule does; `None` for those that are not the last.
    fn actions(&self, expression: &Value, matches: &Match) -> Option<Vec<(Match, Action)>> {
        let one = |action: Action| Some(vec![(matches.clone(), action)]);
        let (name, value) = expression.as_object()?.iter().next()?;
        match &**name {
            "jump" | "goto" => one(Action::Jump(text(&value["target"]))),
            "return" => one(Action::Return),
            "accept" | "drop" | "reject" => one(Action::End),
            "redirect" => one(Action::Divert(here(&value["port"]))),
            "dnat" if value["addr"].get("map").is_some() => {
                let addresses = self.elements(&value["addr"]["map"]["data"]);
                let divert = |(key, to): (Value, Value)| {
                    Some((
                        self.narrowed(matches, &value["addr"]["map"]["key"], &key)?,
                        Action::Divert(place(&to, &value["port"])),
                    ))
                };
                Some(addresses.into_iter().filter_map(divert).collect())
            }
            "dnat" => one(Action::Divert(place(&value["addr"], &value["port"]))),
            "vmap" => {
                let jump = |(key, verdict): (Value, Value)| {
                    let [action] = &self.actions(&verdict, matches)?[..] else { return None };
                    Some((self.narrowed(matches, &value["key"], &key)?, action.1.clone()))
                };
                Some(self.elements(&value["data"]).into_iter().filter_map(jump).collect())
            }
            _ => None,
        }
    }

    /// The elements of a map: keys and values.
    fn elements(&self, data: &Value) -> Vec<(Value, Value)> {
        let named = data.as_str().and_then(|name| name.strip_prefix('@'));
        let elements = match named {
            Some(name) => self.maps.iter().find(|map| map["name"] == name).map(|map| &map["elem"]),
            None => data.get("set"),
        };
        let pair = |element: &Value| Some((element.get(0)?.clone(), element.get(1)?.clone()));
        elements.and_then(Value::as_array).into_iter().flatten().filter_map(pair).collect()
    }

    /// Adds a condition to what has to fit.
    fn condition(&self, condition: &Value, matches: &mut Match) {
        let right = &condition["right"];
        let is_equal = condition["op"] == "==" || condition["op"] == "in";
        match kind(&condition["left"]).filter(|_| is_equal) {
            Some(Kind::Protocol) => matches.protocol = protocol(right),
            Some(Kind::Ports(only)) => {
                matches.protocol = only.or(matches.protocol);
                matches.ports = self.ports(right);
            }
            Some(Kind::Destination) => match network(right) {
                Some(network) => matches.destination = Some(network),
                None => matches.has_more = true,
            },
            Some(Kind::Locality) => matches.has_more |= right != "local",
            None => matches.has_more = true,
        }
    }

    /// The same with the key of a map's element: a port, or a protocol and a port.
    fn narrowed(&self, matches: &Match, key: &Value, value: &Value) -> Option<Match> {
        let mut matches = matches.clone();
        let keys = key["concat"].as_array().cloned().unwrap_or_else(|| vec![key.clone()]);
        let values = value["concat"].as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for (left, right) in keys.into_iter().zip(values) {
            self.condition(&serde_json::json!({"op": "==", "left": left, "right": right}), &mut matches);
        }
        matches.ports.is_some().then_some(matches)
    }

    /// `80`, `{"range": [80, 90]}`, `{"set": [80, 443]}`, `"@ports"`.
    fn ports(&self, value: &Value) -> Option<PortSet> {
        let range = |value: &Value| -> Option<(u16, u16)> {
            let end = |value: &Value| u16::try_from(value.as_u64()?).ok();
            match value["range"].as_array() {
                Some(ends) => Some((end(ends.first()?)?, end(ends.get(1)?)?)),
                None => end(value).map(|port| (port, port)),
            }
        };
        let named = value.as_str().and_then(|name| name.strip_prefix('@'));
        let named = named.and_then(|name| self.maps.iter().find(|set| set["name"] == name)).map(|set| &set["elem"]);
        match named.or_else(|| value.get("set")).and_then(Value::as_array) {
            Some(elements) => Some(elements.iter().filter_map(range).collect()),
            None => range(value).map(|range| std::iter::once(range).collect()),
        }
    }
}

/// What the left side of a condition is about.
enum Kind {
    Protocol,
    Ports(Option<Protocol>),
    Destination,
    Locality,
}

fn kind(left: &Value) -> Option<Kind> {
    if left["meta"]["key"] == "l4proto" {
        return Some(Kind::Protocol);
    }
    if left["fib"]["result"] == "type" {
        return Some(Kind::Locality);
    }
    let (layer, field) = (left["payload"]["protocol"].as_str()?, left["payload"]["field"].as_str()?);
    match (layer, field) {
        ("ip", "protocol") | ("ip6", "nexthdr") => Some(Kind::Protocol),
        ("ip" | "ip6", "daddr") => Some(Kind::Destination),
        ("tcp", "dport") => Some(Kind::Ports(Some(Protocol::Tcp))),
        ("udp", "dport") => Some(Kind::Ports(Some(Protocol::Udp))),
        ("th", "dport") => Some(Kind::Ports(None)),
        _ => None,
    }
}

fn protocol(value: &Value) -> Option<Protocol> {
    match value.as_str() {
        Some("tcp") => Some(Protocol::Tcp),
        Some("udp") => Some(Protocol::Udp),
        _ => None,
    }
}

/// `"10.0.0.5"`, `{"prefix": {"addr": "10.0.0.0", "len": 8}}`.
fn network(value: &Value) -> Option<(IpAddr, u8)> {
    if let Some(prefix) = value.get("prefix") {
        return Some((prefix["addr"].as_str()?.parse().ok()?, u8::try_from(prefix["len"].as_u64()?).ok()?));
    }
    let address: IpAddr = value.as_str()?.parse().ok()?;
    Some((address, if address.is_ipv4() { 32 } else { 128 }))
}

/// An address, or an address and a port, of a `dnat`.
fn place(address: &Value, port: &Value) -> Option<Destination> {
    let (address, port) = match address["concat"].as_array() {
        Some(parts) => (parts.first()?, parts.get(1)?),
        None => (address, port),
    };
    let port = u16::try_from(port.as_u64().unwrap_or(0)).ok()?;
    Some(Destination { host: address.as_str()?.to_owned(), port, namespace: None })
}

fn here(port: &Value) -> Option<Destination> {
    let port = u16::try_from(port.as_u64()?).ok()?;
    Some(Destination { host: "localhost".to_owned(), port, namespace: None })
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Packet, diverting};
    use super::*;

    fn way(json: &str, protocol: Protocol, port: u16) -> Option<String> {
        let chains = parse(json);
        let local = ["10.0.0.5".parse().unwrap()];
        let (chain, rule) = diverting(&chains, &Packet { protocol, port, local: &local })?;
        let Action::Divert(to) = &rule.action else { panic!("{rule:?}") };
        let to = to.as_ref().map(|to| format!("{}:{}", to.host, to.port));
        Some(format!("{chain} {} -> {}", rule.position, to.unwrap_or_default()))
    }

    #[test]
    fn ports_sets_ranges_and_maps() {
        // As nft 1.0.6 prints it.
        let json = include_str!("nftables.json");
        for (port, expected) in [
            (8080, "pre 1 -> 172.18.0.2:80"),
            (81, "pre 2 -> localhost:8000"),
            (95, "pre 2 -> localhost:8000"),
            (85, "pre 5 -> 10.1.1.5:0"),
            (86, "pre 6 -> 10.1.1.6:87"),
            (30080, "ext 1 -> 10.244.0.7:8080"),
        ] {
            assert_eq!(way(json, Protocol::Tcp, port).as_deref(), Some(expected), "{port}");
        }
        assert_eq!(way(json, Protocol::Udp, 53).unwrap(), "pre 4 -> 10.1.1.1:5353");
        for (protocol, port) in
            [(Protocol::Tcp, 53), (Protocol::Tcp, 82), (Protocol::Udp, 8080), (Protocol::Udp, 30080)]
        {
            assert_eq!(way(json, protocol, port), None, "{port}/{protocol}");
        }
    }

    #[test]
    fn nothing_malformed_makes_it_panic() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"nftables": 7}"#,
            r#"{"nftables": [{"rule": {"expr": [7, {"dnat": null}, {}]}}, {"chain": 1}]}"#,
        ] {
            assert_eq!(way(json, Protocol::Tcp, 1), None, "{json}");
        }
    }
}
