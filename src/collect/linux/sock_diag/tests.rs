//! The codec on messages made by hand, on hostile bytes, and against the running kernel.

use std::net::{Ipv6Addr, TcpListener};
use std::num::NonZeroU64;

use proptest::prelude::*;

use super::super::netlink::{Progress, attribute, u16_at};
use super::*;

/// Laid out as in a dump, with its padding.
fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = netlink::message(kind, flags, sequence, payload);
    message.resize(message.len().next_multiple_of(4), 0);
    message
}

/// A row as the kernel lays it out: a listener on 127.0.0.1:8080.
fn row(state: u8, uid: u32, inode: u32, attributes: &[u8]) -> Vec<u8> {
    let mut row = vec![0; INET_DIAG_MSG];
    row[0] = AF_INET;
    row[1] = state;
    row[4..6].copy_from_slice(&8080u16.to_be_bytes());
    row[8..12].copy_from_slice(&[127, 0, 0, 1]);
    row[60..64].copy_from_slice(&128u32.to_ne_bytes());
    row[64..68].copy_from_slice(&uid.to_ne_bytes());
    row[68..72].copy_from_slice(&inode.to_ne_bytes());
    row.extend_from_slice(attributes);
    row
}

fn parse_rows(datagram: &[u8]) -> Result<(Dump, Progress), Failure> {
    let mut dump = Dump::default();
    let progress = netlink::read(datagram, 7, &mut dump.interrupted, |kind, payload| {
        if kind == SOCK_DIAG_BY_FAMILY {
            dump.entries.extend(parse_entry(payload, Protocol::Tcp)?);
        }
        Ok(())
    })?;
    Ok((dump, progress))
}

#[test]
fn a_listener_with_its_attributes() {
    let mut attributes = attribute(INET_DIAG_CGROUP_ID, &4711u64.to_ne_bytes());
    attributes.extend(attribute(INET_DIAG_SKV6ONLY, &[1]));
    attributes.extend(attribute(INET_DIAG_ULP_INFO | 0x8000, &attribute(INET_ULP_INFO_NAME, b"mptcp\0")));
    let (dump, progress) =
        parse_rows(&message(SOCK_DIAG_BY_FAMILY, 2, 7, &row(LISTEN, 1000, 42, &attributes))).unwrap();
    assert_eq!(progress, Progress::More);
    let [Entry { socket, cgroup_id, .. }] = &dump.entries[..] else { panic!("{dump:?}") };
    assert_eq!(socket.state, State::Listen);
    assert_eq!(socket.local, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(socket.remote, None);
    assert_eq!((socket.uid, socket.inode, cgroup_id.map(NonZeroU64::get)), (Some(1000), Some(42), Some(4711)));
    assert_eq!((socket.v6only, socket.mptcp, socket.send_queue), (Some(true), Some(true), Some(128)));
}

#[test]
fn the_zeros_of_a_remnant_are_unknown_not_root() {
    let (dump, _) = parse_rows(&message(SOCK_DIAG_BY_FAMILY, 2, 7, &row(6, 0, 0, &[]))).unwrap();
    assert_eq!((dump.entries[0].socket.uid, dump.entries[0].socket.inode), (None, None));
    assert_eq!(dump.entries[0].socket.state, State::TimeWait);
}

#[test]
fn an_error_is_an_error_and_not_the_end_of_the_list() {
    let refused = parse_rows(&message(netlink::ERROR, 0, 7, &(-13i32).to_ne_bytes())).unwrap_err();
    assert!(matches!(&refused, Failure::Refused(error) if error.raw_os_error() == Some(13)), "{refused:?}");
    let missing = parse_rows(&message(netlink::ERROR, 0, 7, &(-2i32).to_ne_bytes())).unwrap_err();
    assert!(matches!(missing, Failure::NoSuch), "{missing:?}");
    let late = parse_rows(&message(netlink::DONE, 2, 7, &(-12i32).to_ne_bytes())).unwrap_err();
    assert!(matches!(late, Failure::Refused(_)), "{late:?}");
}

#[test]
fn an_interrupted_dump_says_so() {
    let mut datagram = message(SOCK_DIAG_BY_FAMILY, 2 | netlink::DUMP_INTERRUPTED, 7, &row(LISTEN, 0, 1, &[]));
    datagram.extend(message(netlink::DONE, 2, 7, &0i32.to_ne_bytes()));
    let (dump, progress) = parse_rows(&datagram).unwrap();
    assert!(dump.interrupted);
    assert_eq!((dump.entries.len(), progress), (1, Progress::Done));
}

#[test]
fn answers_to_other_questions_are_passed_over() {
    let mut datagram = message(SOCK_DIAG_BY_FAMILY, 2, 6, &row(LISTEN, 0, 1, &[]));
    datagram.extend(message(netlink::DONE, 2, 6, &0i32.to_ne_bytes()));
    let (dump, progress) = parse_rows(&datagram).unwrap();
    assert_eq!((dump.entries.len(), progress), (0, Progress::More));
}

#[test]
fn what_is_cut_short_is_malformed() {
    let whole = message(SOCK_DIAG_BY_FAMILY, 2, 7, &row(LISTEN, 0, 1, &attribute(INET_DIAG_SKV6ONLY, &[1])));
    for length in (1..whole.len()).filter(|&length| length != 0) {
        assert!(parse_rows(&whole[..length]).is_err(), "{length} of {}", whole.len());
    }
    let mut lying = row(LISTEN, 0, 1, &attribute(INET_DIAG_SKV6ONLY, &[1]));
    lying[INET_DIAG_MSG] = 200;
    assert!(parse_rows(&message(SOCK_DIAG_BY_FAMILY, 2, 7, &lying)).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_rows(&bytes);
    }

    #[test]
    fn no_row_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_rows(&message(SOCK_DIAG_BY_FAMILY, 2, 7, &bytes));
    }
}

