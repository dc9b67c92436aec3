//! The ports that the kernel itself is known to hold: those of tunnel devices, MPTCP endpoints and
//! the NFS server.
//!
//! This is positive evidence, and no process needs to be inspected for it. It is read only if a
//! socket has no owner.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::{generic, links};
use crate::model::{Family, KernelUser, Protocol, Socket};

/// A port that the kernel holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelPort {
    protocol: Protocol,
    port: u16,
    /// The address, if known.
    address: Option<IpAddr>,
    /// The family, if known.
    family: Option<Family>,
    /// What in the kernel holds it.
    pub user: KernelUser,
}

impl KernelPort {
    /// Whether `socket`, which no process was seen to have, is the kernel's. The kernel's sockets
    /// are root's, and those of devices are bound to a wildcard.
    pub fn is(&self, socket: &Socket) -> bool {
        // Only what the kernel has in our own network namespace was asked for.
        socket.namespace.is_none()
            && socket.uid == Some(0)
            && (self.protocol, self.port) == (socket.protocol, socket.local.port())
            && self.address.is_none_or(|address| address == socket.local.ip())
            && self.family.is_none_or(|family| family == socket.family)
            && (socket.is_wildcard() || !matches!(self.user, KernelUser::Device { .. }))
            && (self.protocol == Protocol::Udp || socket.mptcp != Some(false) || self.user == KernelUser::Nfsd)
    }
}

/// Everything that can be learned without inspecting a process. What the kernel refuses to say is
/// left out, and such sockets stay without an owner.
pub fn find(proc: &Path) -> Vec<KernelPort> {
    let mut ports = nfs_server(&fs::read_to_string(proc.join("fs/nfsd/portlist")).unwrap_or_default());
    for link in links::list().unwrap_or_default() {
        let port = match link.port {
            None if link.kind == "wireguard" => generic::wireguard_port(&link.name).unwrap_or_default(),
            port => port,
        };
        let user = KernelUser::Device { kind: link.kind, name: link.name };
        let (protocol, family) = (Protocol::Udp, link.family);
        ports.extend(port.map(|port| KernelPort { protocol, port, address: None, family, user }));
    }
    let endpoints = generic::mptcp_endpoints().unwrap_or_default();
    ports.extend(endpoints.into_iter().filter(|endpoint| endpoint.port != 0).map(|endpoint| KernelPort {
        protocol: Protocol::Tcp,
        port: endpoint.port,
        address: endpoint.address,
        family: None,
        user: KernelUser::MptcpEndpoint(endpoint.id),
    }));
    ports
}

/// The transports of the NFS server: a line such as `tcp 2049` for each (`/proc/fs/nfsd/portlist`,
/// fs/nfsd/nfsctl.c).
fn nfs_server(portlist: &str) -> Vec<KernelPort> {
    let parse = |line: &str| {
        let (protocol, port) = line.split_once(' ')?;
        let protocol = Protocol::ALL.into_iter().find(|known| known.into_str() == protocol)?;
        Some(KernelPort {
            protocol,
            port: port.trim().parse().ok()?,
            address: None,
            family: None,
            user: KernelUser::Nfsd,
        })
    };
    portlist.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::listener;

    #[test]
    fn the_transports_of_the_nfs_server() {
        let ports = nfs_server("rdma 20049\ntcp 2049\nudp 2049\nnonsense\n");
        let found: Vec<_> = ports.iter().map(|port| (port.protocol, port.port)).collect();
        assert_eq!(found, [(Protocol::Tcp, 2049), (Protocol::Udp, 2049)]);
    }

    #[test]
    fn only_a_socket_of_root_on_that_port_and_address_is_the_kernels() {
        let endpoint = KernelPort {
            protocol: Protocol::Tcp,
            port: 9000,
            address: Some([10, 0, 0, 1].into()),
            family: None,
            user: KernelUser::MptcpEndpoint(1),
        };
        let socket = |local: &str, uid, mptcp| Socket { uid: Some(uid), mptcp: Some(mptcp), ..listener(local) };
        assert!(endpoint.is(&socket("10.0.0.1:9000", 0, true)));
        for other in [
            socket("10.0.0.1:9000", 1000, true),
            socket("10.0.0.1:9000", 0, false),
            socket("10.0.0.2:9000", 0, true),
            socket("10.0.0.1:9001", 0, true),
            Socket { protocol: Protocol::Udp, ..socket("10.0.0.1:9000", 0, true) },
        ] {
            assert!(!endpoint.is(&other), "{other:?}");
        }
    }

    /// A server of root beside a tunnel was once taken for the tunnel.
    #[test]
    fn only_a_wildcard_of_its_family_is_a_devices() {
        let user = KernelUser::Device { kind: "vxlan".to_owned(), name: "vx0".to_owned() };
        let family = Some(Family::Ipv4);
        let device = KernelPort { protocol: Protocol::Udp, port: 4789, address: None, family, user };
        let socket = |local: &str| Socket { uid: Some(0), protocol: Protocol::Udp, ..listener(local) };
        assert!(device.is(&socket("0.0.0.0:4789")));
        for other in ["127.0.0.1:4789", "[::]:4789", "[::ffff:0.0.0.0]:4789"] {
            assert!(!device.is(&socket(other)), "{other}");
        }
    }
}
