//! The kernel's socket tables over netlink: sock_diag(7), `struct inet_diag_msg` of linux/inet_diag.h.
//!
//! A codec of our own, because the crates for this protocol cannot attach the bytecode filter and
//! allocate several times per socket. [`parse`] is pure.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::error::Error;
use crate::model::{Family, Protocol, Socket, State, Timer, TimerKind};
use crate::port_set::PortSet;

/// One of the kernel's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// IPv4 or IPv6.
    pub family: Family,
}

/// The states asked for, as bits `1 << TCP_…` (include/net/tcp_states.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// Listening, and bound without listening. The kernel keeps these in tables of their own, so that asking
    /// costs the same however many connections there are. `TCP_BOUND_INACTIVE` exists since Linux 6.8 and is
    /// ignored before.
    pub const WAITING: Self = Self(1 << LISTEN | 1 << BOUND_INACTIVE);
    /// Every state.
    pub const ALL: Self = Self(u32::MAX);
    /// Connections and their remnants.
    pub const CONNECTED: Self = Self(!Self::WAITING.0);
}

const LISTEN: u8 = 10;
const BOUND_INACTIVE: u8 = 13;

/// A row of a table: a socket, and what names more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The socket, so far without names and owners.
    pub socket: Socket,
    /// The index of the interface it is bound to; 0 for none.
    pub interface: u32,
    /// The id of the cgroup it was created in; 1 is the root.
    pub cgroup_id: Option<u64>,
}

/// The rows that a table had.
#[derive(Debug, Default)]
pub struct Dump {
    pub entries: Vec<Entry>,
    /// The table changed while it was read, each time that it was asked for.
    pub interrupted: bool,
}

/// Why there are no rows.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The kernel has no such table, or not the module that shows it.
    #[error("the kernel offers no such table")]
    NoTable,
    /// The kernel refused.
    #[error("sock_diag refused: {0}")]
    Refused(io::Error),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A netlink socket for questions about sockets.
#[derive(Debug)]
pub struct SockDiag {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// More than the kernel puts into one datagram of a dump (32 KiB, net/netlink/af_netlink.c).
const BUFFER: usize = 64 * 1024;

/// An interrupted dump is asked for this many times in all.
const ATTEMPTS: usize = 5;

impl SockDiag {
    /// Opens it. No privilege is needed.
    ///
    /// # Errors
    ///
    /// If the kernel has no netlink, or a sandbox forbids it.
    pub fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(netlink::SOCK_DIAG),
        )?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Asks for the sockets of `table` in any of `states` whose local port is in `ports`.
    ///
    /// # Errors
    ///
    /// See [`DumpError`].
    pub fn dump(&mut self, table: Table, states: States, ports: &PortSet) -> Result<Dump, DumpError> {
        let mut dump = Dump::default();
        for _ in 0..ATTEMPTS {
            dump = self.dump_once(table, states, ports)?;
            if !dump.interrupted {
                break;
            }
        }
        dump.entries.retain(|entry| ports.contains(entry.socket.local.port()));
        Ok(dump)
    }

    fn dump_once(&mut self, table: Table, states: States, ports: &PortSet) -> Result<Dump, DumpError> {
        self.sequence += 1;
        let request = request(table, states, ports, self.sequence);
        let failed = |call| move |errno: Errno| Error::Call { call, source: errno.into() };
        // In a sandbox that allows the socket but not its use, this is where it shows.
        rustix::net::send(&self.socket, &request, SendFlags::empty())
            .map_err(|errno| DumpError::Refused(errno.into()))?;

        let mut dump = Dump::default();
        loop {
            let (_, length) = match rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC) {
                Err(Errno::INTR) => continue,
                received => received.map_err(failed("recv on the netlink socket"))?,
            };
            let datagram = self
                .buffer
                .get(..length)
                .ok_or(Error::Malformed { from: "sock_diag", problem: "a datagram that exceeds the buffer" })?;
            if parse(datagram, self.sequence, table, &mut dump)? == Progress::Done {
                return Ok(dump);
            }
        }
    }
}

// linux/netlink.h
const NLMSG_HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const ATTRIBUTE_HEADER: usize = 4;
/// Attribute types carry two flags in their upper bits.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

// linux/sock_diag.h, linux/inet_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_MSG: usize = 72;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_ULP_INFO: u16 = 19;
const INET_DIAG_CGROUP_ID: u16 = 21;
const INET_ULP_INFO_NAME: u16 = 1;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

