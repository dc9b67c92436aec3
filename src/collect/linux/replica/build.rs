//! Puts up the machine's interfaces, addresses and routes again, in the network namespace of this
//! thread.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::super::netlink::{Failure, Netlink, attribute, find_attribute, next_attribute, u32_at};
use super::network::{
    FAMILIES, IFA_ADDRESS, IFA_LOCAL, IFADDRMSG, IFINFOMSG, LOCAL, Link, Network, RTA_OIF, RTA_TABLE, RTM_GETROUTE,
    RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWRULE, RTMSG, address_of,
};
use super::settings;
use super::tun::Tun;

const RTM_NEWLINK: u16 = 16;
const IFLA_MTU: u16 = 4;
const IFF_UP: u32 = 1;
/// `IFA_F_NODAD`: the address can be used at once.
const NODAD: u8 = 2;
/// `RTNH_F_ONLINK`, the only flag of a route that is not a state.
const ONLINK: u32 = 4;
/// `RTN_LOCAL`: packets to it are for this machine.
const LOCAL_ROUTE: u8 = 2;
/// How long addresses may take until they can be used.
const PATIENCE: Duration = Duration::from_secs(1);
const RTA_DST: u16 = 1;
const RTA_CACHEINFO: u16 = 12;

/// The network of the replica.
#[derive(Debug)]
pub struct Replica {
    /// Every interface but loopback, with its number.
    pub tuns: Vec<(u32, Tun)>,
    route: Netlink,
    /// What could not be put up.
    pub doubts: Vec<String>,
}

impl Replica {
    /// Builds it. Interfaces that neither addresses nor routes name, nor `is_named`, are left out.
    pub fn build(network: &Network, is_named: impl Fn(&str) -> bool) -> Result<Self, String> {
        let route = Netlink::open(None).map_err(|error| error.to_string())?;
        let mut replica = Self { tuns: Vec::new(), route, doubts: Vec::new() };
        let is_wanted = |link: &&Link| link.is_loopback || network.is_used(link) || is_named(&link.name);
        let links: Vec<&Link> = network.links.iter().filter(is_wanted).collect();
        for link in links.iter().filter(|link| !link.is_loopback) {
            let tun = Tun::make(&link.name, link.index).map_err(|error| format!("no interface for trials: {error}"))?;
            replica.tuns.push((link.index, tun));
        }
        // Before the interfaces are up: IPv6 may be off on some of them.
        let is_there = |path: &str| {
            let interface = path.split("/conf/").nth(1).and_then(|rest| rest.split('/').next());
            interface
                .is_none_or(|name| ["all", "default"].contains(&name) || links.iter().any(|link| link.name == name))
        };
        let wanted = network.settings.iter().filter(|setting| is_there(&setting.path.to_string_lossy()));
        replica.doubts.extend(settings::apply(wanted).into_iter().map(|path| format!("the setting {path}")));
        settings::lift_limits();
        for link in links {
            replica.set_up(link).map_err(|failure| format!("{} cannot be set up: {failure}", link.name))?;
        }
        replica.add_addresses(network);
        replica.add_routes(network);
        replica.add_rules(network);
        replica.await_addresses(network);
        Ok(replica)
    }