/// Runs a filter as `inet_diag_bc_run` does.
fn accepts(code: &[u8], port: u16) -> bool {
    let mut at = 0;
    while at < code.len() {
        let (kind, yes, no) = (code[at], usize::from(code[at + 1]), usize::from(u16_at(code, at + 2).unwrap()));
        let operand = || u16_at(code, at + 6).unwrap();
        let hit = match kind {
            1 => false,
            2 => port >= operand(),
            3 => port <= operand(),
            other => panic!("operation {other} at {at}"),
        };
        at += if hit { yes } else { no };
    }
    at == code.len()
}

proptest! {
    #[test]
    fn the_filter_accepts_exactly_the_set(ranges in prop::collection::vec((any::<u16>(), 0u16..300), 1..64)) {
        let set: PortSet = ranges.iter().map(|&(first, span)| (first, first.saturating_add(span))).collect();
        if let Some(code) = port_filter(&set) {
            for &(first, last) in set.ranges() {
                for port in [first.wrapping_sub(1), first, last, last.wrapping_add(1)] {
                    prop_assert_eq!(accepts(&code, port), set.contains(port), "{} in {:?}", port, set);
                }
            }
        }
    }
}

#[test]
fn every_port_needs_no_filter_and_too_many_ranges_get_none() {
    assert_eq!(port_filter(&PortSet::all()), None);
    assert_eq!(port_filter(&(0..100).map(|n| (n * 10, n * 10)).collect()), None);
}

#[test]
fn the_kernel_understands_the_filter() {
    let listeners: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    let mut diag = SockDiag::open().unwrap();
    // Two of the three, so that a filter that lets everything through is seen.
    let asked: PortSet = ports[..2].iter().map(|&port| (port, port)).collect();
    let mut found: Vec<u16> = Vec::new();
    diag.each(Protocol::Tcp, States::WAITING, &asked, |row| {
        found.extend(parse_entry(row, Protocol::Tcp)?.map(|entry| entry.socket.local.port()));
        Ok(())
    })
    .unwrap();
    found.sort_unstable();
    found.dedup();
    let mut expected = ports[..2].to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_table_that_the_kernel_lacks_is_told_from_an_empty_one() {
    // No kernel has sock_diag for family 45 of TCP.
    let mut request = request(Family::Ipv4, Protocol::Tcp, States::WAITING);
    request[0] = 45;
    let answer = SockDiag::open().unwrap().0.dump(SOCK_DIAG_BY_FAMILY, &request, |_, _| Ok(()));
    assert!(matches!(answer, Err(Failure::NoSuch | Failure::Refused(_))), "{answer:?}");
}

#[test]
fn an_ipv6_listener_tells_whether_it_is_v6only() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        crate::testing::skip("no IPv6 here");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let ports = [(port, port)].into_iter().collect();
    let dump = SockDiag::open().unwrap().dump(Protocol::Tcp, States::WAITING, &ports, 0).unwrap();
    assert_eq!(dump.entries.len(), 1, "{dump:?}");
    assert!(dump.entries[0].socket.v6only.is_some(), "{dump:?}");
}
