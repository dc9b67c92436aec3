//! The socket tables as text, /proc/net/{tcp,tcp6,udp,udp6} (proc_net(5)), for machines without
//! netlink.
//!
//! They show neither sockets that are bound without listening, nor `IPV6_V6ONLY`, devices and
//! cgroups.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::sock_diag::{self, Entry};
use crate::error::Error;
use crate::model::{Family, Protocol, Socket, State};
use crate::port_set::PortSet;

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// IPv4 or IPv6.
    pub family: Family,
}

/// The rows of a table with a local port in `ports`. `None` if the kernel has no such table.
pub fn read(proc: &Path, table: Table, ports: &PortSet) -> Result<Option<Vec<Entry>>, Error> {
    let name = match (table.protocol, table.family) {
        (Protocol::Tcp, Family::Ipv4) => "tcp",
        (Protocol::Tcp, Family::Ipv6) => "tcp6",
        (Protocol::Udp, Family::Ipv4) => "udp",
        (Protocol::Udp, Family::Ipv6) => "udp6",
    };
    let path = proc.join("net").join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path, source }),
    };
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1) {
        let entry =
            parse_line(line, table).ok_or_else(|| Error::MalformedLine { path: path.clone(), line: index + 1 })?;
        if ports.contains(entry.socket.local.port()) {
            entries.push(entry);
        }
    }
    Ok(Some(entries))
}

/// `None` if the line cannot be understood.
///
/// The columns are `sl local remote st tx:rx tr:when retransmits uid timeout inode …`.
pub fn parse_line(line: &str, table: Table) -> Option<Entry> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let local = parse_endpoint(columns.next()?, table.family)?;
    let remote = parse_endpoint(columns.next()?, table.family)?;
    let state = sock_diag::state(u8::from_str_radix(columns.next()?, 16).ok()?, table.protocol)?;
    let (send_queue, receive_queue) = columns.next()?.split_once(':')?;
    let (timer, when) = columns.next()?.split_once(':')?;
    let retransmits = u32::from_str_radix(columns.next()?, 16).ok()?;
    let uid: u32 = columns.next()?.parse().ok()?;
    let inode: u64 = columns.nth(1)?.parse().ok()?;

    // `when` is in ticks of USER_HZ: 100 a second on every architecture that Rust builds for.
    let milliseconds = u32::from_str_radix(when, 16).ok()?.saturating_mul(10);
    let retransmits = u8::try_from(retransmits).unwrap_or(u8::MAX);
    let timer = match table.protocol {
        Protocol::Tcp => sock_diag::timer(u8::from_str_radix(timer, 16).ok()?, retransmits, milliseconds),
        Protocol::Udp => None,
    };
    let is_minimal = matches!(state, State::TimeWait | State::SynReceived) || (inode == 0 && uid == 0);
    let socket = Socket {
        remote: (remote.port() != 0).then_some(remote),
        inode: (inode != 0).then_some(inode),
        uid: (!is_minimal).then_some(uid),
        receive_queue: Some(u32::from_str_radix(receive_queue, 16).ok()?),
        // The file does not have the limit of a listener's accept queue.
        send_queue: (state != State::Listen).then_some(u32::from_str_radix(send_queue, 16).ok()?),
        timer,
        ..Socket::new(table.protocol, table.family, state, local)
    };
    Some(Entry { socket, interface: 0, cgroup_id: None })
}

/// `0100007F:1F90`: the address as 32-bit words in the machine's byte order, the port in network
/// order.
fn parse_endpoint(text: &str, family: Family) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| -> Option<[u8; 4]> {
        Some(u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes())
    };
    let ip: IpAddr = match family {
        Family::Ipv4 => Ipv4Addr::from(word(0)?).into(),
        Family::Ipv6 => {
            let mut octets = [0; 16];
            for (index, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            Ipv6Addr::from(octets).into()
        }
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::TimerKind;

    const TCP4: Table = Table { protocol: Protocol::Tcp, family: Family::Ipv4 };
    const TCP6: Table = Table { protocol: Protocol::Tcp, family: Family::Ipv6 };

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_a_running_system() {
        let listener = "   0: 0100007F:F5AD 00000000:0000 0A 00000000:00000001 00:00000000 00000000  1000        0 42380 1 0000000000000000 100 0 0 10 0";
        let entry = parse_line(listener, TCP4).unwrap().socket;
        assert_eq!(entry.local, "127.0.0.1:62893".parse().unwrap());
        assert_eq!((entry.state, entry.uid, entry.inode), (State::Listen, Some(1000), Some(42380)));
        assert_eq!((entry.receive_queue, entry.send_queue, entry.remote), (Some(1), None, None));

        let remnant = "   1: 0100007F:1F90 0100007F:A2C4 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000";
        let entry = parse_line(remnant, TCP4).unwrap().socket;
        let timer = entry.timer.unwrap();
        assert_eq!((timer.kind, timer.expires_in_ms), (TimerKind::TimeWait, 60_000));
        assert_eq!((entry.uid, entry.inode), (None, None));

        let ipv6 = "   0: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0000000000000000 100 0 0 10 0";
        assert_eq!(parse_line(ipv6, TCP6).unwrap().socket.local, "[::1]:3000".parse().unwrap());
    }

    #[test]
    fn a_broken_line_is_an_error() {
        assert_eq!(parse_line("   0: 0100007F:F5AD", TCP4), None);
        assert_eq!(parse_line("", TCP4), None);
    }

    #[test]
    fn a_missing_file_is_a_missing_table() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(read(root.path(), TCP6, &PortSet::all()), Ok(None)));
        fs::create_dir(root.path().join("net")).unwrap();
        fs::write(root.path().join("net/tcp6"), "header\nnonsense\n").unwrap();
        let error = read(root.path(), TCP6, &PortSet::all()).unwrap_err();
        assert!(matches!(error, Error::MalformedLine { line: 2, .. }), "{error}");
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[ 0-9A-Fa-f:é]{0,120}") {
            let _ = parse_line(&line, TCP4);
            let _ = parse_line(&line, TCP6);
        }
    }
}
