//! Sockets: what the kernel's tables say of them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Forward, Namespace, Owners, Pid, Protocol, TcpInfo, Unit, Via};

/// The address family with which a socket was created. Its address does not tell: an IPv6 socket
/// may hold an IPv4 port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Family {
    /// `AF_INET`.
    Ipv4,
    /// `AF_INET6`.
    Ipv6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// Whether traffic to `address` belongs to the wanted family, if there is one. Traffic to an
    /// IPv4-mapped address is IPv4.
    pub fn fits(wanted: Option<Self>, address: IpAddr) -> bool {
        wanted.is_none_or(|wanted| Self::of(address.to_canonical()) == wanted)
    }
}

/// The state of a socket: those of RFC 9293 section 3.3.2, and what `CLOSE` stands for in the
/// kernel's tables.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum State {
    /// TCP, waiting for connections.
    Listen,
    /// TCP in `CLOSE` with a port: bound, but neither listening nor connected.
    Bound,
    /// UDP without a peer: receives from anyone.
    Unconnected,
    /// TCP with a connection, or UDP with a peer.
    Established,
    /// A connection being opened from here.
    SynSent,
    /// A connection being opened from there.
    SynReceived,
    /// Closed here, the close not yet acknowledged.
    #[strum(serialize = "fin-wait-1")]
    FinWait1,
    /// Closed here and acknowledged, the peer still open.
    #[strum(serialize = "fin-wait-2")]
    FinWait2,
    /// Closed by the peer, not yet here.
    CloseWait,
    /// Closed by both, the last acknowledgement missing.
    LastAck,
    /// Both closed at once.
    Closing,
    /// The remnant of a connection, kept for 60 s (`TCP_TIMEWAIT_LEN`, include/net/tcp.h).
    TimeWait,
}

impl State {
    /// Whether a listing without connections shows sockets in this state: servers that wait for
    /// peers, and sockets on their way there.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Listen | Self::Bound | Self::Unconnected)
    }

    /// Whether peers can reach a server in this state.
    pub const fn is_listening(self) -> bool {
        matches!(self, Self::Listen | Self::Unconnected)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.into_str())
    }
}

/// What in the kernel holds a socket that no process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelUser {
    /// A network device: a tunnel that receives on the port.
    Device {
        /// `vxlan`, `wireguard`, `geneve`, `bareudp`.
        kind: String,
        /// The name of the interface.
        name: String,
    },
    /// An endpoint of MPTCP that has a port (`ip mptcp endpoint`).
    MptcpEndpoint(u8),
    /// The NFS server.
    Nfsd,
    /// The HTTP server in the kernel of Windows (http.sys), which serves any number of programs.
    HttpSys,
    /// The file sharing of Windows: SMB.
    FileSharing,
    /// NetBIOS over TCP/IP, on Windows.
    NetBios,
}

/// A rule of `netsh interface portproxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortProxy {
    /// The families that it joins: `v4tov4`, `v4tov6`, `v6tov4`, `v6tov6`.
    pub kind: &'static str,
    /// The address that it listens on, as written: `*` for all.
    pub listen_address: String,
    /// Where it forwards connections to: `192.0.2.1:80`.
    pub target: String,
}

/// What a TCP socket's timer waits for (`idiag_timer`, sock_diag(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum TimerKind {
    /// Retransmission, or an early retransmit or loss probe.
    Retransmit,
    /// Keepalive, or the end of an orphaned `FIN_WAIT2`.
    Keepalive,
    /// The end of `TIME_WAIT`.
    TimeWait,
    /// A probe of a closed window.
    ZeroWindowProbe,
}

/// A running timer of a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// What it waits for.
    pub kind: TimerKind,
    /// How long until it fires, in milliseconds.
    pub expires_in_ms: u32,
    /// Retransmissions so far.
    pub retransmits: u8,
}

/// A descriptor of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "descriptors are read on Linux only"))]
pub struct Descriptor {
    /// The process.
    pub pid: Pid,
    /// Its number there (proc_pid_fd(5)).
    pub number: u32,
}

