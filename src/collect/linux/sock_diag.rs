//! The kernel's socket tables over netlink: sock_diag(7), `struct inet_diag_msg` of linux/inet_diag.h.
//!
//! The codec is our own: the crates for this protocol cannot attach the bytecode filter, and
//! allocate several times for each socket. Parsing is pure.

mod closings;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;

use super::netlink::{self, Failure, Netlink, malformed, next_attribute, u32_at};
use crate::model::{Family, Protocol, Socket, State, TcpInfo, Timer, TimerKind};
use crate::port_set::PortSet;

pub use closings::{Closed, Closings};

/// The states asked for, as bits `1 << TCP_…` (include/net/tcp_states.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// Listening, and bound without listening. The kernel keeps these in tables of their own, so
    /// asking costs the same however many connections there are. `TCP_BOUND_INACTIVE` exists since
    /// Linux 6.8; older kernels ignore it.
    pub const WAITING: Self = Self(1 << LISTEN | 1 << BOUND_INACTIVE);
    /// Listening only. This costs a fifteenth, as the table of all bound ports is not walked.
    pub const LISTENING: Self = Self(1 << LISTEN);
    /// Every state.
    pub const ALL: Self = Self(u32::MAX);
    /// Connections and their remnants.
    pub const CONNECTED: Self = Self(!Self::WAITING.0);

    /// Whether a state is one of them.
    pub fn have(self, state: State) -> bool {
        match self {
            Self::WAITING => state.is_waiting(),
            Self::LISTENING => state.is_listening(),
            Self::CONNECTED => !state.is_waiting(),
            _ => true,
        }
    }
}

const LISTEN: u8 = 10;
const BOUND_INACTIVE: u8 = 13;

/// A row of a table: a socket, and the numbers of its interface and cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The socket, without names and owners so far.
    pub socket: Socket,
    /// The index of the interface it is bound to; 0 for none.
    pub interface: u32,
    /// The id of the cgroup it was created in; 1 is the root.
    pub cgroup_id: Option<NonZeroU64>,
}

/// The rows of a table.
#[derive(Debug, Default)]
pub struct Dump {
    pub entries: Vec<Entry>,
    /// The table changed while it was read, every time.
    pub interrupted: bool,
}

/// A netlink socket for the tables.
#[derive(Debug)]
pub struct SockDiag(Netlink);

/// How many times an interrupted dump is asked for in all.
const ATTEMPTS: usize = 5;

impl SockDiag {
    /// Opens it. No privilege is needed.
    pub fn open() -> io::Result<Self> {
        Netlink::open(Some(rustix::net::netlink::SOCK_DIAG)).map(Self)
    }

    /// Asks for the sockets of `protocol` in any of `states` whose local port is in `ports`. These are
    /// about as many as `expected`: a list that grows is copied again and again.
    pub fn dump(
        &mut self,
        protocol: Protocol,
        states: States,
        ports: &PortSet,
        expected: usize,
    ) -> Result<Dump, Failure> {
        let mut dump = Dump::default();
        // Memory that is not used is not taken. If it is refused, the list grows as it is filled.
        let _ = dump.entries.try_reserve(expected);
        for _ in 0..ATTEMPTS {
            dump.entries.clear();
            dump.interrupted = self.each(protocol, states, ports, |row| {
                dump.entries.extend(parse_entry(row, protocol)?);
                Ok(())
            })?;
            if !dump.interrupted {
                break;
            }
        }
        dump.entries.retain(|entry| ports.contains(entry.socket.local.port()));
        Ok(dump)
    }

    /// Calls `each` with each row as the kernel sends it, for [`parse_entry`]. Returns whether the
    /// table changed meanwhile.
    pub fn each(
        &mut self,
        protocol: Protocol,
        states: States,
        ports: &PortSet,
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let mut interrupted = false;
        for (question, request) in requests(protocol, states, ports) {
            interrupted |=
                self.0.dump(question, &request, |kind, row| if kind == question { each(row) } else { Ok(()) })?;
        }
        Ok(interrupted)
    }

    /// Closes a connection, by the `struct inet_diag_sockid` of its row.
    pub fn destroy(&mut self, family: Family, id: &Id) -> Result<(), Failure> {
        const SOCK_DESTROY: u16 = 21;
        let mut request = request(family, Protocol::Tcp, States::CONNECTED);
        request.truncate(request.len() - id.len());
        request.extend_from_slice(id);
        self.0.command(SOCK_DESTROY, &request)
    }
}

/// `struct inet_diag_sockid`: ports, addresses, interface and cookie, at 4 in a row.
pub type Id = [u8; 48];
/// Dumps ignore it.
const NO_ID: Id = [0; 48];

