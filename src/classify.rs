//! What a port number, a socket's address and a command line say by themselves: the class of the port,
//! from where the socket can be reached, what is usually there ([`services`]), and what a program
//! runs ([`command_line`]).

pub mod browser;
pub mod command_line;
pub mod common_use;
pub mod forwards;
pub mod iana;
mod nearest;
pub mod services;
mod services_file;

use std::net::IpAddr;

use crate::model::Socket;

pub(crate) use services_file::etc;

/// The class of a port number (RFC 6335, section 6).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Class {
    /// 0-1023: also called system ports.
    WellKnown,
    /// 1024-49151: also called user ports.
    Registered,
    /// 49152-65535: also called private or ephemeral ports. The kernel may pick from another range,
    /// see [`Host::ephemeral_range`](crate::model::Host::ephemeral_range).
    Dynamic,
}

impl Class {
    /// The class of `port`.
    pub const fn of(port: u16) -> Self {
        match port {
            0..=1023 => Self::WellKnown,
            1024..=49151 => Self::Registered,
            49152..=u16::MAX => Self::Dynamic,
        }
    }

    /// The first and last port of the class.
    pub const fn range(self) -> (u16, u16) {
        match self {
            Self::WellKnown => (0, 1023),
            Self::Registered => (1024, 49151),
            Self::Dynamic => (49152, u16::MAX),
        }
    }
}

/// From where a socket can be reached, firewalls aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Exposure {
    /// From this machine only.
    Loopback,
    /// From within another network namespace, and from what is connected to that.
    Namespace,
    /// Through one address or interface.
    Interface,
    /// Through every interface.
    All,
}

impl Exposure {
    /// From where `socket` can be reached.
    pub fn of(socket: &Socket) -> Self {
        let address: IpAddr = socket.local.ip().to_canonical();
        match &socket.device {
            _ if address.is_loopback() => Self::Loopback,
            Some(device) if &**device == "lo" => Self::Loopback,
            // Its addresses are not those of this machine.
            _ if socket.namespace.is_some() => Self::Namespace,
            None if socket.is_wildcard() => Self::All,
            _ => Self::Interface,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_at_their_borders() {
        let classes: Vec<&str> = [0, 1023, 1024, 49151, 49152, 65535].map(|port| Class::of(port).into_str()).into();
        assert_eq!(classes, ["well-known", "well-known", "registered", "registered", "dynamic", "dynamic"]);
        for class in [Class::WellKnown, Class::Registered, Class::Dynamic] {
            let (first, last) = class.range();
            assert_eq!((Class::of(first), Class::of(last)), (class, class));
        }
    }

    #[test]
    fn exposure_by_address_and_device() {
        let exposure = |local: &str, device: Option<&str>| {
            let mut socket = crate::testing::listener(local);
            socket.device = device.map(Into::into);
            Exposure::of(&socket)
        };
        assert_eq!(exposure("127.0.0.53:53", None), Exposure::Loopback);
        assert_eq!(exposure("[::1]:53", None), Exposure::Loopback);
        assert_eq!(exposure("[::ffff:127.0.0.1]:53", None), Exposure::Loopback);
        assert_eq!(exposure("0.0.0.0:53", None), Exposure::All);
        assert_eq!(exposure("[::]:53", None), Exposure::All);
        assert_eq!(exposure("0.0.0.0:53", Some("lo")), Exposure::Loopback);
        assert_eq!(exposure("0.0.0.0:68", Some("eth0")), Exposure::Interface);
        assert_eq!(exposure("[fe80::1]:53", Some("eth0")), Exposure::Interface);
        assert_eq!(exposure("192.0.2.1:53", None), Exposure::Interface);
    }

    /// A container's 0.0.0.0:80 once read as public.
    #[test]
    fn a_port_in_another_namespace_is_never_exposed_here() {
        let exposure = |local: &str| {
            let namespace = Some(Box::new(crate::testing::namespace("blue")));
            Exposure::of(&Socket { namespace, ..crate::testing::listener(local) })
        };
        assert_eq!(exposure("0.0.0.0:80"), Exposure::Namespace);
        assert_eq!(exposure("172.17.0.2:80"), Exposure::Namespace);
        assert_eq!(exposure("127.0.0.1:80"), Exposure::Loopback);
        assert!(Exposure::Namespace < Exposure::Interface);
    }
}
