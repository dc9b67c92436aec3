//! The events of `portcheck watch`, a line each.

use std::io::{self, Write};

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use super::process::{WireProcess, process};
use super::wire::WirePort;
use crate::commands::watch::Event;
#[cfg(test)]
use crate::commands::watch::Kind;
use crate::render::watch::time;

/// A line of `portcheck watch --format ndjson`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Event"))]
pub struct WireEvent<'a> {
    /// When it was seen: RFC 3339, in UTC.
    pub time: String,
    #[cfg_attr(test, schemars(extend("enum" = Kind::VARIANTS)))]
    pub event: &'static str,
    /// The port as it is now; as it was, if it was closed; null if something was lost. With --all, a
    /// connection is an event of its own, and the only one of `sockets`.
    pub port: Option<WirePort<'a>>,
    /// The port as it was before it changed; null for other events.
    pub before: Option<WirePort<'a>>,
    /// The processes named in both.
    pub processes: Vec<WireProcess<'a>>,
    /// How many sockets were opened and closed unseen; null if nobody knows, and for other events.
    pub missed: Option<usize>,
}

/// Writes an event as one line.
pub fn event(event: &Event, out: &mut dyn Write) -> io::Result<()> {
    let port = |port| super::port(port, &event.processes);
    let wire = WireEvent {
        time: time(event.time),
        event: event.kind.into_str(),
        port: event.port.as_ref().map(port),
        before: event.before.as_ref().map(port),
        processes: event.processes.iter().map(process).collect(),
        missed: event.missed,
    };
    super::line(&wire, out)
}
