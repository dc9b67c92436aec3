//! The machine's network as rtnetlink(7) tells it: interfaces, addresses, routes, and what cannot be
//! put up again elsewhere.
//!
//! Addresses, routes and rules are kept as the kernel sent them, so that they can be sent back to
//! it in another network namespace.

use std::net::IpAddr;

use super::super::netlink::{Failure, Netlink, find_attribute, text, u32_at};
use super::settings::{self, Setting};
use crate::model::Place;

// linux/rtnetlink.h
const RTM_GETLINK: u16 = 18;
pub const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
pub const RTM_NEWROUTE: u16 = 24;
pub const RTM_GETROUTE: u16 = 26;
pub const RTM_NEWRULE: u16 = 32;
const RTM_GETRULE: u16 = 34;
const RTM_GETQDISC: u16 = 38;
const XFRM_MSG_GETPOLICY: u16 = 0x15;

/// Sizes of `struct ifinfomsg`, `ifaddrmsg`, `rtmsg`, `fib_rule_hdr`, `tcmsg`.
pub const IFINFOMSG: usize = 16;
pub const IFADDRMSG: usize = 8;
pub const RTMSG: usize = 12;
const TCMSG: usize = 20;

// linux/if_link.h, linux/if_addr.h
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
pub const IFA_ADDRESS: u16 = 1;
pub const IFA_LOCAL: u16 = 2;
const TCA_KIND: u16 = 1;
pub const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
pub const RTA_TABLE: u16 = 15;

/// `RT_TABLE_MAIN`, `RT_TABLE_LOCAL`, `RTN_UNICAST`.
const MAIN: u32 = 254;
pub const LOCAL: u32 = 255;
const UNICAST: u8 = 1;

/// `AF_INET`, `AF_INET6`.
pub const FAMILIES: [u8; 2] = [2, 10];

/// An interface.
#[derive(Debug, Clone)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub is_up: bool,
    pub is_loopback: bool,
    pub mtu: u32,
}

/// All that decides where packets go, but the firewall.
#[derive(Debug, Default)]
pub struct Network {
    pub links: Vec<Link>,
    pub addresses: Vec<Vec<u8>>,
    pub routes: Vec<Vec<u8>>,
    pub rules: Vec<Vec<u8>>,
    pub settings: Vec<Setting>,
    /// What cannot be put up again.
    pub doubts: Vec<String>,
}

impl Network {
    /// Reads the network of this thread's namespace. Readable by anyone.
    pub fn read() -> Result<Self, Failure> {
        let mut route = Netlink::open(None).map_err(Failure::Refused)?;
        let mut network = Self::default();
        route.dump(RTM_GETLINK, &[0; IFINFOMSG], |_, payload| network.learn_link(payload))?;
        for family in FAMILIES {
            let header = |length: usize| [&[family][..], &vec![0; length - 1]].concat();
            keep(&mut route, RTM_GETADDR, &header(IFADDRMSG), &mut network.addresses)?;
            keep(&mut route, RTM_GETROUTE, &header(RTMSG), &mut network.routes)?;
            keep(&mut route, RTM_GETRULE, &header(RTMSG), &mut network.rules)?;
        }
        let mut filters = Vec::new();
        route.dump(RTM_GETQDISC, &[0; TCMSG], |_, payload| {
            let kind = find_attribute(payload.get(TCMSG..).unwrap_or_default(), TCA_KIND)?.map(text);
            if matches!(kind.as_deref(), Some("ingress" | "clsact")) {
                filters.push(u32_at(payload, 4)?);
            }
            Ok(())
        })?;
        for index in filters {
            network.doubts.push(format!("traffic control (tc) on {}", network.name_of(index)));
        }
        if has_policies() {
            network.doubts.push("policies of IPsec".to_owned());
        }
        network.settings = settings::read(&network.links);
        Ok(network)
    }

