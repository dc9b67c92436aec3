//! What decides about a bind besides sockets: our sandbox, and the state of this machine's
//! addresses.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use super::bpf;
use super::cgroup::{self, Hierarchy};
use crate::model::{InterfaceAddress, Sandbox};

/// What may keep us from binding.
pub fn sandbox(proc: &Path) -> Sandbox {
    let status = fs::read_to_string(proc.join("self/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Sandbox {
        no_new_privileges: field("NoNewPrivs:").map(|value| value == "1"),
        // SECCOMP_MODE_FILTER. In mode 1 this program could not have started.
        is_filtered: field("Seccomp:").map(|value| value == "2"),
        bind_programs: bind_programs(proc),
        selinux_enforces: fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|value| value.trim() == "1"),
    }
}

fn bind_programs(proc: &Path) -> Option<u32> {
    let hierarchy = Hierarchy::find(proc)?;
    // Version 2 comes first.
    let own = cgroup::of_process(proc, std::process::id());
    let directory = fs::File::open(hierarchy.directory(own.first()?)).ok()?;
    bpf::count_bind_programs(directory).ok()
}

/// Marks the addresses that cannot be used yet.
///
/// `/proc/net/if_inet6` has address, index, prefix length, scope, flags and interface. All but the
/// last are hexadecimal (`if6_seq_show`, net/ipv6/addrconf.c).
pub fn mark_tentative(proc: &Path, addresses: &mut [InterfaceAddress]) {
    const IFA_F_DADFAILED: u8 = 0x08;
    const IFA_F_TENTATIVE: u8 = 0x40;
    let table = fs::read_to_string(proc.join("net/if_inet6")).unwrap_or_default();
    for line in table.lines() {
        let mut columns = line.split_ascii_whitespace();
        let address = columns.next().and_then(|digits| u128::from_str_radix(digits, 16).ok()).map(Ipv6Addr::from);
        let flags = columns.nth(3).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or_default();
        let interface = columns.next();
        if flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) == 0 {
            continue;
        }
        for known in addresses.iter_mut() {
            known.is_tentative |=
                address.map(IpAddr::V6) == Some(known.address) && interface == Some(known.interface.as_str());
        }
    }
}

/// The setting that turns IPv6 off, if one does.
pub fn ipv6_disabled_by(proc: &Path) -> Option<&'static str> {
    let is_set = |name: &str| fs::read_to_string(proc.join("sys").join(name)).is_ok_and(|text| text.trim() == "1");
    if is_set("net/ipv6/conf/all/disable_ipv6") {
        Some("net.ipv6.conf.all.disable_ipv6")
    } else if is_set("net/ipv6/conf/lo/disable_ipv6") {
        Some("net.ipv6.conf.lo.disable_ipv6")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tentative_addresses_are_marked() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("net")).unwrap();
        let line = |address: &str, flags: &str, interface: &str| format!("{address} 02 40 20 {flags} {interface}\n");
        let table = [
            line("fe800000000000000000000000000001", "c0", "eth0"),
            line("fe800000000000000000000000000001", "80", "eth1"),
            "malformed\n".to_owned(),
        ];
        fs::write(root.path().join("net/if_inet6"), table.concat()).unwrap();
        let on = |interface: &str| InterfaceAddress {
            address: "fe80::1".parse().unwrap(),
            interface: interface.to_owned(),
            is_tentative: false,
        };
        let mut addresses = [on("eth0"), on("eth1")];
        mark_tentative(root.path(), &mut addresses);
        assert_eq!(addresses.map(|address| address.is_tentative), [true, false]);
    }

    #[test]
    fn our_own_status_can_be_read() {
        let sandbox = sandbox(Path::new("/proc"));
        assert!(sandbox.no_new_privileges.is_some() && sandbox.is_filtered.is_some(), "{sandbox:?}");
    }
}