fn request(table: Table, states: States, ports: &PortSet, sequence: u32) -> Vec<u8> {
    let filter = port_filter(ports);
    let attribute = filter.as_ref().map_or(0, |code| ATTRIBUTE_HEADER + code.len());
    // struct inet_diag_req_v2
    let length = NLMSG_HEADER + 56 + attribute;
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0u32.to_ne_bytes());

    let family = match table.family {
        Family::Ipv4 => AF_INET,
        Family::Ipv6 => AF_INET6,
    };
    let protocol: u8 = match table.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    // The upper layer protocol comes only together with all of `struct tcp_info`, some 280 bytes a socket: not worth it
    // for connections.
    let wants_info = table.protocol == Protocol::Tcp && states != States::CONNECTED;
    let extensions: u8 = if wants_info { 1 << (INET_DIAG_INFO - 1) } else { 0 };
    message.extend_from_slice(&[family, protocol, extensions, 0]);
    message.extend_from_slice(&states.0.to_ne_bytes());
    // struct inet_diag_sockid: dumps ignore it.
    message.extend_from_slice(&[0; 48]);
    if let Some(code) = filter {
        const INET_DIAG_REQ_BYTECODE: u16 = 1;
        message.extend_from_slice(&u16::try_from(attribute).unwrap_or(u16::MAX).to_ne_bytes());
        message.extend_from_slice(&INET_DIAG_REQ_BYTECODE.to_ne_bytes());
        message.extend_from_slice(&code);
    }
    message
}

/// The program by which the kernel picks the local ports, or `None` if it should send everything.
///
/// Per range: `sport >= first` else the next range; `sport <= last` else the next range; accept. The offsets
/// count from the operation they stand in. Reaching the exact end accepts, jumping 4 bytes beyond it rejects
/// (`inet_diag_bc_run` in net/ipv4/inet_diag.c).
fn port_filter(ports: &PortSet) -> Option<Vec<u8>> {
    const JMP: u8 = 1;
    const S_GE: u8 = 2;
    const S_LE: u8 = 3;
    /// `struct inet_diag_bc_op`.
    const OP: usize = 4;
    /// Two comparisons of two operations each, and the jump.
    const RANGE: usize = 5 * OP;
    /// Beyond this, filtering here costs less than the kernel's walk through the program for each socket.
    const MOST_RANGES: usize = 64;

    if ports.is_all() || ports.ranges().len() > MOST_RANGES {
        return None;
    }
    let length = ports.ranges().len() * RANGE;
    let mut code = Vec::with_capacity(length);
    let mut op = |kind: u8, yes: usize, no: usize| {
        code.push(kind);
        // Both fit: `yes` is at most 8, `no` at most 64 * 20 + 4.
        code.push(u8::try_from(yes).unwrap_or(u8::MAX));
        code.extend_from_slice(&u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes());
    };
    for (index, &(first, last)) in ports.ranges().iter().enumerate() {
        let start = index * RANGE;
        let is_last = start + RANGE == length;
        // Where a comparison that fails goes on: the next range, or beyond the end.
        let next = if is_last { length + OP } else { start + RANGE };
        op(S_GE, 2 * OP, next - start);
        op(0, 0, usize::from(first));
        op(S_LE, 2 * OP, next - (start + 2 * OP));
        op(0, 0, usize::from(last));
        op(JMP, OP, length - (start + 4 * OP));
    }
    Some(code)
}

/// Whether a dump goes on after a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    Done,
}

/// Reads one datagram of the answer to the request numbered `sequence`, and adds its rows to `dump`.
///
/// # Errors
///
/// If the kernel reports an error, or the datagram does not follow the format.
pub fn parse(datagram: &[u8], sequence: u32, table: Table, dump: &mut Dump) -> Result<Progress, DumpError> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = u32_at(rest, 0)? as usize;
        if length < NLMSG_HEADER || length > rest.len() {
            return Err(malformed("a message with a length that cannot be"));
        }
        let (message, after) = rest.split_at(length);
        // Messages are aligned to 4 bytes; the last one may come without its padding.
        rest = after.get(length.next_multiple_of(4) - length..).unwrap_or_default();
        if u32_at(message, 8)? != sequence {
            continue;
        }
        if u16_at(message, 6)? & NLM_F_DUMP_INTR != 0 {
            dump.interrupted = true;
        }
        let payload = &message[NLMSG_HEADER..];
        match u16_at(message, 4)? {
            NLMSG_ERROR => {
                fail_on(i32_at(payload, 0)?)?;
                return Err(malformed("an acknowledgement that was not asked for"));
            }
            NLMSG_DONE => {
                // Since Linux 2.6.39 the end carries the result of the dump.
                if !payload.is_empty() {
                    fail_on(i32_at(payload, 0)?)?;
                }
                return Ok(Progress::Done);
            }
            SOCK_DIAG_BY_FAMILY => dump.entries.extend(parse_entry(payload, table)?),
            _ => {}
        }
    }
    Ok(Progress::More)
}

