//! How many sockets there are, so that a table without one of them need not be walked: the kernel's
//! tables have room for hundreds of thousands, and a walk takes as long if they are empty.

use std::fs;
use std::path::Path;

use crate::model::Protocol;

/// Of the calling thread's network namespace, in which its netlink sockets are, too.
const DIRECTORY: &str = "/proc/thread-self/net";

/// How many sockets there are in our network namespace, as /proc/net/sockstat and sockstat6 tell
/// (net/ipv4/proc.c, net/ipv6/proc.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// TCP sockets that listen or have a connection: those that the kernel has hashed
    /// (`sock_prot_inuse_add`). Half-open connections and remnants are not counted.
    tcp: usize,
    /// UDP sockets with a port.
    udp: usize,
    /// TCP sockets in any state and in any network namespace.
    tcp_anywhere: usize,
}

impl Counts {
    /// Counts them. `None` where the kernel does not tell.
    pub fn read() -> Option<Self> {
        let read = |file: &str| fs::read_to_string(Path::new(DIRECTORY).join(file)).ok();
        // IPv6 comes first: then a socket that is opened in between makes more of them anywhere, and not less.
        let ipv6 = read("sockstat6")?;
        Self::parse(&read("sockstat")?, &ipv6)
    }

    /// Reads the text of sockstat and sockstat6.
    pub fn parse(ipv4: &str, ipv6: &str) -> Option<Self> {
        Some(Self {
            tcp: number(ipv4, "TCP", "inuse")? + number(ipv6, "TCP6", "inuse")?,
            udp: number(ipv4, "UDP", "inuse")? + number(ipv6, "UDP6", "inuse")?,
            tcp_anywhere: number(ipv4, "TCP", "alloc")?,
        })
    }

    /// How many of a protocol there are.
    pub const fn of(self, protocol: Protocol) -> usize {
        match protocol {
            Protocol::Tcp => self.tcp,
            Protocol::Udp => self.udp,
        }
    }

    /// Whether a TCP socket may be bound that neither listens nor has a connection.
    pub const fn may_have_bound(self) -> bool {
        self.tcp != self.tcp_anywhere
    }
}

/// A number in a line such as `TCP: inuse 27 orphan 0 tw 10 alloc 30 mem 4`.
fn number(text: &str, protocol: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "))?;
    let mut words = line.split(' ');
    words.find(|&word| word == name)?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, UdpSocket};

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn both_families_are_counted_together() {
        let ipv4 =
            "sockets: used 306\nTCP: inuse 27 orphan 0 tw 10 alloc 30 mem 4\nUDP: inuse 6 mem 1\nUDPLITE: inuse 9\n";
        let counts = Counts::parse(ipv4, "TCP6: inuse 2\nUDP6: inuse 1\nUDPLITE6: inuse 0\n");
        assert_eq!(counts, Some(Counts { tcp: 29, udp: 7, tcp_anywhere: 30 }));
        for ipv6 in ["", "TCP6: inuse\nUDP6: inuse 1\n", "TCP6: inuse x\nUDP6: inuse 1\n"] {
            assert_eq!(Counts::parse(ipv4, ipv6), None, "{ipv6}");
        }
    }

    /// Other tests open sockets in our namespace meanwhile.
    #[test]
    fn every_kind_of_socket_is_counted_by_the_kernel() {
        std::thread::spawn(|| {
            if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err() {
                return crate::testing::skip("no right to make a network namespace");
            }
            let counts = || {
                let Counts { tcp, udp, .. } = Counts::read().unwrap();
                (tcp, udp)
            };
            assert_eq!(counts(), (0, 0));
            let _bound = [(Domain::IPV4, "0.0.0.0:0"), (Domain::IPV6, "[::]:0")].map(|(family, address)| {
                let socket = Socket::new(family, Type::STREAM, None).unwrap();
                socket.bind(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
                socket
            });
            assert_eq!(counts(), (0, 0));
            assert!(Counts::read().unwrap().may_have_bound());
            let _listeners = ["0.0.0.0:80", "[::]:81"].map(|address| TcpListener::bind(address).unwrap());
            assert_eq!(counts(), (2, 0));
            let _datagrams = ["0.0.0.0:53", "[::]:54"].map(|address| UdpSocket::bind(address).unwrap());
            assert_eq!(counts(), (2, 2));
        })
        .join()
        .unwrap();
    }
}
