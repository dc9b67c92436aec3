//! Ports that the IP Helper service forwards: the rules of `netsh interface portproxy add`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use winreg::RegKey;
use winreg::enums::HKEY_LOCAL_MACHINE;

use crate::model::{Forwarder, PortProxy, Process, Protocol, Socket, find_process};

/// The registry key of the rules: netsh writes them, and the service reads them.
const KEY: &str = r"SYSTEM\CurrentControlSet\Services\PortProxy";
const KINDS: [&str; 4] = ["v4tov4", "v4tov6", "v6tov4", "v6tov6"];

/// A rule that forwards a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which of [`KINDS`].
    kind: &'static str,
    /// Where it listens, as written: an address or `*`.
    address: String,
    port: u16,
    /// Where it forwards connections to.
    target: String,
}

/// The rules. None if the registry cannot be read.
pub fn rules() -> Vec<Rule> {
    let machine = RegKey::predef(HKEY_LOCAL_MACHINE);
    let of_kind = |kind: &'static str| {
        let values = machine.open_subkey(format!(r"{KEY}\{kind}\tcp"));
        let values = values.map(|key| key.enum_values().flatten().collect::<Vec<_>>()).unwrap_or_default();
        values.into_iter().filter_map(|(name, value)| parse(kind, &name, &value.to_string())).collect::<Vec<_>>()
    };
    KINDS.into_iter().flat_map(of_kind).collect()
}

/// Where connections to `socket` are forwarded, if a rule does that. Another program may have the
/// port of a rule: only a service host forwards anything.
pub fn of(rules: &[Rule], socket: &Socket, processes: &[Process]) -> Option<PortProxy> {
    let is_listener = socket.protocol == Protocol::Tcp && socket.state.is_listening();
    let owner = socket.owners.pids().first().and_then(|&pid| find_process(processes, pid))?;
    if !is_listener || owner.forwarder != Some(Forwarder::ServiceHost) {
        return None;
    }
    let rule =
        rules.iter().find(|rule| rule.port == socket.local.port() && rule.listens_at() == Some(socket.local.ip()))?;
    Some(PortProxy { kind: rule.kind, listen_address: rule.address.clone(), target: rule.target.clone() })
}

impl Rule {
    /// Where it listens. `None` if that is no address.
    fn listens_at(&self) -> Option<IpAddr> {
        match &*self.address {
            "*" | "" if self.kind.starts_with("v4") => Some(Ipv4Addr::UNSPECIFIED.into()),
            "*" | "" => Some(Ipv6Addr::UNSPECIFIED.into()),
            address => address.parse().ok(),
        }
    }
}

/// Reads a value. Its name is where the rule listens, `0.0.0.0/8080` or `*/8080`. Its text is where
/// the rule connects to, in the same form.
fn parse(kind: &'static str, name: &str, text: &str) -> Option<Rule> {
    let (address, port) = name.rsplit_once('/')?;
    let (host, target) = text.trim_matches('"').rsplit_once('/')?;
    let target = if host.contains(':') { format!("[{host}]:{target}") } else { format!("{host}:{target}") };
    let rule = Rule { kind, address: address.to_owned(), port: port.parse().ok()?, target };
    rule.listens_at().is_some().then_some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Owners;
    use crate::testing::{listener, process};

    /// Where a listener of process 1234 forwards connections to, and what that process is.
    fn target(rules: &[Rule], local: &str, name: &str) -> Option<String> {
        let socket = Socket { owners: Owners::Known(vec![1234]), ..listener(local) };
        of(rules, &socket, &[process(1234, 800, name)]).map(|forward| forward.target)
    }

    #[test]
    fn values_as_netsh_writes_them() {
        let rules: Vec<Rule> = [
            ("v4tov4", "0.0.0.0/8080", "192.168.1.20/80"),
            ("v4tov4", "*/3000", "172.28.96.1/3000"),
            ("v6tov6", "*/3000", "fd00::1/3000"),
            ("v6tov6", "::1/8443", "fe80::1/443"),
            ("v4tov4", "nonsense", "127.0.0.1/80"),
            ("v4tov4", "name/80", "127.0.0.1/80"),
            ("v4tov4", "127.0.0.1/99999", "127.0.0.1/80"),
            ("v4tov4", "127.0.0.1/80", ""),
        ]
        .into_iter()
        .filter_map(|(kind, name, text)| parse(kind, name, text))
        .collect();
        assert_eq!(rules.len(), 4, "{rules:?}");
        let of = |local: &str| target(&rules, local, "svchost.exe");
        assert_eq!(of("0.0.0.0:8080").as_deref(), Some("192.168.1.20:80"));
        assert_eq!(of("0.0.0.0:3000").as_deref(), Some("172.28.96.1:3000"));
        assert_eq!(of("[::]:3000").as_deref(), Some("[fd00::1]:3000"));
        assert_eq!(of("[::1]:8443").as_deref(), Some("[fe80::1]:443"));
        for other in ["127.0.0.1:8443", "0.0.0.0:80", "127.0.0.1:3000"] {
            assert_eq!(of(other), None);
        }
        // A rule that nobody needs any more, beside a server on the port.
        assert_eq!(target(&rules, "0.0.0.0:3000", "node.exe"), None);
    }

    #[test]
    fn the_registry_is_read() {
        let user = RegKey::predef(HKEY_LOCAL_MACHINE);
        let path = format!(r"{KEY}\v4tov4\tcp");
        // Without permission to write to the registry, there is nothing to test with.
        let Ok((key, _)) = user.create_subkey(&path) else {
            return crate::testing::skip("the registry cannot be written");
        };
        key.set_value("127.0.0.1/51999", &"127.0.0.1/52000").unwrap();
        let found = target(&rules(), "127.0.0.1:51999", "svchost.exe");
        key.delete_value("127.0.0.1/51999").unwrap();
        assert_eq!(found.as_deref(), Some("127.0.0.1:52000"));
    }
}
