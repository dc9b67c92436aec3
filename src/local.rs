//! What this machine is called and which addresses it has, asked only when a target names one.

use std::net::IpAddr;

use crate::classify::services::Services;
use crate::target::Names;

/// Answers what the grammar of targets asks of the machine.
pub const NAMES: Names = Names {
    services: |name| Services::load().ports_named(name),
    nearest: |name| Services::load().nearest_name(name),
    hostname,
    addresses,
};

/// The index of an interface by its name; 0 if there is none of that name.
#[must_use]
pub fn interface_index(name: &str) -> u32 {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().find(|interface| interface.name == name).and_then(|interface| interface.index).unwrap_or(0)
}

fn hostname() -> Option<String> {
    sysinfo::System::host_name().ok()
}

fn addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
