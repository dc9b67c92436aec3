//! Hosts and ports as command lines have them.

use crate::classify::iana;
use crate::model::Protocol;

/// A port by its number, or by the name that IANA assigned.
pub fn port(text: &str, protocol: Protocol) -> Option<u16> {
    let text = text.trim();
    match text.parse() {
        Ok(number) => Some(number).filter(|&number| number > 0),
        Err(_) if text.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            iana::ports_named(text).find(|&(_, of)| of == protocol).map(|(port, _)| port)
        }
        Err(_) => None,
    }
}

/// A host without the brackets that stand around an IPv6 address.
pub fn host(text: &str) -> String {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).to_owned()
}

/// `db.example:5432`, `[::1]:5432`. What stands before the last colon is the host.
pub fn host_and_port(text: &str, protocol: Protocol) -> Option<(String, u16)> {
    let (name, number) = text.rsplit_once(':')?;
    Some((host(name), port(number, protocol)?)).filter(|(name, _)| !name.is_empty())
}

/// The same as a URL: `http://localhost:8080/path`, `tcp://localhost:22`. The port may be left out
/// where the scheme has one.
pub fn url(text: &str) -> Option<(String, u16)> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let usual = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ssh" => Some(22),
        "rdp" => Some(3389),
        _ => None,
    };
    let is_whole = place.ends_with(']') || !place.contains(':');
    match (is_whole, usual) {
        (true, Some(usual)) if !place.is_empty() => Some((host(place), usual)),
        _ => host_and_port(place, Protocol::Tcp),
    }
}
