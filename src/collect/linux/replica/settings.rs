//! The settings of the kernel that decide where packets go: `net.*` of sysctl(8), which each
//! network namespace has for itself.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::network::Link;

/// A setting and its value.
#[derive(Debug, Clone)]
pub struct Setting {
    pub path: PathBuf,
    pub value: String,
}

/// Those of the machine. Forwarding comes first, as it changes others.
const GENERAL: [&str; 6] = [
    "ipv4/ip_forward",
    "ipv6/conf/all/forwarding",
    "ipv4/ip_nonlocal_bind",
    "ipv6/ip_nonlocal_bind",
    "ipv4/tcp_l3mdev_accept",
    "netfilter/nf_conntrack_tcp_loose",
];

/// Those of each interface.
const IPV4: [&str; 5] = ["forwarding", "rp_filter", "route_localnet", "accept_local", "src_valid_mark"];
const IPV6: [&str; 2] = ["disable_ipv6", "forwarding"];

/// Reads them.
pub fn read(links: &[Link]) -> Vec<Setting> {
    let interfaces = || ["all", "default"].into_iter().chain(links.iter().map(|link| &*link.name));
    let of_each = |family: &'static str, names: &'static [&'static str]| {
        interfaces()
            .flat_map(move |interface| names.iter().map(move |name| format!("{family}/conf/{interface}/{name}")))
            .collect::<Vec<_>>()
    };
    let paths = GENERAL.map(str::to_owned).into_iter().chain(of_each("ipv4", &IPV4)).chain(of_each("ipv6", &IPV6));
    let setting = |path: String| {
        let path = PathBuf::from("/proc/sys/net").join(path);
        fs::read_to_string(&path).ok().map(|value| Setting { path, value })
    };
    paths.filter_map(setting).collect()
}

/// How often the kernel sends errors of ICMP. In the replica nobody waits for the next one.
const UNLIMITED: [(&str, &str); 4] = [
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_msgs_per_sec", "1000000"),
    ("ipv4/icmp_msgs_burst", "1000000"),
    ("ipv6/icmp/ratelimit", "0"),
];

/// Lets the kernel answer each packet. Those that are missing here belong to the whole machine.
pub fn lift_limits() {
    for (path, value) in UNLIMITED {
        let _ = fs::OpenOptions::new()
            .write(true)
            .open(PathBuf::from("/proc/sys/net").join(path))
            .and_then(|mut file| file.write_all(value.as_bytes()));
    }
}

/// Sets what is different in this thread's network namespace. The names of those that it could not
/// set.
pub fn apply<'a>(settings: impl Iterator<Item = &'a Setting>) -> Vec<String> {
    let mut failed = Vec::new();
    for Setting { path, value } in settings {
        let Ok(now) = fs::read_to_string(path) else { continue };
        if now != *value && fs::write(path, value).is_err() {
            failed.push(path.display().to_string());
        }
    }
    failed
}