    fn set_up(&mut self, link: &Link) -> Result<(), Failure> {
        let mut payload = vec![0; IFINFOMSG];
        payload[4..8].copy_from_slice(&link.index.to_ne_bytes());
        let flags = if link.is_up { IFF_UP } else { 0 };
        payload[8..12].copy_from_slice(&flags.to_ne_bytes());
        payload[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
        if !link.is_loopback {
            payload.extend(attribute(IFLA_MTU, &link.mtu.clamp(1280, 65535).to_ne_bytes()));
        }
        self.route.command(RTM_NEWLINK, &payload)
    }

    fn add_addresses(&mut self, network: &Network) {
        for payload in &network.addresses {
            let Some((header, attributes)) = payload.split_at_checked(IFADDRMSG) else { continue };
            let mut kept = header.to_vec();
            kept[2] = NODAD;
            for kind in [IFA_ADDRESS, IFA_LOCAL] {
                if let Ok(Some(value)) = find_attribute(attributes, kind) {
                    kept.extend(attribute(kind, value));
                }
            }
            if !self.is_made(u32_at(header, 4).unwrap_or(1)) {
                continue;
            }
            if !is_done(&self.route.create(RTM_NEWADDR, &kept)) {
                self.doubts.push("an address of this machine".to_owned());
            }
        }
    }

    /// The kernel takes packets for an address of IPv6 a little after it was added, when its
    /// `addrconf_dad_work` has run.
    fn await_addresses(&mut self, network: &Network) {
        let is_up = |index: u32| network.links.iter().any(|link| link.index == index && link.is_up);
        let wanted = network.addresses.iter().filter_map(|payload| address_of(payload));
        let wanted = wanted.filter(|(.., index)| is_up(*index) && self.is_made(*index));
        // A link-local one has a route only together with its interface.
        let is_global = |address: &IpAddr| matches!(address, IpAddr::V6(address) if !address.is_unicast_link_local());
        let mut wanted: Vec<IpAddr> = wanted.map(|(address, ..)| address).filter(is_global).collect();
        let end = Instant::now() + PATIENCE;
        loop {
            wanted.retain(|&address| self.route_to(address).is_none_or(|(kind, _)| kind != LOCAL_ROUTE));
            if wanted.is_empty() || Instant::now() >= end {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.doubts.extend(wanted.iter().map(|address| format!("the address {address}")));
    }

    fn is_made(&self, index: u32) -> bool {
        index == 1 || self.tuns.iter().any(|(made, _)| *made == index)
    }

    /// A route may need another one first, so those that fail are tried again.
    fn add_routes(&mut self, network: &Network) {
        let mut left: Vec<Vec<u8>> = network.routes.iter().filter_map(|payload| plain_route(payload)).collect();
        loop {
            let before = left.len();
            left.retain(|route| !is_done(&self.route.create(RTM_NEWROUTE, route)));
            if left.is_empty() {
                return;
            }
            if left.len() == before {
                self.doubts.push(format!("{before} routes"));
                return;
            }
        }
    }

    fn add_rules(&mut self, network: &Network) {
        let failed = |route: &mut Netlink, rule: &Vec<u8>| !is_done(&route.create(RTM_NEWRULE, rule));
        let failed = network.rules.iter().filter(|rule| failed(&mut self.route, rule)).count();
        if failed > 0 {
            self.doubts.push(format!("{failed} rules of policy routing"));
        }
    }

    /// The interface that leads to `address`, if a route does.
    pub fn interface_to(&mut self, address: IpAddr) -> Option<u32> {
        let (_, interface) = self.route_to(address)?;
        interface.filter(|&index| index != 1)
    }

    /// The type of the route to `address`, and its interface.
    fn route_to(&mut self, address: IpAddr) -> Option<(u8, Option<u32>)> {
        let (family, octets) = match address {
            IpAddr::V4(address) => (FAMILIES[0], address.octets().to_vec()),
            IpAddr::V6(address) => (FAMILIES[1], address.octets().to_vec()),
        };
        let bits = u8::try_from(octets.len() * 8).ok()?;
        let mut payload = vec![0; RTMSG];
        payload[..2].copy_from_slice(&[family, bits]);
        payload.extend(attribute(RTA_DST, &octets));
        let mut route = None;
        let learn = |_, payload: &[u8]| {
            let Some((header, attributes)) = payload.split_at_checked(RTMSG) else { return Ok(()) };
            let interface = find_attribute(attributes, RTA_OIF)?.and_then(|value| u32_at(value, 0).ok());
            route = Some((header[7], interface));
            Ok(())
        };
        self.route.ask(RTM_GETROUTE, &payload, learn).ok()?;
        route
    }
}

/// What is there already, needs an interface that is down, or cannot be (IPv6 is off) is as it is on
/// the machine.
fn is_done(result: &Result<(), Failure>) -> bool {
    match result {
        Ok(()) => true,
        Err(Failure::Refused(error)) => error.raw_os_error() == Some(libc::EEXIST),
        Err(_) => false,
    }
}

/// A route without its state. `None` for those that come with addresses, and for copies that the
/// kernel keeps for itself.
fn plain_route(payload: &[u8]) -> Option<Vec<u8>> {
    const CLONED: u32 = 0x200;
    let (header, mut attributes) = payload.split_at_checked(RTMSG)?;
    let flags = u32_at(header, 8).ok()?;
    let named = find_attribute(attributes, RTA_TABLE).ok()?;
    let table = named.map_or(Ok(u32::from(header[4])), |value| u32_at(value, 0)).ok()?;
    if table == LOCAL || flags & CLONED != 0 {
        return None;
    }
    let mut route = header.to_vec();
    route[8..12].copy_from_slice(&(flags & ONLINK).to_ne_bytes());
    while let Ok(Some((kind, value))) = next_attribute(&mut attributes) {
        if kind != RTA_CACHEINFO {
            route.extend(attribute(kind, value));
        }
    }
    Some(route)
}
