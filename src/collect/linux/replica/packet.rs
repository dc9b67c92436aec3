//! Packets of IP, by their bytes: the first of a connection, and what may come back (RFC 791, 8200,
//! 9293, 768, 792, 4443).

use std::net::{IpAddr, SocketAddr};

use crate::model::Protocol;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// How long the headers are.
const IPV4: usize = 20;
const IPV6: usize = 40;
const PORTS: usize = 4;

/// What a packet has to do with the one that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its answer, with the sequence number of TCP.
    Answer(u32),
    /// A reset.
    Reset,
    /// Destination unreachable, by ICMP.
    Unreachable,
    /// The packet itself, on its way to another machine.
    Itself(SocketAddr),
}

/// The packet that goes on with a connection after its answer: it acknowledges `theirs`, and has a
/// byte of data, so that it is acknowledged itself.
pub fn follow(from: SocketAddr, to: SocketAddr, own: u32, theirs: u32) -> Vec<u8> {
    let mut segment = Vec::with_capacity(21);
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(own.to_be_bytes());
    segment.extend(theirs.to_be_bytes());
    segment.extend([5 << 4, ACK | PSH, 0xfa, 0xf0, 0, 0, 0, 0, b'\n']);
    let mut sum = pseudo_header(from.ip(), to.ip(), TCP, segment.len());
    add(&mut sum, &segment);
    segment[16..18].copy_from_slice(&fold(sum).to_be_bytes());
    let mut packet = header(from.ip(), to.ip(), TCP, segment.len());
    packet.extend(segment);
    packet
}

/// The packet that asks `to` for a connection. `token` comes back with the answer.
pub fn ask(protocol: Protocol, from: SocketAddr, to: SocketAddr, token: u32) -> Vec<u8> {
    let mut segment = Vec::with_capacity(40);
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    let (number, checksum_at) = match protocol {
        Protocol::Tcp => {
            segment.extend(token.to_be_bytes());
            segment.extend([0; 4]);
            // Ten words long, with the options that Linux has: rules may look at its length.
            segment.extend([10 << 4, SYN, 0xfa, 0xf0, 0, 0, 0, 0]);
            segment.extend([2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7]);
            (TCP, 16)
        }
        Protocol::Udp => {
            segment.extend([0, 12, 0, 0]);
            segment.extend(token.to_be_bytes());
            (UDP, 6)
        }
    };
    let mut sum = pseudo_header(from.ip(), to.ip(), number, segment.len());
    add(&mut sum, &segment);
    let checksum = match fold(sum) {
        // In UDP, no checksum is written as 0.
        0 if protocol == Protocol::Udp => u16::MAX,
        checksum => checksum,
    };
    segment[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = header(from.ip(), to.ip(), number, segment.len());
    packet.extend(segment);
    packet
}

fn header(from: IpAddr, to: IpAddr, number: u8, length: usize) -> Vec<u8> {
    let whole = u16::try_from(length).unwrap_or(u16::MAX);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend((whole + 20).to_be_bytes());
            header.extend([0, 1, 0x40, 0, 64, number, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let mut sum = 0;
            add(&mut sum, &header);
            header[10..12].copy_from_slice(&fold(sum).to_be_bytes());
            header
        }
        _ => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(whole.to_be_bytes());
            header.extend([number, 64]);
            header.extend(octets(from));
            header.extend(octets(to));
            header
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn pseudo_header(from: IpAddr, to: IpAddr, number: u8, length: usize) -> u32 {
    let mut sum = u32::from(number) + u32::try_from(length).unwrap_or_default();
    add(&mut sum, &octets(from));
    add(&mut sum, &octets(to));
    sum
}

fn add(sum: &mut u32, bytes: &[u8]) {
    for pair in bytes.chunks(2) {
        *sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or_default());
    }
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// The token of the packet that `packet` answers or is, and which of both. `None` for any other one.
pub fn read(packet: &[u8]) -> Option<(u32, Kind)> {
    let (number, _, to, payload) = split(packet)?;
    let port = |at: usize| Some(u16::from_be_bytes(*payload.get(at..)?.first_chunk()?));
    let word = |at: usize| Some(u32::from_be_bytes(*payload.get(at..)?.first_chunk()?));
    match number {
        TCP => match payload.get(13)? & (SYN | ACK | RST) {
            SYN => Some((word(4)?, Kind::Itself(SocketAddr::new(to, port(2)?)))),
            // That of a packet that acknowledged something begins where that ended.
            RST => Some((word(4)?, Kind::Reset)),
            flags if flags & RST != 0 => Some((word(8)?.wrapping_sub(1), Kind::Reset)),
            flags if flags & ACK != 0 => Some((word(8)?.wrapping_sub(1), Kind::Answer(word(4)?))),
            _ => None,
        },
        UDP => Some((word(8)?, Kind::Itself(SocketAddr::new(to, port(2)?)))),
        // Destination unreachable has a copy of the packet behind its eight bytes.
        ICMP if payload.first() == Some(&3) => token_of(payload.get(8..)?),
        ICMPV6 if payload.first() == Some(&1) => token_of(payload.get(8..)?),
        _ => None,
    }
}

fn token_of(copy: &[u8]) -> Option<(u32, Kind)> {
    let (number, .., payload) = split(copy)?;
    let at = if number == TCP { 4 } else { 8 };
    Some((u32::from_be_bytes(*payload.get(at..)?.first_chunk()?), Kind::Unreachable))
}

/// Protocol, source, destination and payload.
fn split(packet: &[u8]) -> Option<(u8, IpAddr, IpAddr, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let length = usize::from(packet[0] & 0xf) * 4;
            let address = |at: usize| Some(IpAddr::from(*packet.get(at..)?.first_chunk::<4>()?));
            Some((*packet.get(9)?, address(12)?, address(16)?, packet.get(length.max(IPV4)..)?))
        }
        6 => {
            let address = |at: usize| Some(IpAddr::from(*packet.get(at..)?.first_chunk::<16>()?));
            Some((*packet.get(6)?, address(8)?, address(24)?, packet.get(IPV6..)?))
        }
        _ => None,
    }
}

/// Where a packet leads, from its headers as nftables reports them.
pub fn destination(network: &[u8], transport: &[u8]) -> Option<SocketAddr> {
    let (.., to, _) = split(network)?;
    let port = *transport.get(2..PORTS)?.first_chunk()?;
    Some(SocketAddr::new(to, u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(packet: &[u8]) -> u16 {
        let (number, from, to, payload) = split(packet).unwrap();
        let mut sum = pseudo_header(from, to, number, payload.len());
        add(&mut sum, payload);
        fold(sum)
    }

    #[test]
    fn a_packet_has_right_checksums_and_is_recognised() {
        for (from, to) in [("10.0.0.9:40000", "10.0.0.5:80"), ("[2001:db8::1]:40001", "[fd00::5]:443")] {
            for protocol in Protocol::ALL {
                let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
                let packet = ask(protocol, from, to, 0xdead_beef);
                assert_eq!(sum(&packet), 0, "{packet:?}");
                assert_eq!(read(&packet), Some((0xdead_beef, Kind::Itself(to))));
            }
        }
    }

    #[test]
    fn nothing_panics_however_short() {
        let packet = ask(Protocol::Tcp, "[::1]:1".parse().unwrap(), "[::2]:2".parse().unwrap(), 7);
        for length in 0..packet.len() {
            let _ = read(&packet[..length]);
            let _ = destination(&packet[..length], &packet[..length]);
        }
        assert_eq!(read(&[0x4f; 20]), None);
    }
}
