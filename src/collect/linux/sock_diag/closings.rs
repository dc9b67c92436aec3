//! The kernel's reports of sockets that are closed: the multicast groups `SKNLGRP_INET_TCP_DESTROY` and
//! the like (linux/sock_diag.h). They tell of our own network namespace, and need no privilege.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use socket2::{SockFilter, SockRef};

use super::super::netlink::{self, Failure, find_attribute};
use super::{INET_DIAG_MSG, SOCK_DIAG_BY_FAMILY, cookie, family};
use crate::model::{Family, Protocol};

/// A socket that was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    pub protocol: Protocol,
    pub family: Family,
    /// The local port.
    pub port: u16,
    /// See [`Socket::cookie`](crate::model::Socket::cookie).
    pub cookie: u64,
}

/// What was reported since the last time.
#[derive(Debug, Default)]
pub struct Report {
    pub closed: Vec<Closed>,
    /// Whether there was more than the kernel keeps for us.
    pub is_incomplete: bool,
}

/// A netlink socket that receives the reports.
#[derive(Debug)]
pub struct Closings {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// All four groups, as the bits that bind(2) takes (netlink(7)).
const GROUPS: u32 = 0b1111;
/// More than a report has: a row of a table, with all of `struct tcp_info`.
const BUFFER: usize = 8 * 1024;
/// Room for some thousand reports, as far as the system allows it.
const QUEUE: usize = 4 * 1024 * 1024;

impl Closings {
    /// Joins the groups. Reports of connections are left out by the kernel unless they are wanted.
    pub fn open(connections: bool) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
        // An old kernel may not have it. Then more is received than is needed.
        let _ = SockRef::from(&socket).attach_filter(&filter(connections));
        // Less room is no failure: what does not fit is reported as missed.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, QUEUE);
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self { socket, buffer: vec![0; BUFFER] })
    }

    /// Takes what was reported since the last time.
    pub fn take(&mut self) -> Report {
        /// A flood of reports must not keep us from looking.
        const MOST: usize = 20_000;
        let mut report = Report::default();
        for _ in 0..MOST {
            match rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    // One that cannot be read tells nothing, and the next look shows it anyway.
                    let _ = read(&self.buffer[..length], &mut report.closed);
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => report.is_incomplete = true,
                // Nothing more is there, or ever will be.
                Err(_) => return report,
            }
        }
        report
    }
}

impl AsFd for Closings {
    /// Readable when something was reported.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The program by which the kernel picks what we receive (bpf(4)): reports of sockets that had a port,
/// and no peer unless connections are wanted. Offsets count from the header of the message.
fn filter(connections: bool) -> Vec<SockFilter> {
    const LOAD_HALF_WORD: u16 = 0x28;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// `idiag_sport` and `idiag_dport` behind `struct nlmsghdr`.
    const LOCAL_PORT: u32 = 16 + 4;
    const REMOTE_PORT: u32 = 16 + 6;
    // Of `struct sock_filter`: what to do, then how many to leave out if it is equal, and if not.
    let mut program = Vec::new();
    if !connections {
        program.push(SockFilter::new(LOAD_HALF_WORD, 0, 0, REMOTE_PORT));
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 2, 0));
    }
    program.push(SockFilter::new(LOAD_HALF_WORD, 0, 0, LOCAL_PORT));
    program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0));
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    program
}

/// Reads a datagram.
fn read(datagram: &[u8], closed: &mut Vec<Closed>) -> Result<(), Failure> {
    // What nobody asked for has the number 0.
    netlink::read(datagram, 0, &mut false, |kind, payload| {
        if kind == SOCK_DIAG_BY_FAMILY {
            closed.extend(parse(payload)?);
        }
        Ok(())
    })
    .map(drop)
}

/// `None` for a socket of another kind.
fn parse(payload: &[u8]) -> Result<Option<Closed>, Failure> {
    const INET_DIAG_PROTOCOL: u16 = 10;
    let Some((message, attributes)) = payload.split_at_checked(INET_DIAG_MSG) else {
        return Err(netlink::malformed("a report that is too short"));
    };
    let Some(family) = family(message[0]) else { return Ok(None) };
    let protocol = match find_attribute(attributes, INET_DIAG_PROTOCOL)?.and_then(|value| value.first()) {
        Some(6) => Protocol::Tcp,
        Some(17) => Protocol::Udp,
        _ => return Ok(None),
    };
    let port = u16::from_be_bytes([message[4], message[5]]);
    Ok(Some(Closed { protocol, family, port, cookie: cookie(message)? }))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
    use std::time::{Duration, Instant};

    use super::super::{AF_INET, SockDiag, States};
    use super::*;

    /// Waits for the reports on `ports`: they come a moment after the close.
    fn reports(closings: &mut Closings, ports: &[u16]) -> Vec<Closed> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut found: Vec<Closed> = Vec::new();
        let is_missing = |found: &[Closed], port: &u16| !found.iter().any(|closed| closed.port == *port);
        while ports.iter().any(|port| is_missing(&found, port)) && Instant::now() < deadline {
            found.extend(closings.take().closed.into_iter().filter(|closed| ports.contains(&closed.port)));
            std::thread::yield_now();
        }
        found
    }

    #[test]
    fn a_closed_socket_is_reported_by_its_cookie_and_a_connection_only_if_wanted() {
        let (mut servers, mut all) = (Closings::open(false).unwrap(), Closings::open(true).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!() };
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let udp_port = udp.local_addr().unwrap().port();
        let client = TcpStream::connect(address).unwrap();
        let accepted = listener.accept().unwrap();
        let client_port = client.local_addr().unwrap().port();
        let ports = [(address.port(), address.port())].into_iter().collect();
        let dump = SockDiag::open().unwrap().dump(Protocol::Tcp, States::LISTENING, &ports, 0).unwrap();
        drop((accepted, client, listener, udp));
        let found = reports(&mut servers, &[address.port(), udp_port]);
        let udp = found.iter().find(|closed| closed.port == udp_port).unwrap();
        let cookie = dump.entries[0].socket.cookie.unwrap();
        let (protocol, family) = (Protocol::Tcp, Family::Ipv4);
        assert!(found.contains(&Closed { protocol, family, port: address.port(), cookie }), "{found:?}");
        assert_eq!((udp.protocol, udp.family), (Protocol::Udp, Family::Ipv6));
        assert_eq!(reports(&mut all, &[client_port]).len(), 1);
        assert!(!servers.take().closed.iter().any(|closed| closed.port == client_port));
    }

    #[test]
    fn what_is_no_report_is_refused_and_does_no_harm() {
        for length in 0..INET_DIAG_MSG {
            assert!(parse(&vec![2; length]).is_err(), "{length}");
        }
        assert_eq!(parse(&[0; INET_DIAG_MSG]).unwrap(), None);
        assert_eq!(parse(&[AF_INET; INET_DIAG_MSG]).unwrap(), None);
        let mut closed = Vec::new();
        assert!(read(&[7; 40], &mut closed).is_err() && closed.is_empty());
    }
}
