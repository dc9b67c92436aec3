//! The part `connections` of the JSON.

use std::io::{self, Write};

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

#[cfg(test)]
use super::parts::or_null;
use super::parts::{WireEndpoint, endpoint};
use super::process::WireProcess;
use super::wire::{WireNamespace, WireOwners};
#[cfg(test)]
use crate::commands::connections::Direction;
use crate::commands::connections::{Connection, Group, Report};
use crate::model::Socket;
#[cfg(test)]
use crate::model::{Protocol, State};

/// A connection, from its end on this machine: the server's, if both are here.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Connection"))]
pub struct WireConnection<'a> {
    #[cfg_attr(test, schemars(extend("enum" = Protocol::VARIANTS)))]
    pub protocol: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = State::VARIANTS)))]
    pub state: &'static str,
    pub local: WireEndpoint,
    pub remote: Option<WireEndpoint>,
    /// What the name service calls the other machine; null unless --resolve asked for it.
    pub remote_name: Option<&'a str>,
    /// Who opened it; null if that cannot be told.
    #[cfg_attr(test, schemars(extend("enum" = or_null(Direction::VARIANTS))))]
    pub direction: Option<&'static str>,
    /// The network namespace of this end; null for that of portcheck.
    pub namespace: Option<WireNamespace<'a>>,
    /// Who has this end.
    pub owners: WireOwners<'a>,
    /// Who has the other end; null if it is not on this machine, as far as that was looked at.
    pub peer_owners: Option<WireOwners<'a>>,
    /// The network namespace of the other end; null for that of portcheck, or if the end is not here.
    pub peer_namespace: Option<WireNamespace<'a>>,
    /// The state of the other end, `unconnected` for a server of UDP; null if the end is not here.
    #[cfg_attr(test, schemars(extend("enum" = or_null(State::VARIANTS))))]
    pub peer_state: Option<&'static str>,
    /// What the kernel measured at this end; null for UDP, or if it does not tell.
    pub tcp: Option<WireTcp>,
    /// The same at the other end; null, too, if the end is not here.
    pub peer_tcp: Option<WireTcp>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Tcp"))]
pub struct WireTcp {
    /// The smoothed round-trip time in microseconds.
    pub rtt_us: u64,
    /// Payload, without what was sent again.
    pub bytes_sent: Option<u64>,
    /// Payload.
    pub bytes_received: Option<u64>,
    /// Segments that were sent again.
    pub retransmits: u32,
    /// Bytes not yet acknowledged.
    pub send_queue: Option<u32>,
    /// Bytes not yet read.
    pub receive_queue: Option<u32>,
    /// Since data was last sent or received.
    pub last_activity_ms: u64,
}

/// How many connections have something in common.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ConnectionGroup"))]
pub struct WireConnectionGroup<'a> {
    pub name: &'a str,
    pub count: usize,
}

pub fn group(group: &Group) -> WireConnectionGroup<'_> {
    WireConnectionGroup { name: &group.name, count: group.count }
}

pub fn connection<'a>(connection: Connection<'a>, report: &'a Report) -> WireConnection<'a> {
    let Connection { own, peer, direction, .. } = connection;
    WireConnection {
        protocol: own.protocol.into_str(),
        state: own.state.into_str(),
        local: endpoint(own.local),
        remote: own.remote.map(endpoint),
        remote_name: own.remote.and_then(|remote| report.names.get(&remote.ip())).map(String::as_str),
        direction: direction.map(|direction| direction.into_str()),
        namespace: own.namespace.as_deref().map(super::namespace),
        owners: super::owners(own),
        peer_owners: peer.map(super::owners),
        peer_namespace: peer.and_then(|peer| peer.namespace.as_deref()).map(super::namespace),
        peer_state: peer.map(|peer| peer.state.into_str()),
        tcp: tcp(own),
        peer_tcp: peer.and_then(tcp),
    }
}

fn tcp(socket: &Socket) -> Option<WireTcp> {
    let info = socket.tcp_info?;
    Some(WireTcp {
        rtt_us: info.rtt_us.into(),
        bytes_sent: info.bytes_sent,
        bytes_received: info.bytes_received,
        retransmits: info.retransmits,
        send_queue: socket.send_queue,
        receive_queue: socket.receive_queue,
        last_activity_ms: info.idle_ms.into(),
    })
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    connection: WireConnection<'a>,
    processes: Vec<WireProcess<'a>>,
}

/// A line for each connection, with the processes at its ends.
pub fn lines(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for found in report.connections() {
        let processes = super::each_once(found.pids(), &report.diagnosis.processes);
        super::line(&Line { connection: connection(found, report), processes }, out)?;
    }
    Ok(())
}
