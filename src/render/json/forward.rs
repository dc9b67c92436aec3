//! Forwards in the JSON: from where to where, by whom, and who is at the end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use super::parts::{WireEndpoint, endpoint};
use crate::diagnose::{Observed, groups};
#[cfg(test)]
use crate::model::{Confidence, ForwardKind};
use crate::model::{EngineContainer, Forward, Socket, SshServer, Through};

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Forward"))]
pub struct WireForward<'a> {
    /// How what arrives is passed on.
    #[cfg_attr(test, schemars(extend("enum" = ForwardKind::VARIANTS)))]
    pub kind: &'static str,
    /// The engine or program that does so: `docker`, `ssh`, `socat`.
    pub by: &'a str,
    /// The processes that do so.
    pub pids: Vec<u32>,
    /// Where it arrives; the first address, if there are several.
    pub listen: WireEndpoint,
    /// Where it goes; null if that cannot be seen.
    pub to: Option<WireDestination<'a>>,
    /// Where it goes, if that is no port: the path of a unix socket, or a name.
    pub to_place: Option<&'a str>,
    /// What stands between: `root@db.example` of ssh, a proxy, a namespace of Kubernetes, a service.
    pub through: Option<String>,
    pub container: Option<WireForwardContainer<'a>>,
    /// Who listens at the end.
    pub ends_at: Vec<WireServer<'a>>,
    /// known: the engine or the program's arguments say so; likely: deduced; unknown: the end
    /// cannot be seen.
    #[cfg_attr(test, schemars(extend("enum" = Confidence::VARIANTS)))]
    pub confidence: &'static str,
    /// What could not be told, and why.
    pub untold: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Destination"))]
pub struct WireDestination<'a> {
    /// An address, or the name that the program was given.
    pub address: &'a str,
    pub port: u16,
    /// The inode of the network namespace that it belongs to; null if unknown.
    pub namespace: Option<u64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ForwardContainer"))]
pub struct WireForwardContainer<'a> {
    pub engine: &'static str,
    pub id: &'a str,
    pub name: Option<&'a str>,
    pub image: Option<&'a str>,
    /// The compose project that it belongs to.
    pub compose: Option<WireCompose<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Compose"))]
pub struct WireCompose<'a> {
    pub project: &'a str,
    pub service: Option<&'a str>,
    pub files: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Server"))]
pub struct WireServer<'a> {
    pub pid: u32,
    pub name: &'a str,
}

/// The forwards of a port: by its sockets, each holder's once, and by the firewall.
pub fn forwards(observed: &Observed) -> Vec<WireForward<'_>> {
    let by_rule = observed.diversion.as_deref().map(|diversion| {
        let any: IpAddr =
            if diversion.family == "ip6" { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        of(&diversion.forward, Vec::new(), endpoint(SocketAddr::new(any, diversion.port)))
    });
    by_sockets(&observed.sockets).into_iter().chain(by_rule).collect()
}

fn by_sockets(sockets: &[Socket]) -> Vec<WireForward<'_>> {
    let forwarding = sockets.iter().filter(|socket| socket.forward.is_some());
    groups(forwarding)
        .into_iter()
        .filter_map(|group| {
            let socket = group.sockets[0];
            Some(of(socket.forward.as_deref()?, group.owners.pids().to_vec(), endpoint(socket.local)))
        })
        .collect()
}

fn of(forward: &Forward, pids: Vec<u32>, listen: WireEndpoint) -> WireForward<'_> {
    WireForward {
        kind: forward.kind.into_str(),
        by: &forward.by,
        pids,
        listen,
        to: forward.to.as_ref().map(|to| WireDestination { address: &to.host, port: to.port, namespace: to.namespace }),
        to_place: forward.to_place.as_deref(),
        through: forward.through.as_ref().map(through),
        container: forward.container.as_deref().map(container),
        ends_at: forward.ends_at.iter().map(|server| WireServer { pid: server.pid, name: &server.name }).collect(),
        confidence: forward.confidence.into_str(),
        untold: forward.untold.as_ref().map(|untold| &*untold.reason),
    }
}

fn through(through: &Through) -> String {
    match through {
        Through::Ssh(SshServer { user: Some(user), host, .. }) => format!("{user}@{host}"),
        Through::Ssh(SshServer { user: None, host, .. }) | Through::Proxy(host) => host.clone(),
        Through::Kubernetes(namespace) => namespace.clone(),
        Through::Cloud(name) => (*name).to_owned(),
    }
}

fn container(container: &EngineContainer) -> WireForwardContainer<'_> {
    WireForwardContainer {
        engine: container.engine.runtime.into_str(),
        id: &container.id,
        name: container.name.as_deref(),
        image: container.image.as_deref(),
        compose: container.compose().map(|compose| WireCompose {
            project: compose.project,
            service: compose.service,
            files: compose.files,
        }),
    }
}
