//! Addresses in the form of XNU's protocol control blocks (bsd/netinet/in_pcb.h). netstat2 passes
//! them on unchanged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address in its usual form, and the index of the interface of a link-local one.
///
/// An IPv6 socket keeps an IPv4 address in the last four bytes, after zeros (`in_addr_4in6`). A
/// link-local address has the index in its second group (`in6_embedscope`).
pub fn plain(address: SocketAddr) -> (SocketAddr, Option<u16>) {
    let IpAddr::V6(ipv6) = address.ip() else { return (address, None) };
    let at = |ip: Ipv6Addr| SocketAddr::new(ip.into(), address.port());
    if ipv6.is_unicast_link_local() {
        let mut segments = ipv6.segments();
        let index = std::mem::take(&mut segments[1]);
        return (at(segments.into()), (index != 0).then_some(index));
    }
    match u32::try_from(u128::from(ipv6)) {
        Ok(ipv4) if !ipv6.is_unspecified() && !ipv6.is_loopback() => (at(Ipv4Addr::from(ipv4).to_ipv6_mapped()), None),
        _ => (address, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_keeps_is_written_as_usual() {
        for (kept, expected, index) in [
            ("[::7f00:1]:8080", "[::ffff:127.0.0.1]:8080", None),
            ("[fe80:4::1]:8080", "[fe80::1]:8080", Some(4)),
            ("[fe80::1]:8080", "[fe80::1]:8080", None),
            ("[::]:80", "[::]:80", None),
            ("[::1]:80", "[::1]:80", None),
            ("[2001:db8::1]:80", "[2001:db8::1]:80", None),
            ("0.0.0.0:80", "0.0.0.0:80", None),
        ] {
            assert_eq!(plain(kept.parse().unwrap()), (expected.parse().unwrap(), index), "{kept}");
        }
    }
}
