//! How many sockets there are, so that a table without one of them need not be walked: the kernel's
//! tables have room for hundreds of thousands, and a walk takes as long if they are empty.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::model::Protocol;

/// How many sockets there are in the calling thread's network namespace, as sockstat and sockstat6 of
/// /proc/thread-self/net tell (net/ipv4/proc.c, net/ipv6/proc.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// TCP sockets that listen or have a connection: those that the kernel has hashed
    /// (`sock_prot_inuse_add`). SYN_RECV and TIME_WAIT are not counted.
    tcp: usize,
    /// UDP sockets with a port.
    udp: usize,
    /// TCP sockets in any state and in any network namespace.
    tcp_anywhere: usize,
}

impl Counts {
    /// Counts them. `None` where the kernel does not tell, or while sockets come and go: the numbers are
    /// read one after the other, and those of two moments could hide a socket. So they have to be the
    /// same twice.
    pub fn read(proc: &Path) -> Option<Self> {
        let open = |name: &str| File::open(proc.join("thread-self/net").join(name)).ok();
        let (ipv6, ipv4) = (open("sockstat6")?, open("sockstat")?);
        let both = || Some((text(&ipv6)?, text(&ipv4)?));
        let (first, (ipv6, ipv4)) = (both()?, both()?);
        (first == (ipv6, ipv4))
            .then(|| Self::parse(std::str::from_utf8(&ipv4).ok()?, std::str::from_utf8(&ipv6).ok()?))?
    }

    /// Parses the text of sockstat and sockstat6.
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

/// The file as it is now. One that is opened once is read twice in a few microseconds.
fn text(file: &File) -> Option<[u8; 512]> {
    let mut text = [b'\n'; 512];
    file.read_at(&mut text, 0).ok()?;
    Some(text)
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
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

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

    /// What is counted in our network namespace, and how many more TCP sockets there are anywhere.
    /// Other tests open and close some meanwhile.
    fn counted() -> (usize, usize, usize) {
        let Counts { tcp, udp, tcp_anywhere } =
            std::iter::repeat_with(|| Counts::read(Path::new("/proc"))).take(100_000).flatten().next().unwrap();
        (tcp, udp, tcp_anywhere.saturating_sub(tcp))
    }

    #[test]
    fn every_kind_of_socket_is_counted_by_the_kernel() {
        crate::testing::in_network_namespace(|| {
            if !Path::new("/proc/thread-self/net/sockstat6").exists() {
                return crate::testing::skip("no IPv6");
            }
            let counts = || (counted().0, counted().1);
            assert_eq!(counts(), (0, 0));
            let listeners = ["0.0.0.0:80", "[::]:81"].map(|address| TcpListener::bind(address).unwrap());
            assert_eq!(counts(), (2, 0));
            let client = TcpStream::connect("127.0.0.1:80").unwrap();
            assert_eq!(counts(), (4, 0));
            let datagrams = ["0.0.0.0:53", "[::]:54"].map(|address| UdpSocket::bind(address).unwrap());
            datagrams[0].connect("127.0.0.1:9").unwrap();
            assert_eq!(counts(), (4, 2));
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            assert_eq!(counts(), (0, 0));
            drop((listeners, client, datagrams));
        });
    }

    #[test]
    fn sockets_that_are_only_bound_are_those_that_are_counted_nowhere_else() {
        crate::testing::in_network_namespace(|| {
            if !Path::new("/proc/thread-self/net/sockstat6").exists() {
                return crate::testing::skip("no IPv6");
            }
            let grows_by_two = || {
                let before = counted();
                let _bound = [(Domain::IPV4, "0.0.0.0:0"), (Domain::IPV6, "[::]:0")].map(|(family, address)| {
                    let socket = Socket::new(family, Type::STREAM, None).unwrap();
                    socket.bind(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
                    socket
                });
                let after = counted();
                (after.0, after.1, after.2) == (before.0, before.1, before.2 + 2)
            };
            // Other tests change the number anywhere, in either direction.
            assert!((0..1000).filter(|_| grows_by_two()).count() > 100);
        });
    }
}
