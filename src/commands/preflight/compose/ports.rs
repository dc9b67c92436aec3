//! Entries of `ports:` in all their forms, read as docker compose reads them (compose-spec, "ports";
//! `ParsePortSpec` in docker/go-connections).

use std::net::IpAddr;

use super::super::variables::{Text, Variables};
use super::super::wanted::{Asked, Spot, address, ports};
use super::super::yaml::{Node, Value};
use crate::model::Protocol;

/// A port of the host that an entry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The address; every one if `None`.
    pub address: Option<IpAddr>,
    /// Which port.
    pub port: Asked,
    /// The protocol.
    pub protocol: Protocol,
    /// The variable that stands for the port.
    pub variable: Option<String>,
    /// Where the port stands.
    pub spot: Spot,
}

/// What is wrong with an entry, and where.
pub type Wrong = (Spot, String);

/// The ports of the host that an entry asks for. None if it publishes none, or leaves the choice to
/// the engine.
pub fn published(node: &Node, variables: &Variables) -> Result<Vec<Published>, Wrong> {
    let published = match &node.value {
        Value::Scalar(text, _) => {
            let text = variables.replace(text).map_err(|wrong| (node.spot, wrong))?;
            short(&text, node.spot).map_err(|wrong| (node.spot, wrong))?
        }
        Value::Map(_) => long(node, variables)?,
        Value::List(_) => return Err((node.spot, "a list is no port".to_owned())),
    };
    Ok(published)
}

/// Whether YAML 1.1, which older tools read, takes it for a number of base 60: `22:22`.
pub fn is_of_base_60(node: &Node) -> bool {
    let Value::Scalar(text, true) = &node.value else { return false };
    let mut parts = text.split(':');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_sixtieth = |part: &str| is_number(part) && part.parse::<u32>().is_ok_and(|number| number < 60);
    parts.next().is_some_and(is_number) && text.contains(':') && parts.all(is_sixtieth)
}

/// `[[address:]host:]container[/protocol]`.
fn short(text: &Text, spot: Spot) -> Result<Vec<Published>, String> {
    let whole = &*text.text;
    let (places, protocol) = match whole.split_once('/') {
        Some((places, name)) => (places, protocol(name)?),
        None => (whole, Some(Protocol::Tcp)),
    };
    let (before, container) = places.rsplit_once(':').unwrap_or(("", places));
    let (host_address, host) = before.rsplit_once(':').unwrap_or(("", before));
    let start = before.len() - host.len();
    let variable = text.variable_at(start, before.len()).map(str::to_owned);
    if let Some(why) = &text.unresolved {
        let port = Asked::Unresolved(why.clone());
        return Ok(protocol
            .map(|protocol| Published { address: None, port, protocol, variable, spot })
            .into_iter()
            .collect());
    }
    let wrong =
        |what: &str| format!("'{whole}' has no {what}: write 8080:80, 127.0.0.1:8080:80 or 8080-8090:80-90/udp");
    let address = match host_address {
        "" => None,
        text => Some(address(text).ok_or_else(|| wrong("IP address"))?),
    };
    let (first_inside, last_inside) = ports(container).ok_or_else(|| wrong("port of the container"))?;
    let Some(protocol) = protocol else { return Ok(Vec::new()) };
    if matches!(host, "" | "0") {
        return Ok(Vec::new());
    }
    let (first, last) = ports(host).ok_or_else(|| wrong("port of the host"))?;
    let is_one_inside = first_inside == last_inside;
    if last - first != last_inside - first_inside && !is_one_inside {
        return Err(format!("'{whole}' has ranges of different lengths"));
    }
    let one = |port| Published { address, port, protocol, variable: variable.clone(), spot };
    if is_one_inside && first < last {
        return Ok(vec![one(Asked::AnyOf(first, last))]);
    }
    Ok((first..=last).map(|port| one(Asked::One(port))).collect())
}

/// A map with `target`, `published`, `host_ip` and `protocol`.
fn long(node: &Node, variables: &Variables) -> Result<Vec<Published>, Wrong> {
    let text = |key: &str| -> Result<Option<(Text, Spot)>, Wrong> {
        let Some(node) = node.get(key).filter(|node| !node.is_null()) else { return Ok(None) };
        let text = node.text().ok_or_else(|| (node.spot, format!("{key} is no text")))?;
        Ok(Some((variables.replace(text).map_err(|wrong| (node.spot, wrong))?, node.spot)))
    };
    let protocol = match text("protocol")? {
        Some((name, spot)) => protocol(&name.text).map_err(|wrong| (spot, wrong))?,
        None => Some(Protocol::Tcp),
    };
    let (Some((host, spot)), Some(protocol)) = (text("published")?, protocol) else { return Ok(Vec::new()) };
    let variable = host.variable_at(0, host.text.len()).map(str::to_owned);
    let address = match text("host_ip")? {
        Some((text, _)) if text.text.is_empty() && text.unresolved.is_none() => None,
        Some((text, _)) if text.unresolved.is_some() => {
            let port = Asked::Unresolved(text.unresolved.unwrap_or_default());
            return Ok(vec![Published { address: None, port, protocol, variable, spot }]);
        }
        Some((text, at)) => Some(address(&text.text).ok_or_else(|| (at, format!("'{}' is no IP address", text.text)))?),
        None => None,
    };
    let port = match (host.unresolved, &*host.text) {
        (Some(why), _) => Asked::Unresolved(why),
        (None, "" | "0") => return Ok(Vec::new()),
        (None, text) => match ports(text).ok_or_else(|| (spot, format!("'{text}' is no port")))? {
            (first, last) if first == last => Asked::One(first),
            (first, last) => Asked::AnyOf(first, last),
        },
    };
    Ok(vec![Published { address, port, protocol, variable, spot }])
}