    fn learn_link(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let attributes = payload.get(IFINFOMSG..).unwrap_or_default();
        let (index, flags) = (u32_at(payload, 4)?, u32_at(payload, 8)?);
        let name = find_attribute(attributes, IFLA_IFNAME)?.map(text).unwrap_or_default();
        let mtu = find_attribute(attributes, IFLA_MTU)?.map_or(Ok(1500), |mtu| u32_at(mtu, 0))?;
        let info = find_attribute(attributes, IFLA_LINKINFO)?.unwrap_or_default();
        if find_attribute(info, IFLA_INFO_KIND)?.map(text).as_deref() == Some("vrf") {
            self.doubts.push(format!("the routing domain (VRF) {name}"));
        }
        let xdp = find_attribute(attributes, IFLA_XDP)?.unwrap_or_default();
        if find_attribute(xdp, IFLA_XDP_ATTACHED)?.is_some_and(|attached| attached != [0]) {
            self.doubts.push(format!("a program (XDP) on {name}"));
        }
        let (is_up, is_loopback) = (flags & IFF_UP != 0, flags & IFF_LOOPBACK != 0);
        self.links.push(Link { index, name, is_up, is_loopback, mtu });
        Ok(())
    }

    /// The name of an interface.
    pub fn name_of(&self, index: u32) -> &str {
        self.links.iter().find(|link| link.index == index).map_or("?", |link| &link.name)
    }

    /// The addresses of interfaces that are up, other than loopback.
    pub fn places(&self) -> Vec<Place> {
        let defaults = [self.default_interface(2), self.default_interface(10)];
        let place = |payload: &Vec<u8>| {
            let (address, prefix, index) = address_of(payload)?;
            let link = self.links.iter().find(|link| link.index == index)?;
            let is_default = defaults[usize::from(address.is_ipv6())] == Some(index);
            let place = Place { interface: link.name.clone(), index, address, prefix, is_default };
            (link.is_up && !link.is_loopback).then_some(place)
        };
        self.addresses.iter().filter_map(place).collect()
    }

    /// The interface that the default route with the smallest metric leads through.
    fn default_interface(&self, family: u8) -> Option<u32> {
        let candidate = |payload: &Vec<u8>| {
            let header = payload.get(..RTMSG)?;
            let attributes = &payload[RTMSG..];
            let number = |kind: u16| find_attribute(attributes, kind).ok()?.and_then(|value| u32_at(value, 0).ok());
            let is_default = header[0] == family && header[1] == 0 && header[7] == UNICAST;
            let table = number(RTA_TABLE).unwrap_or_else(|| header[4].into());
            // `struct rtnexthop` has the interface behind four other bytes.
            let first = || u32_at(find_attribute(attributes, RTA_MULTIPATH).ok()??, 4).ok();
            let interface = number(RTA_OIF).or_else(first)?;
            (is_default && table == MAIN).then(|| (number(RTA_PRIORITY).unwrap_or(0), interface))
        };
        self.routes.iter().filter_map(candidate).min().map(|(_, interface)| interface)
    }

    /// The interfaces that addresses or routes name.
    pub fn is_used(&self, link: &Link) -> bool {
        let by_address = self.addresses.iter().any(|payload| u32_at(payload, 4).ok() == Some(link.index));
        let by_route = |payload: &Vec<u8>| {
            let attributes = payload.get(RTMSG..).unwrap_or_default();
            let interface = find_attribute(attributes, RTA_OIF).ok().flatten().and_then(|value| u32_at(value, 0).ok());
            interface == Some(link.index) || find_attribute(attributes, RTA_MULTIPATH).ok().flatten().is_some()
        };
        by_address || self.routes.iter().any(by_route)
    }
}

/// Address, prefix and interface.
pub fn address_of(payload: &[u8]) -> Option<(IpAddr, u8, u32)> {
    let (header, attributes) = payload.split_at_checked(IFADDRMSG)?;
    let local = find_attribute(attributes, IFA_LOCAL).ok()?;
    let value = match local {
        Some(value) => value,
        None => find_attribute(attributes, IFA_ADDRESS).ok()??,
    };
    Some((ip(value)?, header[1], u32_at(header, 4).ok()?))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(*value.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*value.first_chunk::<16>()?)),
        _ => None,
    }
}

fn keep(route: &mut Netlink, kind: u16, header: &[u8], kept: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
    route.dump(kind, header, |_, payload| {
        kept.push(payload.to_vec());
        Ok(())
    })?;
    Ok(())
}

/// Whether IPsec decides about packets. Where it cannot be asked, there is none.
fn has_policies() -> bool {
    let Ok(mut xfrm) = Netlink::open(Some(rustix::net::netlink::XFRM)) else { return false };
    let mut found = false;
    let _ = xfrm.dump(XFRM_MSG_GETPOLICY, &[], |_, _| {
        found = true;
        Ok(())
    });
    found
}