/// A TCP or UDP socket that holds a local port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The family of the socket itself.
    pub family: Family,
    /// Its state.
    pub state: State,
    /// The address and port it is bound to.
    pub local: SocketAddr,
    /// The peer, if it has one.
    pub remote: Option<SocketAddr>,
    /// The interface it is bound to (`SO_BINDTODEVICE`, or the scope of a link-local address).
    pub device: Option<Box<str>>,
    /// `IPV6_V6ONLY`, if the kernel tells: on an IPv6 socket that is not connected.
    pub v6only: Option<bool>,
    /// The inode of the socket, which its descriptors name. `None` for sockets without a file.
    pub inode: Option<u64>,
    /// The number by which the kernel knows it until it ends (`idiag_cookie`, sock_diag(7)). It is never
    /// used again.
    pub cookie: Option<u64>,
    /// The id of the user who created it.
    pub uid: Option<u32>,
    /// The name of that user. Many sockets share one.
    pub user: Option<Arc<str>>,
    /// The cgroup (v2) in which it was created, as a path from the root of the hierarchy.
    pub cgroup: Option<Arc<str>>,
    /// Bytes not yet read; on a listener, the connections not yet accepted.
    pub receive_queue: Option<u32>,
    /// Bytes not yet acknowledged; on a listener, the limit of its accept queue.
    pub send_queue: Option<u32>,
    /// The timer that is running.
    pub timer: Option<Timer>,
    /// What the kernel measured of a connection, if it was asked.
    pub tcp_info: Option<TcpInfo>,
    /// Whether it is the TCP side of an MPTCP socket, if the kernel was asked.
    pub mptcp: Option<bool>,
    /// Who has it open.
    pub owners: Owners,
    /// How they have it.
    pub via: Via,
    /// By which descriptors, if all details are asked for. Empty where nobody was seen to have it.
    pub descriptors: Box<[Descriptor]>,
    /// What in the kernel has it, if known.
    pub kernel_user: Option<Box<KernelUser>>,
    /// The socket unit for which systemd opened it.
    pub activated_by: Option<Box<Unit>>,
    /// Where its holder passes on what arrives, if it is known to do so.
    pub forward: Option<Box<Forward>>,
    /// Where a service of Windows forwards connections to (`netsh interface portproxy`).
    pub forwards_to: Option<Box<PortProxy>>,
    /// The network namespace that it is in; `None` for our own.
    pub namespace: Option<Box<Namespace>>,
}

impl Socket {
    /// A socket with only these facts.
    pub fn new(protocol: Protocol, family: Family, state: State, local: SocketAddr) -> Self {
        Self {
            protocol,
            family,
            state,
            local,
            remote: None,
            device: None,
            v6only: None,
            inode: None,
            cookie: None,
            uid: None,
            user: None,
            cgroup: None,
            receive_queue: None,
            send_queue: None,
            timer: None,
            tcp_info: None,
            mptcp: None,
            owners: Owners::NotAsked,
            via: Via::Descriptor,
            descriptors: Box::default(),
            kernel_user: None,
            activated_by: None,
            forward: None,
            forwards_to: None,
            namespace: None,
        }
    }

    /// The local address and port, with the device if it is bound to one: `[fe80::1%eth0]:80`,
    /// `0.0.0.0%eth0:68`.
    pub fn local_name(&self) -> String {
        match (&self.device, self.local.ip()) {
            (None, _) => self.local.to_string(),
            (Some(device), ip @ IpAddr::V6(_)) => format!("[{ip}%{device}]:{}", self.local.port()),
            (Some(device), ip @ IpAddr::V4(_)) => format!("{ip}%{device}:{}", self.local.port()),
        }
    }

    /// Whether it has this address and port, and no other.
    pub fn is_at(&self, protocol: Protocol, address: SocketAddr) -> bool {
        // The scope of an IPv6 address is no part of it.
        (self.protocol, self.local.ip(), self.local.port()) == (protocol, address.ip(), address.port())
    }