// linux/sock_diag.h, linux/inet_diag.h
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_MSG: usize = 72;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_ULP_INFO: u16 = 19;
const INET_DIAG_CGROUP_ID: u16 = 21;
const INET_ULP_INFO_NAME: u16 = 1;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The requests for the sockets of a protocol, each with the type of its message.
///
/// TCP is asked for by the older request, which knows no family. So the kernel walks its tables once
/// for both families (`inet_diag_dump_compat` in net/ipv4/inet_diag.c). The walk is what costs time.
fn requests(protocol: Protocol, states: States, ports: &PortSet) -> Vec<(u16, Vec<u8>)> {
    const TCPDIAG_GETSOCK: u16 = 18;
    let filter = filter(ports);
    match protocol {
        Protocol::Tcp => vec![(TCPDIAG_GETSOCK, [tcp_request(states), filter].concat())],
        Protocol::Udp => [Family::Ipv4, Family::Ipv6]
            .map(|family| (SOCK_DIAG_BY_FAMILY, [request(family, protocol, states), filter.clone()].concat()))
            .into(),
    }
}

/// `struct inet_diag_req`.
fn tcp_request(states: States) -> Vec<u8> {
    // The upper layer protocol comes only together with all of `struct tcp_info`, some 280 bytes
    // for each socket. That is too much for connections.
    let extensions: u8 = if states == States::CONNECTED { 0 } else { 1 << (INET_DIAG_INFO - 1) };
    let mut message = vec![0, 0, 0, extensions];
    message.extend_from_slice(&NO_ID);
    message.extend_from_slice(&states.0.to_ne_bytes());
    message.extend_from_slice(&[0; 4]);
    message
}

/// `struct inet_diag_req_v2`.
fn request(family: Family, protocol: Protocol, states: States) -> Vec<u8> {
    let family = match family {
        Family::Ipv4 => AF_INET,
        Family::Ipv6 => AF_INET6,
    };
    let protocol: u8 = match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    let mut message = vec![family, protocol, 0, 0];
    message.extend_from_slice(&states.0.to_ne_bytes());
    message.extend_from_slice(&NO_ID);
    message
}

/// The filter behind a request. Nothing if the kernel should send everything.
fn filter(ports: &PortSet) -> Vec<u8> {
    const INET_DIAG_REQ_BYTECODE: u16 = 1;
    port_filter(ports).map(|code| netlink::attribute(INET_DIAG_REQ_BYTECODE, &code)).unwrap_or_default()
}

/// The program by which the kernel picks the local ports. `None` if it should send everything.
///
/// For each range: unless `sport >= first`, go to the next range; unless `sport <= last`, go to the
/// next range; accept. Offsets count from their own operation. Reaching the exact end accepts,
/// jumping 4 bytes beyond it rejects (`inet_diag_bc_run` in net/ipv4/inet_diag.c).
fn port_filter(ports: &PortSet) -> Option<Vec<u8>> {
    const JMP: u8 = 1;
    const S_GE: u8 = 2;
    const S_LE: u8 = 3;
    /// `struct inet_diag_bc_op`.
    const OP: usize = 4;
    /// Two comparisons of two operations each, and the jump.
    const RANGE: usize = 5 * OP;
    /// With more ranges than this, filtering here costs less than the kernel's walk through the
    /// program for each socket.
    const MOST_RANGES: usize = 64;

    if ports.is_all() || ports.ranges().len() > MOST_RANGES {
        return None;
    }
    let length = ports.ranges().len() * RANGE;
    let mut code = Vec::with_capacity(length);
    let mut op = |kind: u8, yes: usize, no: usize| {
        code.push(kind);
        // Both fit into their fields: `yes` is at most 8, `no` at most 64 * 20 + 4.
        code.push(u8::try_from(yes).unwrap_or(u8::MAX));
        code.extend_from_slice(&u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes());
    };
    for (index, &(first, last)) in ports.ranges().iter().enumerate() {
        let start = index * RANGE;
        let is_last = start + RANGE == length;
        // Where to go if a comparison fails: the next range, or beyond the end.
        let next = if is_last { length + OP } else { start + RANGE };
        op(S_GE, 2 * OP, next - start);
        op(0, 0, usize::from(first));
        op(S_LE, 2 * OP, next - (start + 2 * OP));
        op(0, 0, usize::from(last));
        op(JMP, OP, length - (start + 4 * OP));
    }
    Some(code)
}

