//! Targets: what people type for a port, and what it means.
//!
//! The grammar, by example: `62893`, `3000-3010`, `80,443`, `:8080`, `53/udp`, `127.0.0.1:62893`,
//! `[::1]:3000`, `[fe80::1%eth0]:3000`, `localhost:3000/path`, `http://localhost:5173/path`,
//! `udp://127.0.0.1:53`, `postgresql`, `*:80`, and `:::3000` as Node prints it. A `/tcp` or `/udp`
//! behind the last item of a list counts for the whole list.

mod url;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::{Protocol, Socket};
use crate::port_set::PortSet;

pub use url::path_of;

/// One port or range that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The first port, never 0.
    pub first: u16,
    /// The last port, not below the first.
    pub last: u16,
    /// The protocol; both if `None`.
    pub protocol: Option<Protocol>,
    /// The addresses; every address of this machine if empty.
    pub addresses: Vec<IpAddr>,
    /// The interface named behind `%`.
    pub zone: Option<String>,
}

impl Target {
    /// The ports asked about.
    pub fn ports(&self) -> std::ops::RangeInclusive<u16> {
        self.first..=self.last
    }

    /// Whether this target asks about `protocol`.
    pub fn wants(&self, protocol: Protocol) -> bool {
        self.protocol.is_none_or(|wanted| wanted == protocol)
    }

    /// Whether `socket` is on an address of this target. Port and protocol are not compared.
    pub fn covers(&self, socket: &Socket) -> bool {
        let elsewhere = matches!((&self.zone, &socket.device), (Some(zone), Some(device)) if **zone != **device);
        !elsewhere && (self.addresses.is_empty() || self.addresses.iter().any(|&address| socket.overlaps(address)))
    }
}

/// All ports that any of the targets asks about.
pub fn ports_of(targets: &[Target]) -> PortSet {
    targets.iter().map(|target| (target.first, target.last)).collect()
}

/// What the grammar needs to know about the machine, as plain functions. Each is called only if
/// what was typed needs it.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The ports of a service name.
    pub services: fn(&str) -> Vec<(u16, Protocol)>,
    /// A service name that is similar to an unknown one.
    pub nearest: fn(&str) -> Option<String>,
    /// The name of this machine.
    pub hostname: fn() -> Option<String>,
    /// The addresses of this machine to which its hosts file gives a name.
    pub addresses: fn(&str) -> Vec<IpAddr>,
}

/// Why something typed is not a target, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{typed}' {reason}")]
pub struct TargetError {
    /// What was typed.
    pub typed: String,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

/// Reads one argument, which may be a list.
pub fn parse(typed: &str, names: &Names) -> Result<Vec<Target>, TargetError> {
    parse_usual(typed, names, None)
}

/// Reads one argument like [`parse`]. If a service has ports of several protocols, only those of
/// `usual` count, unless a protocol is typed.
pub fn parse_usual(typed: &str, names: &Names, usual: Option<Protocol>) -> Result<Vec<Target>, TargetError> {
    parse_argument(typed, names, usual).map_err(|reason| TargetError { typed: typed.to_owned(), reason })
}

/// The reason why something is not a target.
type Reason = String;

/// Where a target is, before its port is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    addresses: Vec<IpAddr>,
    zone: Option<String>,
}

fn parse_argument(typed: &str, names: &Names, usual: Option<Protocol>) -> Result<Vec<Target>, Reason> {
    let text = typed.trim();
    if text.is_empty() {
        return Err("is empty: give a port, such as 8080".to_owned());
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return url::parse(scheme, rest, names);
    }
    if url::split_path(text).is_some() {
        return url::parse("http", text, names);
    }
    parse_list(text, names, usual)
}

fn parse_list(text: &str, names: &Names, usual: Option<Protocol>) -> Result<Vec<Target>, Reason> {
    if !text.starts_with(":::") && (text.parse::<IpAddr>().is_ok() || (text.contains("::") && !text.contains('['))) {
        return Err(address_without_port(text));
    }
    let (text, whole_list) = split_list_protocol(text)?;
    let mut targets = Vec::new();
    let mut place = None;
    for item in text.split(',') {
        let (item, own) = split_protocol(item.trim())?;
        let (item_place, ports) = split_place(item, names)?;
        // `127.0.0.1:80,443` means both ports there.
        let place = match item_place {
            Some(new) => place.insert(new),
            None => place.get_or_insert_default(),
        };
        let ports = parse_ports(ports, names)?;
        let has_usual = usual.is_some() && ports.iter().any(|&(_, _, implied)| implied == usual);
        let meant = own.or(whole_list).or(usual.filter(|_| has_usual));
        for (first, last, implied) in ports {
            let protocol = match (meant, implied) {
                (Some(asked), Some(implied)) if asked != implied => continue,
                (asked, implied) => asked.or(implied),
            };
            targets.push(Target {
                first,
                last,
                protocol,
                addresses: place.addresses.clone(),
                zone: place.zone.clone(),
            });
        }
    }
    if targets.is_empty() {
        let other = if whole_list == Some(Protocol::Udp) { "tcp" } else { "udp" };
        return Err(format!("names a service that has no port for this protocol: leave it out, or try /{other}"));
    }
    Ok(targets)
}