    /// Whether it is bound to every address of a family: `0.0.0.0`, `::`, or `::ffff:0.0.0.0`, the
    /// IPv4 wildcard of an IPv6 socket.
    pub const fn is_wildcard(&self) -> bool {
        self.local.ip().to_canonical().is_unspecified()
    }

    /// Whether this socket takes IPv4 traffic: an IPv4 socket, or an IPv6 one that is not
    /// restricted to IPv6.
    pub fn serves_ipv4(&self) -> bool {
        match self.local.ip() {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => {
                ip.to_ipv4_mapped().is_some()
                    // Unknown counts as not restricted: the kernel's default (net.ipv6.bindv6only =
                    // 0).
                    || (ip.is_unspecified() && !self.v6only.unwrap_or(false))
            }
        }
    }

    /// Whether this socket takes IPv6 traffic.
    pub fn serves_ipv6(&self) -> bool {
        match self.local.ip() {
            IpAddr::V4(_) => false,
            IpAddr::V6(ip) => ip.to_ipv4_mapped().is_none(),
        }
    }

    /// Whether this socket takes traffic of `family`; of any if `None`.
    pub fn serves(&self, family: Option<Family>) -> bool {
        match family {
            None => true,
            Some(Family::Ipv4) => self.serves_ipv4(),
            Some(Family::Ipv6) => self.serves_ipv6(),
        }
    }

    /// Whether a bind to `address` would conflict with what this socket has.
    ///
    /// A wildcard overlaps every address of the families it serves. `::` is taken as dual stack,
    /// as the kernel does by default.
    pub fn overlaps(&self, address: IpAddr) -> bool {
        let mine = self.local.ip();
        match address.to_canonical() {
            IpAddr::V4(v4) if v4.is_unspecified() => self.serves_ipv4(),
            IpAddr::V6(v6) if v6.is_unspecified() => true,
            canonical @ IpAddr::V4(_) => mine.to_canonical() == canonical || (self.is_wildcard() && self.serves_ipv4()),
            canonical @ IpAddr::V6(_) => mine == canonical || (self.is_wildcard() && self.serves_ipv6()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn overlaps(local: &str, v6only: Option<bool>, yes: &[&str], no: &[&str]) {
        let socket = Socket { v6only, ..crate::testing::listener(local) };
        for address in yes {
            assert!(socket.overlaps(address.parse().unwrap()), "{local} {address}");
        }
        for address in no {
            assert!(!socket.overlaps(address.parse().unwrap()), "{local} {address}");
        }
    }

    #[test]
    fn a_specific_address_overlaps_itself_and_the_wildcards() {
        overlaps("127.0.0.1:1", None, &["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"], &["127.0.0.2", "::1"]);
        overlaps("[::1]:1", Some(false), &["::1", "::"], &["127.0.0.1", "0.0.0.0", "fe80::1"]);
    }

    #[test]
    fn a_dual_stack_wildcard_overlaps_both_families_and_a_v6only_one_does_not() {
        overlaps("[::]:1", Some(false), &["::1", "::", "127.0.0.1", "0.0.0.0"], &[]);
        overlaps("[::]:1", None, &["::1", "127.0.0.1"], &[]);
        overlaps("[::]:1", Some(true), &["::1", "::"], &["127.0.0.1", "0.0.0.0"]);
    }

    #[test]
    fn a_v4_mapped_address_is_an_ipv4_one() {
        overlaps("[::ffff:127.0.0.1]:1", Some(false), &["127.0.0.1", "0.0.0.0", "::"], &["::1", "127.0.0.2"]);
    }

    #[test]
    fn the_v4_mapped_wildcard_overlaps_every_ipv4_address_and_no_ipv6_one() {
        let ipv4 = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::"];
        overlaps("[::ffff:0.0.0.0]:1", Some(false), &ipv4, &["::1", "fe80::1"]);
        overlaps("127.0.0.1:1", None, &["::ffff:0.0.0.0"], &[]);
    }
}
