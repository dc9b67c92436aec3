//! The types of the JSON, schema version 1: within it keys are only added, and lists of values only
//! grow.
//!
//! They are apart from the model, so that the model may change and the JSON may not. docs/schema is
//! made from them.

use std::borrow::Cow;
use std::collections::BTreeMap;

#[cfg(test)]
use super::ErrorKind;
#[cfg(test)]
use super::parts::or_null;
#[cfg(test)]
use crate::classify::services::Source;
#[cfg(test)]
use crate::classify::{Class, Exposure};
#[cfg(test)]
use crate::commands::exit::Command;
#[cfg(test)]
use crate::diagnose::{Severity, Status};
#[cfg(test)]
use crate::model::{Backend, Family, Hides, Protocol, State, TimerKind, Via};
#[cfg(test)]
use crate::probe::Outcome;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use super::connection::{WireConnection, WireConnectionGroup};
use super::forward::WireForward;
use super::free::WireFree;
use super::hosts::Hosts;
#[cfg(test)]
use super::hosts::WireHostAnswer;
use super::identify::WireIdentified;
use super::kill::WireKill;
use super::parts::{WireEndpoint, WireRemedy};
use super::ports::Ports;
use super::preflight::WirePreflight;
use super::process::{WireProcess, WireUnit};
use super::reach::WireReach;
use super::summary::WireSummary;
use super::wait::WireWait;

/// The one document that every command prints with --json.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct Envelope<'a> {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = 1)))]
    pub schema_version: u32,
    /// The version of portcheck.
    pub version: &'static str,
    /// What was done; null if the command line was not understood so far.
    #[cfg_attr(test, schemars(extend("enum" = or_null(Command::VARIANTS))))]
    pub command: Option<&'static str>,
    /// What portcheck exits with: 0 yes, 1 no, 2 wrong command line, 3 cannot tell, 4 failure, 124
    /// timeout.
    pub exit_code: u8,
    /// The machine.
    pub host: WireHost<'a>,
    /// The ports asked about or in use, one element for each port and protocol.
    #[cfg_attr(test, schemars(with = "Vec<WirePort<'_>>"))]
    pub ports: Ports<'a>,
    /// The processes named in `ports`.
    pub processes: Vec<WireProcess<'a>>,
    /// What could not be looked at.
    pub gaps: Vec<WireGap<'a>>,
    /// What --kill did.
    pub kill: Option<WireKill<'a>>,
    /// How --wait went.
    pub wait: Option<WireWait>,
    /// Of the command `free`: the ports, what they were chosen from, and the leases; null for the
    /// others.
    pub free: Option<WireFree<'a>>,
    /// Of the command `connections`: each connection once.
    pub connections: Vec<WireConnection<'a>>,
    /// The same counted, by what --by names.
    pub connection_groups: Vec<WireConnectionGroup<'a>>,
    /// Of the command `preflight`: what the files ask for, in their order.
    pub preflight: Vec<WirePreflight<'a>>,
    /// With --host: the machines that were asked, in the order in which they were named.
    #[cfg_attr(test, schemars(with = "Vec<WireHostAnswer<'_>>"))]
    pub hosts: Hosts<'a>,
    /// The sockets counted, with --summary; else null.
    pub summary: Option<WireSummary>,
    /// Set if the command failed; then the lists are empty.
    pub error: Option<WireError<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Host"))]
pub struct WireHost<'a> {
    /// `linux`, `macos`, `windows`.
    pub os: &'static str,
    /// The kernel's release.
    pub release: Option<&'a str>,
    #[cfg_attr(test, schemars(extend("enum" = Backend::VARIANTS)))]
    pub backend: &'static str,
    /// The effective user id of portcheck.
    pub euid: Option<u32>,
    /// First and last port that the kernel picks by itself.
    pub ephemeral_range: Option<(u16, u16)>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Port"))]
