//! The part `summary` of the JSON.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use super::parts::{WireEndpoint, endpoint};
use crate::commands::summary::Summary;
#[cfg(test)]
use crate::model::{Protocol, State};

/// The sockets that were asked about, counted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Summary"))]
pub struct WireSummary {
    /// By protocol and state, the most frequent first.
    pub states: Vec<WireStateCount>,
    /// By process, the most first. A socket that several have open counts for each.
    pub processes: Vec<WireProcessCount>,
    /// Sockets that no process was found for.
    pub unowned: usize,
    /// The ports for outgoing connections; null if the kernel does not tell its range.
    pub outgoing: Option<WireOutgoing>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "StateCount"))]
pub struct WireStateCount {
    #[cfg_attr(test, schemars(extend("enum" = Protocol::VARIANTS)))]
    pub protocol: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = State::VARIANTS)))]
    pub state: &'static str,
    pub count: usize,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "ProcessCount"))]
pub struct WireProcessCount {
    pub pid: u32,
    pub count: usize,
}

/// The ports that the kernel can pick for TCP connections to the most frequent destination.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Outgoing"))]
pub struct WireOutgoing {
    /// How many ports the kernel may pick: those of `ephemeral_range` that are neither reserved nor
    /// bound by a server.
    pub available: usize,
    /// How many of them connections to the destination use, TIME_WAIT included.
    pub used: usize,
    /// How many more connections to it are possible.
    pub left: usize,
    /// The address of this machine that they come from; null without connections.
    pub from: Option<String>,
    /// The destination; null without connections.
    pub to: Option<WireEndpoint>,
}

/// The counts.
pub fn summary(summary: &Summary) -> WireSummary {
    let states = summary.states.iter().map(|&(protocol, state, count)| {
        let (protocol, state) = (protocol.into_str(), state.into_str());
        WireStateCount { protocol, state, count }
    });
    let outgoing = summary.outgoing.as_ref().map(|outgoing| WireOutgoing {
        available: outgoing.available,
        used: outgoing.used,
        left: outgoing.left(),
        from: outgoing.busiest.map(|(from, _)| from.to_string()),
        to: outgoing.busiest.map(|(_, to)| endpoint(to)),
    });
    WireSummary {
        states: states.collect(),
        processes: summary.processes.iter().map(|&(pid, count)| WireProcessCount { pid, count }).collect(),
        unowned: summary.unowned,
        outgoing,
    }
}
