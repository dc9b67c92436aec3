//! The host: the kernel's release, limits from /proc/sys, and namespaces.

use std::fs;
use std::path::Path;

use crate::model::{Backend, Host};
use crate::port_set::PortSet;

/// Reads the facts of the host. What cannot be read is unknown.
pub fn host(proc: &Path) -> Host {
    Host {
        os: std::env::consts::OS,
        release: release(),
        backend: Backend::Native,
        euid: Some(rustix::process::geteuid().as_raw()),
        ephemeral_range: ephemeral_range(proc),
        reserved_ports: reserved_ports(proc),
        unprivileged_start: unprivileged_start(proc),
    }
}

/// The release of the running kernel.
pub fn release() -> Option<String> {
    rustix::system::uname().release().to_str().ok().map(str::to_owned)
}

/// `net.ipv4.ip_local_port_range` (ip(7)), which applies to IPv6, too.
fn ephemeral_range(proc: &Path) -> Option<(u16, u16)> {
    let text = fs::read_to_string(proc.join("sys/net/ipv4/ip_local_port_range")).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// `net.ipv4.ip_local_reserved_ports`: a list of ports and ranges, `8080,9000-9010`.
fn reserved_ports(proc: &Path) -> PortSet {
    let text = fs::read_to_string(proc.join("sys/net/ipv4/ip_local_reserved_ports")).unwrap_or_default();
    let range = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.trim().split(',').filter_map(range).collect()
}

/// `net.ipv4.ip_unprivileged_port_start` (ip(7)), which applies to IPv6, too.
fn unprivileged_start(proc: &Path) -> Option<u16> {
    fs::read_to_string(proc.join("sys/net/ipv4/ip_unprivileged_port_start")).ok()?.trim().parse().ok()
}

/// Whether this process is in the initial pid namespace, from which every process can be seen.
///
/// The number of that namespace is fixed: `PROC_PID_INIT_INO`, include/linux/proc_ns.h.
pub fn sees_every_pid_namespace(proc: &Path) -> bool {
    fs::read_link(proc.join("self/ns/pid")).is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

/// Whether the kernel is new enough to list sockets that are bound without listening: Linux 6.8
/// (net/ipv4/inet_diag.c).
pub fn is_at_least_6_8(release: &str) -> bool {
    is_at_least(release, (6, 8))
}

/// Whether the release of a kernel is this one, or a later one.
pub fn is_at_least(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= version,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        assert!(is_at_least_6_8("6.8.0-31-generic") && is_at_least_6_8("6.18.44") && is_at_least_6_8("7.0-rc1"));
        assert!(
            !is_at_least_6_8("6.7.12")
                && !is_at_least_6_8("5.15.0")
                && !is_at_least_6_8("4.4.0")
                && !is_at_least_6_8("x")
        );
    }

    #[test]
    fn reserved_ports_are_a_list_of_ranges() {
        let root = tempfile::tempdir().unwrap();
        assert!(reserved_ports(root.path()).is_empty());
        let directory = root.path().join("sys/net/ipv4");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("ip_local_reserved_ports"), "8080,9000-9010\n").unwrap();
        assert_eq!(reserved_ports(root.path()).ranges(), [(8080, 8080), (9000, 9010)]);
        fs::write(directory.join("ip_local_reserved_ports"), "\n").unwrap();
        assert!(reserved_ports(root.path()).is_empty());
    }

    #[test]
    fn an_unreadable_range_is_unknown() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ephemeral_range(root.path()), None);
        let directory = root.path().join("sys/net/ipv4");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("ip_local_port_range"), "32768\t60999\n").unwrap();
        assert_eq!(ephemeral_range(root.path()), Some((32768, 60999)));
    }
}
