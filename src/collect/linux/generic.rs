//! Generic netlink (linux/genetlink.h). Only its families report the ports of MPTCP endpoints and
//! wireguard devices. The latter need CAP_NET_ADMIN.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::netlink;

use super::netlink::{Failure, Netlink, attribute, find_attribute, malformed, next_attribute};

/// An MPTCP endpoint that listens on a port of its own (`ip mptcp endpoint`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: u8,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its port; 0 if it has none.
    pub port: u16,
}

/// `struct genlmsghdr`.
const HEADER: usize = 4;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// The endpoints of this network namespace.
pub fn mptcp_endpoints() -> Result<Vec<Endpoint>, Failure> {
    // linux/mptcp_pm.h
    const MPTCP_PM_CMD_GET_ADDR: u8 = 3;
    let mut generic = Generic::open()?;
    let mut endpoints = Vec::new();
    generic.dump("mptcp_pm", MPTCP_PM_CMD_GET_ADDR, &[], |attributes| {
        endpoints.push(parse_endpoint(attributes)?);
        Ok(())
    })?;
    Ok(endpoints)
}

pub fn parse_endpoint(attributes: &[u8]) -> Result<Endpoint, Failure> {
    const MPTCP_PM_ATTR_ADDR: u16 = 1;
    const ADDR_ATTR_ID: u16 = 2;
    const ADDR_ATTR_ADDR4: u16 = 3;
    const ADDR_ATTR_ADDR6: u16 = 4;
    const ADDR_ATTR_PORT: u16 = 5;
    let mut nested = find_attribute(attributes, MPTCP_PM_ATTR_ADDR)?.unwrap_or_default();
    let mut endpoint = Endpoint { id: 0, address: None, port: 0 };
    while let Some((kind, value)) = next_attribute(&mut nested)? {
        match kind {
            ADDR_ATTR_ID => endpoint.id = value.first().copied().unwrap_or_default(),
            ADDR_ATTR_ADDR4 => {
                endpoint.address = value.first_chunk::<4>().map(|&octets| Ipv4Addr::from(octets).into());
            }
            ADDR_ATTR_ADDR6 => {
                endpoint.address = value.first_chunk::<16>().map(|&octets| Ipv6Addr::from(octets).into());
            }
            ADDR_ATTR_PORT => {
                endpoint.port = value.first_chunk().copied().map(u16::from_ne_bytes).unwrap_or_default();
            }
            _ => {}
        }
    }
    Ok(endpoint)
}

/// The UDP port of the wireguard device `name`.
pub fn wireguard_port(name: &str) -> Result<Option<u16>, Failure> {
    // linux/wireguard.h
    const WG_CMD_GET_DEVICE: u8 = 0;
    const WGDEVICE_A_IFNAME: u16 = 2;
    let mut generic = Generic::open()?;
    let mut port = None;
    generic.dump("wireguard", WG_CMD_GET_DEVICE, &attribute(WGDEVICE_A_IFNAME, &nul(name)), |attributes| {
        port = port.or(parse_wireguard_port(attributes)?);
        Ok(())
    })?;
    Ok(port)
}

pub fn parse_wireguard_port(attributes: &[u8]) -> Result<Option<u16>, Failure> {
    const WGDEVICE_A_LISTEN_PORT: u16 = 6;
    let value = find_attribute(attributes, WGDEVICE_A_LISTEN_PORT)?;
    Ok(value.and_then(|value| value.first_chunk()).copied().map(u16::from_ne_bytes))
}

fn nul(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

struct Generic(Netlink);

impl Generic {
    fn open() -> Result<Self, Failure> {
        Netlink::open(Some(netlink::GENERIC)).map(Self).map_err(Failure::Refused)
    }

    /// Asks `family` for everything that `command` returns, and calls `each` with the attributes of
    /// every message.
    fn dump(
        &mut self,
        family: &str,
        command: u8,
        attributes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let id = self.family(family)?;
        self.0.dump(
            id,
            &request(command, attributes),
            |kind, payload| {
                if kind == id { each(body(payload)?) } else { Ok(()) }
            },
        )?;
        Ok(())
    }

    /// The number of a family. The kernel assigns it at run time.
    fn family(&mut self, name: &str) -> Result<u16, Failure> {
        let question = request(CTRL_CMD_GETFAMILY, &attribute(CTRL_ATTR_FAMILY_NAME, &nul(name)));
        let mut id = None;
        self.0.ask(GENL_ID_CTRL, &question, |_, payload| {
            id = find_attribute(body(payload)?, CTRL_ATTR_FAMILY_ID)?
                .and_then(|value| value.first_chunk())
                .copied()
                .map(u16::from_ne_bytes);
            Ok(())
        })?;
        id.ok_or(Failure::NoSuch)
    }
}

fn request(command: u8, attributes: &[u8]) -> Vec<u8> {
    // Every family here is at version 1.
    [&[command, 1, 0, 0], attributes].concat()
}

fn body(payload: &[u8]) -> Result<&[u8], Failure> {
    payload.get(HEADER..).ok_or_else(|| malformed("a generic message that is too short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_id_address_and_port() {
        let nested = [attribute(2, &[7]), attribute(3, &[127, 0, 0, 1]), attribute(5, &9000u16.to_ne_bytes())].concat();
        let endpoint = parse_endpoint(&attribute(1 | 0x8000, &nested)).unwrap();
        assert_eq!(endpoint, Endpoint { id: 7, address: Some([127, 0, 0, 1].into()), port: 9000 });
        assert_eq!(parse_endpoint(&[]).unwrap().port, 0);
    }

    #[test]
    fn a_wireguard_device_has_a_port() {
        let attributes = [attribute(2, b"wg0\0"), attribute(6, &51820u16.to_ne_bytes())].concat();
        assert_eq!(parse_wireguard_port(&attributes).unwrap(), Some(51820));
        assert_eq!(parse_wireguard_port(&[]).unwrap(), None);
    }

    #[test]
    fn a_family_that_the_kernel_lacks_is_told() {
        let answer = Generic::open().unwrap().family("portcheck-none");
        assert!(matches!(answer, Err(Failure::NoSuch)), "{answer:?}");
        assert_eq!(Generic::open().unwrap().family("nlctrl").unwrap(), GENL_ID_CTRL);
    }
}