/// The protocol by its name; `None` for one whose ports are not those of TCP or UDP.
fn protocol(name: &str) -> Result<Option<Protocol>, String> {
    match &*name.to_ascii_lowercase() {
        "" | "tcp" => Ok(Some(Protocol::Tcp)),
        "udp" => Ok(Some(Protocol::Udp)),
        "sctp" => Ok(None),
        _ => Err(format!("'{name}' is no protocol: write tcp or udp")),
    }
}

#[cfg(test)]
#[cfg(feature = "preflight")]
mod tests {
    use super::super::super::yaml::parse;
    use super::*;

    /// What an entry asks for, in few words.
    fn read(entry: &str) -> Result<Vec<String>, String> {
        let node = parse(entry).unwrap().remove(0);
        let found = published(&node, &Variables::default()).map_err(|(_, wrong)| wrong)?;
        let words = |one: Published| {
            let address = one.address.map(|address| format!("{address} ")).unwrap_or_default();
            let port = match one.port {
                Asked::One(port) => port.to_string(),
                Asked::AnyOf(first, last) => format!("{first}..{last}"),
                Asked::Unresolved(why) => why,
            };
            format!(
                "{address}{port}/{}{}",
                one.protocol,
                one.variable.map(|name| format!(" {name}")).unwrap_or_default()
            )
        };
        Ok(found.into_iter().map(words).collect())
    }

    /// The examples of the compose specification, and what docker compose makes of each.
    #[test]
    fn every_example_of_the_specification() {
        let eleven: Vec<String> = (5000..=5010).map(|port| format!("127.0.0.1 {port}/tcp")).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        for (entry, asked) in [
            ("\"3000\"", &[][..]),
            ("\"3000-3005\"", &[]),
            ("\"8000:8000\"", &["8000/tcp"]),
            ("\"9090-9091:8080-8081\"", &["9090/tcp", "9091/tcp"]),
            ("\"49100:22\"", &["49100/tcp"]),
            ("\"8000-9000:80\"", &["8000..9000/tcp"]),
            ("\"127.0.0.1:8001:8001\"", &["127.0.0.1 8001/tcp"]),
            ("\"127.0.0.1:5000-5010:5000-5010\"", &eleven),
            ("\"127.0.0.1::5000\"", &[]),
            ("\"6060:6060/udp\"", &["6060/udp"]),
            ("\"::1:6001:6001\"", &["::1 6001/tcp"]),
            ("\"[::1]:6001:6001\"", &["::1 6001/tcp"]),
            (
                "{target: 80, host_ip: 127.0.0.1, published: \"8080\", protocol: tcp, app_protocol: http, mode: host}",
                &["127.0.0.1 8080/tcp"],
            ),
            (
                "{name: web-secured, target: 443, host_ip: 127.0.0.1, published: \"8083-9000\", protocol: tcp}",
                &["127.0.0.1 8083..9000/tcp"],
            ),
        ] {
            assert_eq!(read(entry).unwrap(), asked, "{entry}");
        }
    }

    #[test]
    fn other_forms() {
        for (entry, asked) in [
            ("3000", &[][..]),
            ("8080:80", &["8080/tcp"]),
            ("22:22", &["22/tcp"]),
            ("0:80", &[]),
            ("8080:80/UDP", &["8080/udp"]),
            ("8080:80/sctp", &[]),
            ("0.0.0.0:8080:80", &["0.0.0.0 8080/tcp"]),
            ("'[::]:8080:80'", &[":: 8080/tcp"]),
            ("${A:-8080}:80", &["8080/tcp A"]),
            ("${A:-127.0.0.1}:${B:-8080}:80", &["127.0.0.1 8080/tcp B"]),
            ("${A:-127.0.0.1:8080}:80", &["127.0.0.1 8080/tcp"]),
            ("${A}:80", &["A has no value/tcp A"]),
            ("{target: 80}", &[]),
            ("{target: 80, published: 8080}", &["8080/tcp"]),
            ("{target: 80, published: ~}", &[]),
            ("{target: 80, published: \"${A:-8080}\", protocol: udp}", &["8080/udp A"]),
            ("{target: 80, published: \"${A:?no}\"}", &["A has no value: no/tcp A"]),
            ("{target: 80, published: 8080, host_ip: \"::1\"}", &["::1 8080/tcp"]),
        ] {
            assert_eq!(read(entry).unwrap(), asked, "{entry}");
        }
    }

    #[test]
    fn what_docker_compose_refuses_is_refused() {
        for entry in [
            "\"a:80\"",
            "\"8080:b\"",
            "\"80-90:80-95\"",
            "\"90-80:90-80\"",
            "\"8080:80/abc\"",
            "\"70000:80\"",
            "\"999.0.0.1:80:80\"",
            "\"$:80\"",
            "[80]",
            "{target: 80, published: x}",
            "{published: 80, host_ip: x}",
            "{published: [1]}",
            "\"8080:\"",
        ] {
            assert!(read(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn numbers_of_base_60() {
        let is = |entry: &str| is_of_base_60(&parse(entry).unwrap()[0]);
        assert!(is("22:22") && is("8080:59") && !is("8080:80") && !is("\"22:22\"") && !is("22") && !is("a:1"));
    }
}
