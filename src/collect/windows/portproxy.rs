//! Ports that the IP Helper service passes on to elsewhere, as `netsh interface portproxy add` sets them up.

use std::net::IpAddr;

use winreg::RegKey;
use winreg::enums::HKEY_LOCAL_MACHINE;

use crate::model::{Protocol, Socket};

/// Where netsh writes them, and the service reads them.
const KEY: &str = r"SYSTEM\CurrentControlSet\Services\PortProxy";
const KINDS: [&str; 4] = ["v4tov4", "v4tov6", "v6tov4", "v6tov6"];

/// A port that is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where it listens; everywhere if `None`.
    address: Option<IpAddr>,
    port: u16,
    /// Where it passes connections on to, and by which kind of rule.
    target: String,
}

/// The rules there are; none if the registry does not tell.
pub fn rules() -> Vec<Rule> {
    let machine = RegKey::predef(HKEY_LOCAL_MACHINE);
    let of_kind = |kind: &str| {
        let values = machine.open_subkey(format!(r"{KEY}\{kind}\tcp"));
        let values = values.map(|key| key.enum_values().flatten().collect::<Vec<_>>()).unwrap_or_default();
        values.into_iter().filter_map(|(name, value)| parse(&name, &value.to_string())).collect::<Vec<_>>()
    };
    KINDS.into_iter().flat_map(of_kind).collect()
}

/// Where connections to `socket` are passed on to, if they are.
pub fn of(rules: &[Rule], socket: &Socket) -> Option<String> {
    let is_its = |rule: &&Rule| {
        let is_there = rule.address.is_none_or(|address| address == socket.local.ip() || address.is_unspecified());
        is_there && rule.port == socket.local.port()
    };
    let is_listener = socket.protocol == Protocol::Tcp && socket.state.is_listening();
    rules.iter().find(is_its).filter(|_| is_listener).map(|rule| rule.target.clone())
}

/// Reads a value: its name is `0.0.0.0/8080` or `*/8080`, where it listens, and its text the same of where it connects to.
fn parse(name: &str, text: &str) -> Option<Rule> {
    let (address, port) = name.rsplit_once('/')?;
    let (host, target) = text.trim_matches('"').rsplit_once('/')?;
    let address = if matches!(address, "*" | "") { None } else { Some(address.parse().ok()?) };
    let target = if host.contains(':') { format!("[{host}]:{target}") } else { format!("{host}:{target}") };
    Some(Rule { address, port: port.parse().ok()?, target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::listener;

    #[test]
    fn values_as_netsh_writes_them() {
        let rules: Vec<Rule> = [
            ("0.0.0.0/8080", "192.168.1.20/80"),
            ("*/3000", "172.28.96.1/3000"),
            ("::1/8443", "fe80::1/443"),
            ("nonsense", "127.0.0.1/80"),
            ("127.0.0.1/99999", "127.0.0.1/80"),
            ("127.0.0.1/80", ""),
        ]
        .into_iter()
        .filter_map(|(name, text)| parse(name, text))
        .collect();
        assert_eq!(rules.len(), 3, "{rules:?}");
        assert_eq!(of(&rules, &listener("0.0.0.0:8080")).as_deref(), Some("192.168.1.20:80"));
        assert_eq!(of(&rules, &listener("[::]:3000")).as_deref(), Some("172.28.96.1:3000"));
        assert_eq!(of(&rules, &listener("[::1]:8443")).as_deref(), Some("[fe80::1]:443"));
        assert_eq!(of(&rules, &listener("127.0.0.1:8443")), None);
        assert_eq!(of(&rules, &listener("0.0.0.0:80")), None);
    }

    #[test]
    fn the_registry_is_read() {
        let user = RegKey::predef(HKEY_LOCAL_MACHINE);
        let path = format!(r"{KEY}\v4tov4\tcp");
        // Who may not write there has nothing to prove it with.
        let Ok((key, _)) = user.create_subkey(&path) else {
            return crate::testing::skip("the registry cannot be written");
        };
        key.set_value("127.0.0.1/51999", &"127.0.0.1/52000").unwrap();
        let found = of(&rules(), &listener("127.0.0.1:51999"));
        key.delete_value("127.0.0.1/51999").unwrap();
        assert_eq!(found.as_deref(), Some("127.0.0.1:52000"));
    }
}
