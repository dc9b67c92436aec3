//! The name and the interfaces of this machine, read only if a target names one.

use std::net::IpAddr;

use crate::classify::etc;
use crate::classify::services::Services;
use crate::target::Names;

/// Whether this is built for Windows, where command lines, ends of processes and shared addresses
/// have other rules.
pub const IS_WINDOWS: bool = cfg!(target_os = "windows");

/// Whether this is built for Linux. There an IPv6 wildcard that takes IPv4, too, conflicts with
/// every IPv4 socket.
pub const IS_LINUX: bool = cfg!(target_os = "linux");

/// What the grammar of targets asks about the machine.
pub const NAMES: Names = Names {
    services: |name| Services::load().ports_named(name),
    nearest: |name| Services::load().nearest_name(name),
    hostname,
    addresses,
};

/// The index of an interface by its name; 0 if there is none. Windows writes the index itself
/// behind an address.
pub fn interface_index(name: &str) -> u32 {
    if let Some(index) = name.parse().ok().filter(|_| IS_WINDOWS) {
        return index;
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().find(|interface| interface.name == name).and_then(|interface| interface.index).unwrap_or(0)
}

fn hostname() -> Option<String> {
    sysinfo::System::host_name().ok()
}

/// The addresses of this machine to which its hosts file gives a name.
fn addresses(name: &str) -> Vec<IpAddr> {
    let text = etc("hosts").and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let mut addresses = addresses_in(&String::from_utf8_lossy(&text), name);
    addresses.retain(|&address| is_own(address));
    addresses
}

/// The addresses that a hosts file gives to a name (hosts(5)).
fn addresses_in(hosts: &str, name: &str) -> Vec<IpAddr> {
    let address_of = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|known| known.eq_ignore_ascii_case(name)).then_some(address)
    };
    hosts.lines().filter_map(address_of).collect()
}

/// Whether a server here may bind an address: one of this machine, a wildcard, a loopback or a
/// multicast address. If the addresses cannot be listed, all count.
pub fn is_own(address: IpAddr) -> bool {
    let canonical = address.to_canonical();
    if canonical.is_unspecified() || canonical.is_loopback() || canonical.is_multicast() {
        return true;
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.is_empty() || interfaces.iter().any(|interface| interface.ip() == canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_file_gives_names() {
        let hosts = "# 192.0.2.1 myapp.test\n127.0.0.1\tlocalhost\n127.0.1.1 box MyApp.test # myapp\nnonsense myapp.test\n\n::1 myapp.test";
        let found = addresses_in(hosts, "myapp.test");
        assert_eq!(found, ["127.0.1.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        for name in ["myapp", "127.0.1.1", "#", ""] {
            assert_eq!(addresses_in(hosts, name), [] as [IpAddr; 0], "{name}");
        }
    }
}