fn address_without_port(text: &str) -> Reason {
    // `::1:8123` is an address, too, but hardly meant as one.
    let (address, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let address = if address == ":" { "::" } else { address };
    let is_port = port.len() > 1 && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if is_port && address.parse::<Ipv6Addr>().is_ok() {
        return format!("needs brackets around the address: write [{address}]:{port}");
    }
    let example = if text.contains(':') { format!("[{text}]:8080") } else { format!("{text}:8080") };
    format!("is an address without a port: write {example}")
}

/// A protocol behind the last of several items, if no other item has its own: `80,443/tcp`.
fn split_list_protocol(text: &str) -> Result<(&str, Option<Protocol>), Reason> {
    match text.rsplit_once('/') {
        Some((list, name)) if list.contains(',') && !list.contains('/') => Ok((list, Some(parse_protocol(name)?))),
        _ => Ok((text, None)),
    }
}

fn split_protocol(item: &str) -> Result<(&str, Option<Protocol>), Reason> {
    match item.split_once('/') {
        Some((item, name)) => Ok((item, Some(parse_protocol(name)?))),
        None => Ok((item, None)),
    }
}

fn parse_protocol(name: &str) -> Result<Protocol, Reason> {
    Protocol::ALL
        .into_iter()
        .find(|protocol| name.eq_ignore_ascii_case(protocol.into_str()))
        .ok_or_else(|| format!("names the protocol '{name}': only /tcp and /udp have ports here"))
}

/// Splits `address:port` into place and port. `None` if there is no address.
fn split_place<'a>(item: &'a str, names: &Names) -> Result<(Option<Place>, &'a str), Reason> {
    if let Some(bracketed) = item.strip_prefix('[') {
        let (address, rest) =
            bracketed.split_once(']').ok_or_else(|| "has no closing bracket: write [::1]:8080".to_owned())?;
        let port = rest.strip_prefix(':').ok_or_else(|| address_without_port(address))?;
        return Ok((Some(parse_ipv6(address)?), port));
    }
    // What Node prints for [::]:3000.
    if let Some(port) = item.strip_prefix(":::") {
        return Ok((Some(Place { addresses: vec![Ipv6Addr::UNSPECIFIED.into()], zone: None }), port));
    }
    match item.rsplit_once(':') {
        None => Ok((None, item)),
        Some((host, _)) if host.contains(':') => {
            Err("has more than one colon: put an IPv6 address in brackets, as in [::1]:8080".to_owned())
        }
        Some((host, port)) => Ok((Some(parse_host(host, names)?), port)),
    }
}

fn parse_ipv6(text: &str) -> Result<Place, Reason> {
    let (address, zone) = match text.split_once('%') {
        Some((_, "")) => return Err("has an empty zone: write the interface behind %, as in [fe80::1%eth0]:80".into()),
        Some((address, zone)) => (address, Some(zone.to_owned())),
        None => (text, None),
    };
    let address: Ipv6Addr =
        address.parse().map_err(|_| format!("has no IPv6 address in its brackets ('{address}'): write [::1]:8080"))?;
    Ok(Place { addresses: vec![IpAddr::V6(address)], zone })
}

fn parse_host(host: &str, names: &Names) -> Result<Place, Reason> {
    // RFC 6761, section 6.3: localhost and names below it are the loopback addresses, without
    // asking a resolver.
    let is_localhost =
        |name: &str| name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
    let name = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host == "*" {
        Ok(Place::default())
    } else if let Ok(address) = host.parse::<Ipv4Addr>() {
        Ok(Place { addresses: vec![IpAddr::V4(address)], zone: None })
    } else if is_localhost(name) {
        Ok(Place { addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], zone: None })
    } else if (names.hostname)().is_some_and(|own| own.eq_ignore_ascii_case(name)) {
        // The resolver decides which of its addresses a name stands for, so all of them are
        // checked.
        Ok(Place::default())
    } else if let addresses @ [_, ..] = &(names.addresses)(name)[..] {
        Ok(Place { addresses: addresses.to_vec(), zone: None })
    } else if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        Err(format!("has a malformed IPv4 address ('{host}'): write 127.0.0.1:8080"))
    } else {
        Err(format!(
            "names the machine '{host}': portcheck looks at this machine only; \
             leave the name out, or write localhost or an address"
        ))
    }
}

/// The ports that a text stands for: first, last, and the protocol if the text implies one.
type Ports = Vec<(u16, u16, Option<Protocol>)>;

fn parse_ports(text: &str, names: &Names) -> Result<Ports, Reason> {
    if text.is_empty() {
        return Err("has no port: write a number from 1 to 65535, such as 8080".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = parse_port(text)?;
        return Ok(vec![(port, port, None)]);
    }
    if let Some((first, last)) = text.split_once('-') {
        let is_number = |side: &str| !side.is_empty() && side.bytes().all(|byte| byte.is_ascii_digit());
        if is_number(first) && is_number(last) {
            let (first, last) = (parse_port(first)?, parse_port(last)?);
            if first > last {
                return Err(format!("is a range that runs backwards: write {last}-{first}"));
            }
            return Ok(vec![(first, last, None)]);
        }
    }
    // RFC 6335, section 5.1: a service name has at least one letter, and letters, digits and
    // hyphens only. Names in services files also have underscores, dots and pluses.
    let is_name = text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
    if !is_name {
        return Err("is not a port: write a number from 1 to 65535, a range such as 3000-3010, \
                    address:port, or a service name"
            .to_owned());
    }
    let ports = (names.services)(text);
    if ports.is_empty() {
        return Err(match (names.nearest)(text) {
            Some(nearest) => format!("is not a known service name: did you mean {nearest}?"),
            None => format!(
                "is not a known service name: write the port as a number, \
                 or list what a program holds with --process {text}"
            ),
        });
    }
    Ok(ports.into_iter().map(|(port, protocol)| (port, port, Some(protocol))).collect())
}

fn parse_port(digits: &str) -> Result<u16, Reason> {
    match digits.parse::<u16>() {
        Ok(0) => Err("asks for port 0, which stands for \"any port\": ports run from 1 to 65535".to_owned()),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("asks for port {digits}: ports run from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests;
