//! Abstract unix sockets (unix(7)) by their names, from sock_diag. If the kernel lacks the module
//! for it, from the text of /proc/net/unix.
//!
//! Both list all sockets. But sock_diag can leave out connections before it writes anything, and
//! there may be tens of thousands. Asking for a single name would affect whoever has it, or wants
//! it.

use std::fs;
use std::io;
use std::path::Path;

use super::netlink::{Failure, Netlink, find_attribute, malformed, u32_at};
use super::sock_diag::SOCK_DIAG_BY_FAMILY;
use crate::error::Error;

/// An abstract socket that is not a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSocket {
    /// Its name, without the leading NUL. Any bytes.
    pub name: Vec<u8>,
    /// Its inode, as its descriptors show it.
    pub inode: u64,
    /// Whether it can be connected to.
    pub listens: bool,
    /// What goes through it.
    pub kind: Kind,
}

/// The kind of a socket: of each there can be one with the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SOCK_SEQPACKET.
    Packets,
    /// SOCK_STREAM, SOCK_DGRAM.
    Other,
}

impl Kind {
    const fn of(number: u8) -> Self {
        /// linux/net.h.
        const SOCK_SEQPACKET: u8 = 5;
        if number == SOCK_SEQPACKET { Self::Packets } else { Self::Other }
    }
}

/// The abstract sockets of this network namespace, without connections.
pub fn list(proc: &Path) -> Result<Vec<UnixSocket>, Error> {
    match by_netlink() {
        Ok(sockets) => Ok(sockets),
        Err(Failure::NoSuch | Failure::Refused(_)) => by_text(proc),
        Err(Failure::Failed(error)) => Err(error),
    }
}

// include/net/tcp_states.h
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

fn by_netlink() -> Result<Vec<UnixSocket>, Failure> {
    let mut sockets = Vec::new();
    let mut diag = Netlink::open(Some(rustix::net::netlink::SOCK_DIAG)).map_err(Failure::Refused)?;
    diag.dump(SOCK_DIAG_BY_FAMILY, &request(), |kind, payload| {
        if kind == SOCK_DIAG_BY_FAMILY {
            sockets.extend(parse(payload)?);
        }
        Ok(())
    })?;
    Ok(sockets)
}

/// `struct unix_diag_req` (linux/unix_diag.h): family, protocol and padding, states, inode, what to
/// show, cookie.
fn request() -> Vec<u8> {
    const AF_UNIX: u8 = 1;
    const UDIAG_SHOW_NAME: u32 = 1;
    let fields = [u32::from_ne_bytes([AF_UNIX, 0, 0, 0]), 1 << CLOSE | 1 << LISTEN, 0, UDIAG_SHOW_NAME, 0, 0];
    fields.into_iter().flat_map(u32::to_ne_bytes).collect()
}

/// `None` for a socket without an abstract name.
pub fn parse(payload: &[u8]) -> Result<Option<UnixSocket>, Failure> {
    /// `struct unix_diag_msg`: family, type, state, padding, inode, cookie.
    const MESSAGE: usize = 16;
    const UNIX_DIAG_NAME: u16 = 0;
    let Some((message, attributes)) = payload.split_at_checked(MESSAGE) else {
        return Err(malformed("a row that is too short"));
    };
    let inode = u32_at(message, 4)?.into();
    let name = find_attribute(attributes, UNIX_DIAG_NAME)?.and_then(|name| name.strip_prefix(b"\0"));
    Ok(name.map(|name| UnixSocket {
        name: name.to_vec(),
        inode,
        listens: message[2] == LISTEN,
        kind: Kind::of(message[1]),
    }))
}

fn by_text(proc: &Path) -> Result<Vec<UnixSocket>, Error> {
    let path = proc.join("net/unix");
    let text = fs::read(&path).map_err(|source: io::Error| Error::Read { path, source })?;
    Ok(text.split(|&byte| byte == b'\n').filter_map(parse_line).collect())
}

