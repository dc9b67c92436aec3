//! Doors for the fuzzers and the micro-benchmarks to private code. Built only with `--cfg fuzzing`, which cargo-fuzz sets.

use super::netlink;
use super::sock_diag::Table;
use super::{cgroup, elsewhere, generic, links, owners, proc_net, sock_diag, socket_units, stat, unix_sockets};
use crate::model::{Family, Protocol};

const TABLES: [Table; 4] = [
    Table { protocol: Protocol::Tcp, family: Family::Ipv4 },
    Table { protocol: Protocol::Tcp, family: Family::Ipv6 },
    Table { protocol: Protocol::Udp, family: Family::Ipv4 },
    Table { protocol: Protocol::Udp, family: Family::Ipv6 },
];

/// A datagram as an answer to every question that is asked over netlink.
pub fn netlink_reply(datagram: &[u8]) {
    let _ = netlink::read(datagram, 1, &mut false, |_, payload| {
        for table in TABLES {
            let _ = sock_diag::parse_entry(payload, table);
        }
        let _ = links::parse(payload);
        let _ = unix_sockets::parse(payload);
        let _ = generic::parse_endpoint(payload);
        let _ = generic::parse_wireguard_port(payload);
        Ok(())
    });
}

/// A text as every file of /proc that is read line by line.
pub fn proc_file(text: &str) {
    for line in text.lines() {
        for table in TABLES {
            let _ = proc_net::parse_line(line, table);
        }
        let _ = unix_sockets::parse_line(line.as_bytes());
    }
    let _ = stat::Stat::parse(text.as_bytes());
    cgroup::parse_process_cgroups(text);
    cgroup::mount_of_cgroup2(text);
    socket_units::parse(text, &mut Vec::new());
}

/// A datagram of sock_diag, as the collector reads it. How many rows it had.
pub fn sock_diag_reply(datagram: &[u8]) -> usize {
    let mut rows = 0;
    let _ = netlink::read(datagram, 1, &mut false, |_, payload| {
        rows += usize::from(sock_diag::parse_entry(payload, TABLES[0])?.is_some());
        Ok(())
    });
    rows
}

/// Lines of /proc/net/tcp. How many could be read.
pub fn proc_net_lines(text: &str) -> usize {
    text.lines().filter_map(|line| proc_net::parse_line(line, TABLES[0])).count()
}

/// The inode in the link of a descriptor.
pub fn socket_link(link: &[u8]) -> Option<u64> {
    owners::parse_socket_link(link)
}

/// A sweep for these inodes. How many processes have one.
pub fn sweep(wanted: &[u64]) -> usize {
    owners::sweep(std::path::Path::new(super::PROC), wanted).map_or(0, |sweep| sweep.found.len())
}

/// A text as the fdinfo of a descriptor.
pub fn fdinfo(text: &str) {
    let _ = elsewhere::parse_fdinfo(text, &mut |_| {});
}
