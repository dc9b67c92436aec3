//! Programs (BPF) that decide about packets, and cannot be replayed.

use std::fs::File;
use std::path::Path;

use super::super::bpf;
use super::super::cgroup::Hierarchy;
use super::network::Network;
use crate::model::{Protocol, Socket};

/// A port whose packets programs of a cgroup see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    pub protocol: Protocol,
    pub port: u16,
    /// The cgroup of the server.
    pub cgroup: String,
}

/// The ports whose servers are in cgroups with such programs. Systemd's `IPAddressDeny=` is one.
pub fn of_cgroups(proc: &Path, listeners: &[&Socket]) -> Vec<Guarded> {
    let Some(hierarchy) = Hierarchy::find(proc) else { return Vec::new() };
    let mut seen: Vec<(&str, bool)> = Vec::new();
    let mut guarded = Vec::new();
    for listener in listeners {
        let Some(cgroup) = listener.cgroup.as_deref() else { continue };
        let known = seen.iter().find(|(known, _)| *known == cgroup).map(|(_, has)| *has);
        let has = known.unwrap_or_else(|| {
            let directory = File::open(hierarchy.directory(cgroup)).ok();
            directory.is_some_and(|directory| bpf::count_packet_programs(directory).is_ok_and(|count| count > 0))
        });
        seen.push((cgroup, has));
        if has {
            let (protocol, port) = (listener.protocol, listener.local.port());
            guarded.push(Guarded { protocol, port, cgroup: cgroup.to_owned() });
        }
    }
    guarded
}

/// What else has such programs: interfaces, and this network namespace. Where the kernel cannot be
/// asked, it has no such programs.
pub fn elsewhere(proc: &Path, network: &Network) -> Vec<String> {
    let has_tcx = |index: u32| bpf::count_tcx_programs(index).is_ok_and(|count| count > 0);
    let interfaces = network.links.iter().filter(|link| has_tcx(link.index));
    let mut found: Vec<String> = interfaces.map(|link| format!("a program (tcx) on {}", link.name)).collect();
    let own = File::open(proc.join("thread-self/ns/net")).ok();
    if own.is_some_and(|own| bpf::count_socket_lookups(own).is_ok_and(|count| count > 0)) {
        found.push("a program that chooses sockets (sk_lookup)".to_owned());
    }
    found
}
