//! Targets as URLs, and as URLs without a scheme: `localhost:3000/path`.

use super::{Names, Reason, Target, parse_host, parse_ipv6, parse_port, parse_protocol, split_place};
use crate::model::Protocol;

/// The path in a target, if it has one. It cannot be checked, as nothing is requested.
pub fn path_of(typed: &str) -> Option<&str> {
    let text = typed.trim();
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?', '#']).map(|at| &rest[at..]),
        None => split_path(text).map(|(_, path)| path),
    };
    path.filter(|path| *path != "/")
}

/// Splits `localhost:3000/path` if what follows the slash is not a protocol. A browser would have
/// added `http://`.
pub(super) fn split_path(text: &str) -> Option<(&str, &str)> {
    let at = text.find(['/', '?', '#'])?;
    let (place, path) = text.split_at(at);
    let is_protocol = path.strip_prefix('/').is_some_and(|name| parse_protocol(name).is_ok());
    let (_, port) = place.rsplit_once(':')?;
    let is_place = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (is_place && !is_protocol && !text.contains(',')).then_some((place, path))
}

/// Reads `scheme://[user@]host[:port][/path]`. Without a port, the scheme gives it.
pub(super) fn parse(scheme: &str, rest: &str, names: &Names) -> Result<Vec<Target>, Reason> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host_and_port.is_empty() {
        return Err("is a URL without a host: write http://localhost:8080".to_owned());
    }
    let has_port = host_and_port.rsplit_once(':').is_some_and(|(host, port)| {
        // A colon inside brackets is part of an address.
        !port.is_empty() && !port.contains(']') && (!host.starts_with('[') || host.ends_with(']'))
    });
    let (place, port) = if has_port {
        split_place(host_and_port, names)?
    } else {
        let host = host_and_port.strip_suffix(':').unwrap_or(host_and_port);
        let place = match host.strip_prefix('[') {
            Some(address) => parse_ipv6(address.strip_suffix(']').unwrap_or(address))?,
            None => parse_host(host, names)?,
        };
        (Some(place), "")
    };
    let place = place.unwrap_or_default();
    let (first, last) = match (port, default_port(scheme)) {
        ("", Some(port)) => (port, port),
        ("", None) => return Err(format!("has no port, and what '{scheme}' stands for is not known: add :PORT")),
        (port, _) => {
            if !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(format!("has the port '{port}': the port of a URL is a number from 1 to 65535"));
            }
            let port = parse_port(port)?;
            (port, port)
        }
    };
    let protocol = protocol_of(scheme);
    Ok(vec![Target { first, last, protocol, addresses: place.addresses, zone: place.zone }])
}

/// The protocol of a URL scheme. Schemes with a port in the table below run over TCP. Another
/// scheme may not, so both protocols are checked.
fn protocol_of(scheme: &str) -> Option<Protocol> {
    let named = Protocol::ALL.into_iter().find(|protocol| scheme.eq_ignore_ascii_case(protocol.into_str()));
    named.or_else(|| default_port(scheme).map(|_| Protocol::Tcp))
}

/// The port of a URL scheme. Not every scheme is a service name: `postgres` and `ws` are not.
fn default_port(scheme: &str) -> Option<u16> {
    const PORTS: &[(&str, u16)] = &[
        ("amqp", 5672),
        ("amqps", 5671),
        ("ftp", 21),
        ("http", 80),
        ("https", 443),
        ("ldap", 389),
        ("ldaps", 636),
        ("mongodb", 27017),
        ("mqtt", 1883),
        ("mqtts", 8883),
        ("mysql", 3306),
        ("nats", 4222),
        ("postgres", 5432),
        ("postgresql", 5432),
        ("redis", 6379),
        ("rediss", 6379),
        ("sftp", 22),
        ("smtp", 25),
        ("ssh", 22),
        ("vnc", 5900),
        ("ws", 80),
        ("wss", 443),
    ];
    let scheme = scheme.to_ascii_lowercase();
    PORTS.iter().find(|(name, _)| *name == scheme).map(|&(_, port)| port)
}