/// `None` for a socket without an abstract name, or a connection.
///
/// The columns are `Num: RefCount Protocol Flags Type St Inode Path` (`unix_seq_show`,
/// net/unix/af_unix.c). Abstract names begin with `@`, and each NUL in them is written as `@`, too.
pub fn parse_line(line: &[u8]) -> Option<UnixSocket> {
    /// `__SO_ACCEPTCON`, linux/net.h.
    const ACCEPTS: u32 = 1 << 16;
    const UNCONNECTED: u8 = 1;
    let at = line.iter().position(|&byte| byte == b'@')?;
    let mut columns = std::str::from_utf8(&line[..at]).ok()?.split_ascii_whitespace().skip(3);
    let flags = u32::from_str_radix(columns.next()?, 16).ok()?;
    let kind = u8::from_str_radix(columns.next()?, 16).ok()?;
    let state = u8::from_str_radix(columns.next()?, 16).ok()?;
    let inode = columns.next()?.parse().ok()?;
    // A path with an `@` in it has another column before the `@`.
    (columns.next().is_none() && state == UNCONNECTED).then(|| UnixSocket {
        name: line[at + 1..].to_vec(),
        inode,
        listens: flags & ACCEPTS != 0,
        kind: Kind::of(kind),
    })
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

    use super::super::netlink::attribute;
    use super::*;

    fn socket(kind: Kind, name: &str, inode: u64, listens: bool) -> UnixSocket {
        UnixSocket { name: name.as_bytes().to_vec(), inode, listens, kind }
    }

    #[test]
    fn abstract_names_are_told_from_paths_and_connections() {
        let table = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0005 01 101 @one
0000000000000000: 00000002 00000000 00000000 0005 01 102 @two words
0000000000000000: 00000003 00000000 00000000 0005 03 103 @one
0000000000000000: 00000002 00000000 00010000 0001 01 104 /run/a@b
0000000000000000: 00000002 00000000 00010000 0001 01 105 @
0000000000000000: 00000003 00000000 00000000 0001 03 106
";
        let found: Vec<UnixSocket> = table.split('\n').filter_map(|line| parse_line(line.as_bytes())).collect();
        assert_eq!(
            found,
            [
                socket(Kind::Packets, "one", 101, true),
                socket(Kind::Packets, "two words", 102, false),
                socket(Kind::Other, "", 105, true)
            ]
        );
    }

    #[test]
    fn rows_of_sock_diag() {
        let row = |state: u8, name: &[u8]| {
            [&[1, 5, state, 0][..], &7u32.to_ne_bytes(), &[0; 8], &attribute(0, name)].concat()
        };
        assert_eq!(parse(&row(LISTEN, b"\0one")).unwrap(), Some(socket(Kind::Packets, "one", 7, true)));
        assert_eq!(parse(&row(CLOSE, b"\0two")).unwrap(), Some(socket(Kind::Packets, "two", 7, false)));
        assert_eq!(parse(&row(CLOSE, b"/run/three\0")).unwrap(), None);
        assert_eq!(parse(&row(CLOSE, b"")[..16]).unwrap(), None, "a socket without a name");
        assert!(parse(&[0; 15]).is_err());
    }

    /// The kernel's own text and datagrams.
    #[test]
    fn netlink_and_text_tell_the_same() {
        let prefix = format!("portcheck.test.{}.", std::process::id());
        let address = |name: &str| SocketAddr::from_abstract_name(format!("{prefix}{name}")).unwrap();
        let listener = UnixListener::bind_addr(&address("listens")).unwrap();
        let _client = UnixStream::connect_addr(&address("listens")).unwrap();
        let _accepted = listener.accept().unwrap();
        let _bound = UnixDatagram::bind_addr(&address("bound")).unwrap();
        let ours = |mut sockets: Vec<UnixSocket>| {
            sockets.retain(|socket| socket.name.starts_with(prefix.as_bytes()));
            sockets.sort_unstable();
            sockets
        };
        let text = ours(by_text(Path::new("/proc")).unwrap());
        let told: Vec<_> = text.iter().map(|socket| (&socket.name[prefix.len()..], socket.listens)).collect();
        assert_eq!(told, [(&b"bound"[..], false), (b"listens", true)]);
        match by_netlink() {
            Ok(sockets) => assert_eq!(ours(sockets), text),
            Err(failure) => crate::testing::skip(&format!("no sock_diag of unix sockets: {failure}")),
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        let error = by_text(root.path()).unwrap_err().to_string();
        assert!(error.contains("net/unix"), "{error}");
    }
}
