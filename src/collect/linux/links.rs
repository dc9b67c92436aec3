//! Network devices that receive on a port of their own, by rtnetlink (rtnetlink(7)): vxlan, geneve,
//! bareudp. wireguard devices are listed, too, but rtnetlink does not report their port.

use rustix::net::Protocol;

use crate::model::Family;

use super::netlink::{Failure, Netlink, find_attribute, malformed, text};

/// A device of a kind that may have a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `vxlan`.
    pub kind: String,
    /// `vxlan0`.
    pub name: String,
    /// The UDP port that it receives on, if rtnetlink reports it.
    pub port: Option<u16>,
    /// The family of its only socket. `None` if it has one of each, or one for both.
    pub family: Option<Family>,
}

/// `NETLINK_ROUTE` is protocol 0. rustix expresses that as none.
const ROUTE: Option<Protocol> = None;

// linux/rtnetlink.h, linux/if_link.h
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// The size of `struct ifinfomsg`, and the offset of its flags.
const IFINFOMSG: usize = 16;
const IFI_FLAGS: usize = 8;
const IFF_UP: u32 = 1;

/// The attribute with the port (network byte order) of each kind: `IFLA_VXLAN_PORT`,
/// `IFLA_GENEVE_PORT`, `IFLA_BAREUDP_PORT`.
const PORT_ATTRIBUTES: [(&str, u16); 3] = [("vxlan", 15), ("geneve", 5), ("bareudp", 1)];
/// Attributes that only a tunnel over IPv6 has: `IFLA_VXLAN_GROUP6`, `IFLA_VXLAN_LOCAL6`,
/// `IFLA_GENEVE_REMOTE6`.
const IPV6_ATTRIBUTES: [(&str, u16); 3] = [("vxlan", 16), ("vxlan", 17), ("geneve", 7)];
/// The attribute of a tunnel over both: `IFLA_VXLAN_COLLECT_METADATA` (a byte),
/// `IFLA_GENEVE_COLLECT_METADATA` (a flag).
const BOTH_ATTRIBUTES: [(&str, u16); 2] = [("vxlan", 25), ("geneve", 6)];

/// The devices of this network namespace that may have a port. Readable by anyone.
pub fn list() -> Result<Vec<Link>, Failure> {
    let mut links = Vec::new();
    let mut route = Netlink::open(ROUTE).map_err(Failure::Refused)?;
    route.dump(RTM_GETLINK, &[0; IFINFOMSG], |kind, payload| {
        if kind == RTM_NEWLINK {
            links.extend(parse(payload)?);
        }
        Ok(())
    })?;
    Ok(links)
}

/// `None` for a device without a port. A device that is down has none either: it opens its sockets
/// when it is set up.
pub fn parse(payload: &[u8]) -> Result<Option<Link>, Failure> {
    let (header, attributes) =
        payload.split_at_checked(IFINFOMSG).ok_or_else(|| malformed("a link that is too short"))?;
    let flags = header[IFI_FLAGS..].first_chunk().map_or(0, |flags| u32::from_ne_bytes(*flags));
    if flags & IFF_UP == 0 {
        return Ok(None);
    }
    let Some(info) = find_attribute(attributes, IFLA_LINKINFO)? else { return Ok(None) };
    let Some(kind) = find_attribute(info, IFLA_INFO_KIND)?.map(text) else { return Ok(None) };
    let name = find_attribute(attributes, IFLA_IFNAME)?.map(text).unwrap_or_default();
    if kind == "wireguard" {
        return Ok(Some(Link { kind, name, port: None, family: None }));
    }
    let Some(&(_, attribute)) = PORT_ATTRIBUTES.iter().find(|&&(known, _)| known == kind) else { return Ok(None) };
    let data = find_attribute(info, IFLA_INFO_DATA)?.unwrap_or_default();
    let port = find_attribute(data, attribute)?.and_then(|value| value.first_chunk()).copied().map(u16::from_be_bytes);
    let family = family(&kind, data)?;
    Ok(Some(Link { kind, name, port, family }))
}

/// See [`Link::family`] (`vxlan_sock_add`, drivers/net/vxlan/vxlan_core.c; `geneve_open`,
/// drivers/net/geneve.c).
fn family(kind: &str, data: &[u8]) -> Result<Option<Family>, Failure> {
    let mut has = [false; 2];
    for (found, known) in has.iter_mut().zip([&BOTH_ATTRIBUTES[..], &IPV6_ATTRIBUTES]) {
        for &(_, attribute) in known.iter().filter(|(known, _)| *known == kind) {
            *found |= find_attribute(data, attribute)?.is_some_and(|value| value != [0]);
        }
    }
    Ok(match (kind, has) {
        ("vxlan" | "geneve", [false, true]) => Some(Family::Ipv6),
        ("vxlan" | "geneve", [false, false]) => Some(Family::Ipv4),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attribute;
    use super::*;

    fn link(name: &str, kind: &str, data: &[u8]) -> Option<Link> {
        let info =
            [attribute(IFLA_INFO_KIND, format!("{kind}\0").as_bytes()), attribute(IFLA_INFO_DATA | 0x8000, data)]
                .concat();
        let mut message = vec![0; IFI_FLAGS];
        message.extend(IFF_UP.to_ne_bytes());
        message.resize(IFINFOMSG, 0);
        message.extend(attribute(IFLA_IFNAME, format!("{name}\0").as_bytes()));
        message.extend(attribute(IFLA_LINKINFO | 0x8000, &info));
        let down = [&[0; IFINFOMSG], &message[IFINFOMSG..]].concat();
        assert_eq!(parse(&down).unwrap(), None, "a device that is down receives on no port");
        parse(&message).unwrap()
    }

    #[test]
    fn each_kind_has_its_port_in_an_attribute_of_its_own() {
        let port = |kind: &str, number: u16| link("t0", kind, &attribute(number, &4789u16.to_be_bytes())).unwrap().port;
        assert_eq!((port("vxlan", 15), port("geneve", 5), port("bareudp", 1)), (Some(4789), Some(4789), Some(4789)));
        assert_eq!(port("vxlan", 5), None);
        assert_eq!(link("wg0", "wireguard", &[]).unwrap().name, "wg0");
        assert_eq!(link("br0", "bridge", &[]), None);
    }

    #[test]
    fn a_tunnel_has_a_socket_of_one_family_or_of_both() {
        let family = |kind: &str, data: &[u8]| link("t0", kind, data).unwrap().family;
        let (metadata, remote) = (attribute(25, &[1]), attribute(16, &[0xfd; 16]));
        assert_eq!(family("vxlan", &attribute(25, &[0])), Some(Family::Ipv4));
        assert_eq!(family("vxlan", &[attribute(25, &[0]), remote.clone()].concat()), Some(Family::Ipv6));
        assert_eq!(family("vxlan", &[metadata, remote].concat()), None);
        assert_eq!(family("geneve", &attribute(5, &[0x12, 0xb5])), Some(Family::Ipv4));
        assert_eq!(family("geneve", &attribute(6, &[])), None);
        assert_eq!(family("geneve", &attribute(7, &[0xfd; 16])), Some(Family::Ipv6));
        assert_eq!(family("bareudp", &[]), None);
    }

    #[test]
    fn a_link_that_is_cut_short_is_an_error() {
        assert!(parse(&[0; IFINFOMSG - 1]).is_err());
        let mut message = vec![0xFF; IFINFOMSG];
        message.extend([200, 0, 3, 0]);
        assert!(parse(&message).is_err());
    }

    #[test]
    fn the_devices_of_this_machine_can_be_listed() {
        list().unwrap();
    }
}