/// Turns a negative errno of the kernel into an error.
fn fail_on(result: i32) -> Result<(), DumpError> {
    const ENOENT: i32 = 2;
    match result {
        0.. => Ok(()),
        _ if result == -ENOENT => Err(DumpError::NoTable),
        _ => Err(DumpError::Refused(io::Error::from_raw_os_error(result.saturating_neg()))),
    }
}

/// `None` for a state that this program does not know, which no kernel sends today.
fn parse_entry(payload: &[u8], table: Table) -> Result<Option<Entry>, DumpError> {
    let Some((message, mut attributes)) = payload.split_at_checked(INET_DIAG_MSG) else {
        return Err(malformed("a row that is too short"));
    };
    let Some(state) = state(message[1], table.protocol) else { return Ok(None) };
    // struct inet_diag_sockid begins at 4; ports and addresses are in network order.
    let port = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let local = SocketAddr::new(address(message, 8, table.family), port(4));
    let remote = SocketAddr::new(address(message, 24, table.family), port(6));
    let (receive_queue, send_queue) = (u32_at(message, 56)?, u32_at(message, 60)?);
    let (uid, inode) = (u32_at(message, 64)?, u32_at(message, 68)?);

    let (mut v6only, mut cgroup_id, mut mptcp) = (None, None, None);
    while let Some((kind, value)) = next_attribute(&mut attributes)? {
        match kind {
            INET_DIAG_SKV6ONLY => v6only = value.first().map(|&byte| byte != 0),
            INET_DIAG_CGROUP_ID => cgroup_id = value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)),
            // There where the upper layer protocol would be told too.
            INET_DIAG_INFO => mptcp = mptcp.or(Some(false)),
            INET_DIAG_ULP_INFO => mptcp = Some(is_mptcp(value)?),
            _ => {}
        }
    }
    let socket = Socket {
        remote: (remote.port() != 0).then_some(remote),
        v6only,
        inode: (inode != 0).then_some(u64::from(inode)),
        // A TIME_WAIT or request socket has neither user nor cgroup, and 0 would read as root.
        uid: (inode != 0 || uid != 0 || cgroup_id.is_some()).then_some(uid),
        receive_queue: Some(receive_queue),
        send_queue: Some(send_queue),
        timer: timer(message[2], message[3], u32_at(message, 52)?),
        mptcp,
        ..Socket::new(table.protocol, table.family, state, local)
    };
    Ok(Some(Entry { socket, interface: u32_at(message, 40)?, cgroup_id }))
}

/// The state of a row (include/net/tcp_states.h); UDP uses two of TCP's.
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

/// The timer of a row: what, retransmissions, milliseconds (`inet_sk_diag_fill` in net/ipv4/inet_diag.c).
pub fn timer(kind: u8, retransmits: u8, milliseconds: u32) -> Option<Timer> {
    let kind = match kind {
        1 => TimerKind::Retransmit,
        2 => TimerKind::Keepalive,
        3 => TimerKind::TimeWait,
        4 => TimerKind::ZeroWindowProbe,
        _ => return None,
    };
    Some(Timer { kind, retransmits, expires_in: Duration::from_millis(milliseconds.into()) })
}

fn address(message: &[u8], at: usize, family: Family) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&message[at..at + 16]);
    match family {
        Family::Ipv4 => Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into(),
        Family::Ipv6 => Ipv6Addr::from(octets).into(),
    }
}

/// Whether the upper layer protocol of a TCP socket is MPTCP: the name is itself an attribute, with a NUL at its end.
fn is_mptcp(mut info: &[u8]) -> Result<bool, DumpError> {
    while let Some((kind, value)) = next_attribute(&mut info)? {
        if kind == INET_ULP_INFO_NAME {
            return Ok(value.strip_suffix(b"\0").unwrap_or(value) == b"mptcp");
        }
    }
    Ok(false)
}

/// Takes the next attribute off the front: its type and its value.
fn next_attribute<'a>(attributes: &mut &'a [u8]) -> Result<Option<(u16, &'a [u8])>, DumpError> {
    if attributes.len() < ATTRIBUTE_HEADER {
        return Ok(None);
    }
    let length = usize::from(u16_at(attributes, 0)?);
    let kind = u16_at(attributes, 2)? & ATTRIBUTE_TYPE;
    let value = attributes
        .get(ATTRIBUTE_HEADER..length)
        .ok_or_else(|| malformed("an attribute with a length that cannot be"))?;
    *attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Ok(Some((kind, value)))
}

fn malformed(problem: &'static str) -> DumpError {
    DumpError::Failed(Error::Malformed { from: "sock_diag", problem })
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], DumpError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .ok_or_else(|| malformed("a message that ends too soon"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, DumpError> {
    bytes_at(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, DumpError> {
    bytes_at(bytes, at).map(u32::from_ne_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Result<i32, DumpError> {
    bytes_at(bytes, at).map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests;