pub struct WirePort<'a> {
    pub port: u16,
    #[cfg_attr(test, schemars(extend("enum" = Protocol::VARIANTS)))]
    pub protocol: &'static str,
    /// The network namespace that it is a port of; null for that of portcheck.
    pub namespace: Option<WireNamespace<'a>>,
    /// The addresses asked about; every one if empty.
    pub addresses: Vec<String>,
    /// The class of the port by RFC 6335.
    #[cfg_attr(test, schemars(extend("enum" = Class::VARIANTS)))]
    pub class: &'static str,
    /// What is usually there.
    pub service: Option<WireService<'a>>,
    #[cfg_attr(test, schemars(extend("enum" = Status::VARIANTS)))]
    pub status: &'static str,
    /// What bind(2) answered, for each address that was tried; empty if it was not asked.
    pub bind: Vec<WireBind>,
    /// What it answered on other addresses than those asked about, where these cannot be bound.
    pub bind_elsewhere: Vec<WireBind>,
    /// The verdicts, conflicts first.
    pub findings: Vec<WireFinding<'a>>,
    /// The sockets that hold the port.
    pub sockets: Vec<WireSocket<'a>>,
    /// Where what arrives at the port is passed on to.
    pub forwards: Vec<WireForward<'a>>,
    /// Who can reach the port; only of the command `reach`.
    pub reach: Vec<WireReach<'a>>,
    /// What answered; null for other commands than `identify`.
    pub identified: Option<WireIdentified<'a>>,
    /// The sites that a web server serves on the port.
    pub virtual_hosts: Vec<WireVirtualHost<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "VirtualHost"))]
pub struct WireVirtualHost<'a> {
    /// `nginx`, `apache`, `caddy`.
    pub server: &'static str,
    /// The names that it answers to; empty for any.
    pub names: &'a [String],
    /// Where it is defined.
    pub file: String,
    pub line: usize,
    /// `as on disk`; `as on disk, newer than the server` if the server may not have read the file yet.
    pub loaded: &'static str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Service"))]
pub struct WireService<'a> {
    /// The name in the machine's services file, else IANA's.
    pub name: Option<&'a str>,
    /// Where `name` is from.
    #[cfg_attr(test, schemars(extend("enum" = or_null(Source::VARIANTS))))]
    pub source: Option<&'static str>,
    /// The name that IANA assigned.
    pub iana: Option<&'static str>,
    /// What developers commonly use the port for, assigned or not.
    pub common_use: Option<&'static str>,
}

/// The answer of bind(2) on one address.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Bind"))]
pub struct WireBind {
    pub address: String,
    /// Whether IPV6_V6ONLY was set; null on an IPv4 address.
    pub v6only: Option<bool>,
    /// Whether SO_REUSEADDR was set.
    pub reuse_address: bool,
    #[cfg_attr(test, schemars(extend("enum" = Outcome::VARIANTS)))]
    pub result: &'static str,
    /// The name of the error, or `errno` and its number for an unusual one; null if there is none.
    pub errno: Option<Cow<'static, str>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Finding"))]
pub struct WireFinding<'a> {
    /// A code of docs/verdicts.md.
    pub code: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = Severity::VARIANTS)))]
    pub severity: &'static str,
    /// One sentence.
    pub summary: String,
    /// The processes it is about, the leader first.
    pub pids: &'a [u32],
    /// The facts it rests on, by name.
    pub details: BTreeMap<&'static str, WireDetail<'a>>,
    /// What to do, the best first.
    pub remedies: Vec<WireRemedy<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Detail"))]