/// `None` for a family or a state that this program does not know, which no kernel sends today.
pub fn parse_entry(payload: &[u8], protocol: Protocol) -> Result<Option<Entry>, Failure> {
    let Some((message, mut attributes)) = payload.split_at_checked(INET_DIAG_MSG) else {
        return Err(malformed("a row that is too short"));
    };
    let Some(family) = family(message[0]) else { return Ok(None) };
    let Some(state) = state(message[1], protocol) else { return Ok(None) };
    // struct inet_diag_sockid begins at 4; ports and addresses are in network order.
    let port = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let local = SocketAddr::new(address(message, 8, family), port(4));
    let remote = SocketAddr::new(address(message, 24, family), port(6));
    let (receive_queue, send_queue) = (u32_at(message, 56)?, u32_at(message, 60)?);
    let (uid, inode) = (u32_at(message, 64)?, u32_at(message, 68)?);

    let (mut v6only, mut cgroup_id, mut mptcp, mut tcp_info) = (None, None, None, None);
    while let Some((kind, value)) = next_attribute(&mut attributes)? {
        match kind {
            INET_DIAG_SKV6ONLY => v6only = value.first().map(|&byte| byte != 0),
            INET_DIAG_CGROUP_ID => {
                cgroup_id = value.first_chunk().and_then(|bytes| NonZeroU64::new(u64::from_ne_bytes(*bytes)));
            }
            // With this attribute the upper layer protocol would be reported, too.
            INET_DIAG_INFO => {
                mptcp = mptcp.or(Some(false));
                tcp_info = TcpInfo::parse(value, state).filter(|_| !state.is_waiting());
            }
            INET_DIAG_ULP_INFO => mptcp = Some(is_mptcp(value)?),
            _ => {}
        }
    }
    let socket = Socket {
        remote: (remote.port() != 0).then_some(remote),
        v6only,
        inode: (inode != 0).then_some(u64::from(inode)),
        cookie: Some(cookie(message)?),
        // A TIME_WAIT or request socket has neither user nor cgroup. Its 0 would read as root.
        uid: (inode != 0 || uid != 0 || cgroup_id.is_some()).then_some(uid),
        receive_queue: Some(receive_queue),
        send_queue: Some(send_queue),
        timer: timer(message[2], message[3], u32_at(message, 52)?),
        mptcp,
        tcp_info,
        ..Socket::new(protocol, family, state, local)
    };
    Ok(Some(Entry { socket, interface: u32_at(message, 40)?, cgroup_id }))
}

fn family(raw: u8) -> Option<Family> {
    match raw {
        AF_INET => Some(Family::Ipv4),
        AF_INET6 => Some(Family::Ipv6),
        _ => None,
    }
}

/// The number of a socket, which is in two parts behind its addresses.
fn cookie(message: &[u8]) -> Result<u64, Failure> {
    Ok(u64::from(u32_at(message, 44)?) | u64::from(u32_at(message, 48)?) << 32)
}

/// The state of a row (include/net/tcp_states.h). UDP uses two of TCP's states.
pub fn state(raw: u8, protocol: Protocol) -> Option<State> {
    Some(match (raw, protocol) {
        (1, _) => State::Established,
        (7, Protocol::Udp) => State::Unconnected,
        (_, Protocol::Udp) => return None,
        (2, _) => State::SynSent,
        (3 | 12, _) => State::SynReceived,
        (4, _) => State::FinWait1,
        (5, _) => State::FinWait2,
        (6, _) => State::TimeWait,
        (7 | BOUND_INACTIVE, _) => State::Bound,
        (8, _) => State::CloseWait,
        (9, _) => State::LastAck,
        (LISTEN, _) => State::Listen,
        (11, _) => State::Closing,
        _ => return None,
    })
}

/// The timer of a row, from its kind, retransmissions and milliseconds (`inet_sk_diag_fill` in
/// net/ipv4/inet_diag.c).
pub fn timer(kind: u8, retransmits: u8, milliseconds: u32) -> Option<Timer> {
    let kind = match kind {
        1 => TimerKind::Retransmit,
        2 => TimerKind::Keepalive,
        3 => TimerKind::TimeWait,
        4 => TimerKind::ZeroWindowProbe,
        _ => return None,
    };
    Some(Timer { kind, retransmits, expires_in_ms: milliseconds })
}

fn address(message: &[u8], at: usize, family: Family) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&message[at..at + 16]);
    match family {
        Family::Ipv4 => Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into(),
        Family::Ipv6 => Ipv6Addr::from(octets).into(),
    }
}

/// Whether the upper layer protocol of a TCP socket is MPTCP.
fn is_mptcp(info: &[u8]) -> Result<bool, Failure> {
    Ok(netlink::find_attribute(info, INET_ULP_INFO_NAME)?.is_some_and(|name| netlink::text(name) == "mptcp"))
}

#[cfg(test)]
mod tests;
