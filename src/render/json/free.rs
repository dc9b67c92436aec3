//! What the JSON says of `--free`, `--leases` and `--release`: the types, and how they are made
//! from an answer.

#[cfg(test)]
use crate::model::LeaseKind;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use crate::commands::free::{Action, Report};
use crate::commands::free::{Choice, Reason};
use crate::model::{Client, Lease};
use crate::port_set::PortSet;
use crate::render::Style;

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Free"))]
pub struct WireFree<'a> {
    #[cfg_attr(test, schemars(extend("enum" = ["pick", "list", "release"])))]
    pub action: &'static str,
    /// The ports that were picked, or released; of `--leases`, those that are leased.
    pub ports: Vec<u16>,
    /// What was chosen from; null if nothing was to be picked.
    pub choice: Option<WireChoice>,
    /// The leases on `ports`, as they were before a release; empty if there are none.
    pub leases: Vec<WireLease<'a>>,
    /// What did not succeed, a sentence each.
    pub problems: &'a [String],
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Choice"))]
pub struct WireChoice {
    /// So many ports were asked for.
    pub count: usize,
    /// The ranges to choose from, before anything was excluded: first and last port of each.
    pub pool: Vec<(u16, u16)>,
    /// How many ports of `pool`, and preferred ones, were candidates.
    pub candidates: usize,
    /// The others, and candidates that were not available; only with -v, or if no port is left.
    pub excluded: Vec<WireExcluded>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Excluded"))]
pub struct WireExcluded {
    #[cfg_attr(test, schemars(extend("enum" = Reason::VARIANTS)))]
    pub reason: &'static str,
    /// How many ports.
    pub count: usize,
    /// Which: first and last port of each range.
    pub ranges: Vec<(u16, u16)>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Lease"))]
pub struct WireLease<'a> {
    pub port: u16,
    /// reserved: kept from other callers of --free; held: bound as well; command: a command has it
    /// for as long as it runs.
    #[cfg_attr(test, schemars(extend("enum" = LeaseKind::VARIANTS)))]
    pub kind: &'static str,
    /// The processes that keep it; empty if they cannot be seen.
    pub pids: &'a [u32],
    pub uid: Option<u32>,
    pub user: Option<&'a str>,
    /// For whom it is kept.
    pub client: Option<WireClient<'a>>,
    /// Null where only the end of a process ends it.
    pub expires_in_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Client"))]
pub struct WireClient<'a> {
    pub name: &'a str,
    /// Null if it is in a pid namespace other than ours.
    pub pid: Option<u32>,
    /// Whether the lease ends with it.
    pub ends_lease: bool,
}

/// What an answer says of it.
/// What was excluded is told only if all facts are asked for, or no port is left.
pub fn free<'a>(report: &'a Report, style: &Style) -> WireFree<'a> {
    WireFree {
        action: report.action.into_str(),
        ports: report.ports.clone(),
        choice: if let Action::Pick(of) = &report.action { Some(choice(of, style, report.is_done)) } else { None },
        leases: report.leases.iter().map(lease).collect(),
        problems: &report.problems,
    }
}

fn choice(choice: &Choice, style: &Style, is_done: bool) -> WireChoice {
    let excluded = |(reason, ports): &(Reason, PortSet)| WireExcluded {
        reason: reason.into_str(),
        count: ports.len(),
        ranges: ports.ranges().to_vec(),
    };
    WireChoice {
        count: choice.count,
        pool: choice.span.ranges().to_vec(),
        candidates: choice.candidates,
        excluded: choice.excluded.iter().filter(|_| style.verbose || !is_done).map(excluded).collect(),
    }
}

fn lease(lease: &Lease) -> WireLease<'_> {
    WireLease {
        port: lease.port,
        kind: lease.kind.into_str(),
        pids: &lease.pids,
        uid: lease.uid,
        user: lease.user.as_deref(),
        client: lease.client.as_ref().map(client),
        expires_in_ms: lease.expires_in.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
    }
}

fn client(client: &Client) -> WireClient<'_> {
    WireClient { name: &client.name, pid: client.pid, ends_lease: client.ends_lease }
}
