//! The verdict `device-bound`: the holder serves one interface only, and blocks the port on all.

use super::holders::groups_where;
use super::{Detail, Explanation, Observation, Rule, Severity, Statement, Subject, Verb};
use crate::model::Socket;

pub static RULE: Rule = Rule {
    code: "device-bound",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "The socket is bound to one network device. It receives only what comes in there, even if its address is \
               a wildcard. Most listings do not show it.",
        why: "SO_BINDTODEVICE (socket(7)), as DHCP clients and servers, VPNs and programs in a VRF set it.",
        detection: "The socket table names a device (idiag_if). Link-local addresses do not count: they have a device \
                    by nature.",
        remedy: "Bind your own socket to another device: then the two do not conflict. Without a device they do.",
    },
    check: |facts| {
        groups_where(facts, is_bound_to_device)
            .iter()
            .map(|group| {
                let device = group.sockets[0].device.clone().unwrap_or_default();
                Observation {
                    pids: group.owners.pids().to_vec(),
                    details: vec![("device", Detail::Text(device.to_string()))],
                    ..Observation::of(Statement::new(
                        Subject::sockets(group),
                        Verb("receives on", "receive on"),
                        format!("the device {device} only"),
                    ))
                }
            })
            .collect()
    },
};

fn is_bound_to_device(socket: &Socket) -> bool {
    let is_link_local = match socket.local.ip() {
        std::net::IpAddr::V4(address) => address.is_link_local(),
        std::net::IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    socket.device.is_some() && !is_link_local && socket.state.is_waiting()
}
