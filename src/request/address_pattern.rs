//! Where an end of a connection is, as people write it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// Some addresses, and a port of them or all: `10.0.0.0/8`, `192.0.2.1:443`, `[fe80::]/10:22`, `:5432`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern {
    network: Option<IpNet>,
    port: Option<u16>,
}

impl AddressPattern {
    /// Whether an end of a connection is there.
    pub fn has(&self, end: SocketAddr) -> bool {
        self.port.is_none_or(|port| port == end.port())
            && self.network.is_none_or(|network| network.contains(&end.ip().to_canonical()))
    }
}

impl FromStr for AddressPattern {
    type Err = &'static str;

    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "is no place: write an address such as 10.0.0.5, 10.0.0.0/8, [fe80::]/10:22, 10.0.0.5:443 or :443";
        // An address of IPv6 without a port has colons, too.
        if let Some(network) = network(typed) {
            return Ok(Self { network: Some(network), port: None });
        }
        let (address, port) = typed.rsplit_once(':').ok_or(EXPECTED)?;
        let port = Some(port.parse().map_err(|_| EXPECTED)?);
        match address {
            "" | "*" => Ok(Self { network: None, port }),
            address => Ok(Self { network: Some(network(address).ok_or(EXPECTED)?), port }),
        }
    }
}

/// Reads an address or a network. Brackets are around the address, or around all of it.
fn network(text: &str) -> Option<IpNet> {
    let bare = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((inside, "")) => inside.to_owned(),
        Some((address, prefix)) => format!("{address}{}", prefix.starts_with('/').then_some(prefix)?),
        None => text.to_owned(),
    };
    bare.parse().ok().or_else(|| Some(IpNet::from(bare.parse::<IpAddr>().ok()?.to_canonical())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_people_write_them() {
        let has = |place: &str, end: &str| place.parse::<AddressPattern>().unwrap().has(end.parse().unwrap());
        for (place, end) in [
            ("10.0.0.0/8", "10.1.2.3:5"),
            ("10.1.2.3", "10.1.2.3:5"),
            ("[::ffff:10.1.2.3]:5", "10.1.2.3:5"),
            ("10.1.2.3:5", "10.1.2.3:5"),
            (":5", "10.1.2.3:5"),
            ("*:5", "[::1]:5"),
            ("::1", "[::1]:5"),
            ("[::1]:5", "[::1]:5"),
            ("fe80::/10", "[fe80::7]:5"),
            // Regression: this was refused, though brackets around all of it were not.
            ("[fe80::]/10:5", "[fe80::7]:5"),
            ("[::1]/128:5", "[::1]:5"),
            ("[::1]/128", "[::1]:5"),
            ("[fe80::/10]:5", "[fe80::7]:5"),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]:5"),
        ] {
            assert!(has(place, end), "{place} {end}");
        }
        for (place, end) in [("10.0.0.0/8", "11.1.2.3:5"), (":6", "10.1.2.3:5"), ("10.1.2.3:6", "10.1.2.3:5")] {
            assert!(!has(place, end), "{place} {end}");
        }
        for wrong in
            ["", "x", "[::1]1:5", "[::1]1", "[::/8]/8", "[::1", "10.0.0.0/99", "10.1.2.3:x", "10.1.2.3:70000", "a:1"]
        {
            assert!(wrong.parse::<AddressPattern>().is_err(), "{wrong}");
        }
    }
}
