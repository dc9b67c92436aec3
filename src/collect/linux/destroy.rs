//! Drops remnants of connections: `SOCK_DESTROY` of sock_diag(7), which needs CAP_NET_ADMIN and a
//! kernel with CONFIG_INET_DIAG_DESTROY.
//!
//! Each socket is named by the kernel's cookie. Without it, if the remnant has just ended, the
//! kernel drops the listener on the port instead (`inet_diag_find_one_icsk`, net/ipv4/inet_diag.c).

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use super::netlink::Failure;
use super::sock_diag::{self, Entry, Id, SockDiag, States};
use crate::model::{Family, Protocol, Socket};
use crate::port_set::PortSet;

/// Identifies a connection, whatever its state is by now.
type Key = (Family, SocketAddr, Option<SocketAddr>);

/// See [`crate::collect::drop_remnants`].
pub fn drop_remnants(sockets: Vec<Socket>) -> Vec<(Socket, io::Result<()>)> {
    let ports: PortSet = sockets.iter().map(|socket| (socket.local.port(), socket.local.port())).collect();
    let mut diag = Destroyer::open(&ports);
    let drop_one = |socket: Socket| {
        let result = match &mut diag {
            Ok(diag) => diag.destroy(&socket),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        (socket, result)
    };
    sockets.into_iter().map(drop_one).collect()
}

struct Destroyer {
    diag: SockDiag,
    ids: HashMap<Key, Id>,
}

impl Destroyer {
    /// Reads the cookies of all connections on `ports` that no process has.
    fn open(ports: &PortSet) -> io::Result<Self> {
        let mut diag = SockDiag::open()?;
        let mut ids = HashMap::new();
        let learn = |row: &[u8]| {
            let id = row.get(4..).and_then(|rest| rest.first_chunk());
            if let Some(&id) = id
                && let Some(Entry { socket, .. }) = sock_diag::parse_entry(row, Protocol::Tcp)?
                // A connection that a process has is no remnant.
                && socket.inode.is_none()
            {
                ids.insert(key(&socket), id);
            }
            Ok(())
        };
        match diag.each(Protocol::Tcp, States::CONNECTED, ports, learn) {
            Ok(_) | Err(Failure::NoSuch) => Ok(Self { diag, ids }),
            Err(failure) => Err(plain(failure)),
        }
    }

    fn destroy(&mut self, socket: &Socket) -> io::Result<()> {
        let id = self.ids.get(&key(socket)).ok_or(io::ErrorKind::NotFound)?;
        self.diag.destroy(socket.family, id).map_err(plain)
    }
}

fn key(socket: &Socket) -> Key {
    (socket.family, socket.local, socket.remote)
}

fn plain(failure: Failure) -> io::Error {
    match failure {
        Failure::NoSuch => io::ErrorKind::NotFound.into(),
        Failure::Refused(error) => error,
        Failure::Failed(error) => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::model::State;

    /// If a remnant has just ended, the kernel would drop the listener on the port instead, or
    /// another connection.
    #[test]
    fn nothing_but_remnants_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(local).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let claim = |remote| Socket {
            remote: Some(remote),
            ..Socket::new(Protocol::Tcp, Family::Ipv4, State::TimeWait, local)
        };
        for (socket, dropped) in
            drop_remnants(vec![claim("127.0.0.1:5".parse().unwrap()), claim(client.local_addr().unwrap())])
        {
            assert_eq!(dropped.map_err(|error| error.kind()), Err(io::ErrorKind::NotFound), "{socket:?}");
        }
        accepted.write_all(b"!").unwrap();
        client.read_exact(&mut [0]).unwrap();
        TcpStream::connect(local).unwrap();
    }
}