#[serde(untagged)]
pub enum WireDetail<'a> {
    Number(u64),
    Text(&'a str),
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Socket"))]
pub struct WireSocket<'a> {
    #[cfg_attr(test, schemars(extend("enum" = Protocol::VARIANTS)))]
    pub protocol: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = Family::VARIANTS)))]
    pub family: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = State::VARIANTS)))]
    pub state: &'static str,
    pub local: WireEndpoint,
    pub remote: Option<WireEndpoint>,
    /// The interface it is bound to.
    pub device: Option<&'a str>,
    pub v6only: Option<bool>,
    pub inode: Option<u64>,
    /// The user who created it.
    pub uid: Option<u32>,
    pub user: Option<&'a str>,
    /// The cgroup in which it was created.
    pub cgroup: Option<&'a str>,
    #[cfg_attr(test, schemars(extend("enum" = Exposure::VARIANTS)))]
    pub exposure: &'static str,
    /// Bytes; on a listener, connections not yet accepted.
    pub receive_queue: Option<u32>,
    /// Bytes; on a listener, the limit of its accept queue.
    pub send_queue: Option<u32>,
    pub timer: Option<WireTimer>,
    /// Whether it is the TCP side of an MPTCP socket.
    pub mptcp: Option<bool>,
    pub owners: WireOwners<'a>,
    /// What in the kernel has it, where that is known.
    pub kernel_user: Option<WireKernelUser<'a>>,
    /// The socket unit for which systemd opened it.
    pub socket_unit: Option<WireUnit<'a>>,
    /// Where Windows passes connections on to (`netsh interface portproxy`).
    pub forwards_to: Option<&'a str>,
    /// The network namespace that it is in; null for that of portcheck.
    pub namespace: Option<WireNamespace<'a>>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Namespace"))]
pub struct WireNamespace<'a> {
    /// What identifies it; null where only root may know it.
    pub inode: Option<u64>,
    /// Its name by `ip netns`, or the container in it.
    pub name: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "KernelUser"))]
pub struct WireKernelUser<'a> {
    /// `mptcp-endpoint`, `nfsd`, on Windows `http-sys`, `file-sharing` or `netbios`, or the kind of
    /// a network device: `vxlan`, `wireguard`, `geneve`, `bareudp`.
    pub kind: &'a str,
    /// The name of the device.
    pub name: Option<&'a str>,
    /// The id of the endpoint.
    pub id: Option<u8>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Timer"))]
pub struct WireTimer {
    #[cfg_attr(test, schemars(extend("enum" = TimerKind::VARIANTS)))]
    pub kind: &'static str,
    pub expires_in_ms: u64,
    pub retransmits: u8,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Owners"))]
pub struct WireOwners<'a> {
    /// known: has the descriptor; likely: deduced; kernel; hidden: somebody; none: no process by
    /// nature.
    #[cfg_attr(test, schemars(extend("enum" = ["known", "partial", "likely", "kernel", "hidden", "none"])))]
    pub kind: &'static str,
    pub pids: &'a [u32],
    /// How they were deduced, or why they are hidden.
    pub reason: Option<&'a str>,
    /// By what they have it; null if there is nobody to be named.
    #[cfg_attr(test, schemars(extend("enum" = or_null(Via::VARIANTS))))]
    pub via: Option<&'static str>,
    /// By which descriptors; empty where that was not looked for, or nobody was seen to have it.
    pub descriptors: Vec<WireDescriptor>,
}

/// A descriptor of a process.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Descriptor"))]
pub struct WireDescriptor {
    pub pid: u32,
    /// Its number, as in /proc/PID/fd.
    pub number: u32,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Gap"))]
pub struct WireGap<'a> {
    pub code: &'static str,
    /// What it keeps from sight.
    #[cfg_attr(test, schemars(extend("enum" = Hides::VARIANTS)))]
    pub hides: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = or_null(Protocol::VARIANTS))))]
    pub protocol: Option<&'static str>,
    pub summary: &'a str,
    /// Whether root would see it.
    pub root_would_see: bool,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Error"))]
pub struct WireError<'a> {
    #[cfg_attr(test, schemars(extend("enum" = ErrorKind::VARIANTS)))]
    pub kind: &'static str,
    pub message: &'a str,
}

/// What `--format ndjson` prints on each line: an element of `ports` with its processes.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    #[serde(flatten)]
    pub port: WirePort<'a>,
    pub processes: Vec<WireProcess<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PORTCHECK_UPDATE=1 cargo test` writes it anew.
    #[test]
    fn the_published_schema_is_that_of_the_wire_types() {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let mut schema = settings.into_generator().into_root_schema_for::<Envelope<'_>>();
        schema.insert("title".to_owned(), "portcheck --json, schema version 1".into());
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        crate::testing::expect_file("docs/schema/portcheck-v1.schema.json", &text);
    }
}
