//! Access for the fuzzers and micro-benchmarks to private code. Built only with `--cfg fuzzing`,
//! which cargo-fuzz sets.

use super::netlink;
use super::proc_net::Table;
use super::{
    cgroup, elsewhere, generic, inside_kernel, links, owners, proc_net, sock_diag, socket_units, unix_sockets,
};
use crate::model::{Family, Protocol};

const TABLES: [Table; 4] = [
    Table { protocol: Protocol::Tcp, family: Family::Ipv4 },
    Table { protocol: Protocol::Tcp, family: Family::Ipv6 },
    Table { protocol: Protocol::Udp, family: Family::Ipv4 },
    Table { protocol: Protocol::Udp, family: Family::Ipv6 },
];

/// Takes a datagram as the answer to every netlink question.
pub fn netlink_reply(datagram: &[u8]) {
    let _ = netlink::read(datagram, 1, &mut false, |_, payload| {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let _ = sock_diag::parse_entry(payload, protocol);
        }
        let _ = links::parse(payload);
        let _ = unix_sockets::parse(payload);
        let _ = generic::parse_endpoint(payload);
        let _ = generic::parse_wireguard_port(payload);
        Ok(())
    });
}

/// Takes a text as each file of /proc that is read line by line.
pub fn proc_file(text: &str) {
    for line in text.lines() {
        for table in TABLES {
            let _ = proc_net::parse_line(line, table);
        }
        let _ = unix_sockets::parse_line(line.as_bytes());
    }
    let _ = crate::platform::proc::Stat::parse(text.as_bytes());
    cgroup::parse_process_cgroups(text);
    cgroup::mount_of_cgroup2(text);
    socket_units::parse(text, &mut Vec::new());
}

/// Parses a datagram of sock_diag, as the collector does. Returns the number of rows.
pub fn sock_diag_reply(datagram: &[u8]) -> usize {
    let mut rows = 0;
    let _ = netlink::read(datagram, 1, &mut false, |_, payload| {
        rows += usize::from(sock_diag::parse_entry(payload, Protocol::Tcp)?.is_some());
        Ok(())
    });
    rows
}

/// Parses lines of /proc/net/tcp. Returns how many could be read.
pub fn proc_net_lines(text: &str) -> usize {
    text.lines().filter_map(|line| proc_net::parse_line(line, TABLES[0])).count()
}

/// Parses the link of a descriptor, and returns the inode.
pub fn socket_link(link: &[u8]) -> Option<u64> {
    crate::platform::proc::parse_socket_link(link)
}

/// Sweeps for these inodes. Returns how many processes have one.
pub fn sweep(wanted: &[u64]) -> usize {
    owners::sweep(std::path::Path::new(super::PROC), wanted).map_or(0, |sweep| sweep.found.len())
}

/// Takes a text as the fdinfo of a descriptor.
pub fn fdinfo(text: &str) {
    let _ = elsewhere::parse_fdinfo(text, &mut |_| {});
}

/// Takes bytes as the types of the kernel.
pub fn btf(bytes: &[u8]) {
    let _ = inside_kernel::btf::find(bytes);
}
