//! DNAT: which rules of the firewall send what arrives for a port of this machine elsewhere.
//!
//! Tools that print the rules are started only if a table could have such rules.

mod iptables;
mod nftables;
mod rules;
mod tables;

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::engines;
use super::netlink::Failure;
use crate::model::{Confidence, Diversion, Forward, ForwardKind, Gap, Protocol, ShownBy, gap};
use crate::platform::tool;
use rules::{Action, Chains, Packet, diverting};

/// How long a tool may take to print a table.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the tools are, if the search path does not say: it lacks /usr/sbin for most users.
const PLACES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// A table that was read.
struct Rules {
    backend: &'static str,
    family: &'static str,
    name: String,
    chains: Chains,
}

/// See [`crate::collect::diversions`].
pub fn diversions(proc: &Path, ports: &[(u16, Protocol)]) -> (Vec<Diversion>, Option<Gap>) {
    let (tables, gap) = read_all(proc);
    if tables.is_empty() {
        return (Vec::new(), gap);
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let local: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    let of_port =
        |&(port, protocol): &(u16, Protocol)| tables.iter().find_map(|table| table.diverts(port, protocol, &local));
    let mut found: Vec<Diversion> = ports.iter().filter_map(of_port).collect();
    engines::find_ends(proc, found.iter_mut().map(|diversion| (diversion.protocol, &mut diversion.forward)));
    (found, gap)
}

fn read_all(proc: &Path) -> (Vec<Rules>, Option<Gap>) {
    let nftables = match tables::of_nftables() {
        Ok(tables) => tables,
        Err(Failure::Refused(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            let (who, shown_by) = if rustix::process::geteuid().is_root() {
                ("the firewall may not be read here", ShownBy::Nothing)
            } else {
                ("only root may read the firewall", ShownBy::Root)
            };
            let summary = format!("{who}: a rule may send connections for the port elsewhere");
            return (Vec::new(), Some(Gap { shown_by, ..gap::FIREWALL_UNREAD.gap(summary) }));
        }
        Err(_) => Vec::new(),
    };
    let mut unread = Vec::new();
    let mut read = Vec::new();
    let nftables = nftables.into_iter().map(|table| (table.family, Some(table.name)));
    for (family, name) in nftables.chain(tables::of_legacy(proc).into_iter().map(|family| (family, None))) {
        match Rules::read(family, name.as_deref()) {
            Some(rules) => read.push(rules),
            None => unread.push(format!("{family} {}", name.as_deref().unwrap_or("nat"))),
        }
    }
    let gap = (!unread.is_empty()).then(|| {
        gap::FIREWALL_UNREAD.gap(format!("no tool could print these tables of the firewall: {}", unread.join(", ")))
    });
    (read, gap)
}

impl Rules {
    /// Reads a table of nftables, or of iptables-legacy if it has no name.
    ///
    /// Tables that iptables made have rules that only iptables prints whole.
    fn read(family: &'static str, name: Option<&str>) -> Option<Self> {
        let start = if family == "ip6" { "ip6tables" } else { "iptables" };
        let saved = |tools: &[&str]| {
            let saves =
                |tool: &&str| print(&format!("{start}{tool}"), &["-t", "nat"]).filter(|text| text.contains("*nat"));
            tools.iter().find_map(saves).map(|text| iptables::parse(&text))
        };
        let listed =
            |name: &str| print("nft", &["-j", "list", "table", family, name]).map(|json| nftables::parse(&json));
        let (backend, chains) = match name {
            None => ("iptables-legacy", saved(&["-legacy-save", "-save"])?),
            Some("nat") => match saved(&["-nft-save", "-save"]) {
                Some(chains) => ("iptables-nft", chains),
                None => ("nftables", listed("nat")?),
            },
            Some(name) => ("nftables", listed(name)?),
        };
        Some(Self { backend, family, name: name.unwrap_or("nat").to_owned(), chains })
    }

    fn diverts(&self, port: u16, protocol: Protocol, local: &[IpAddr]) -> Option<Diversion> {
        let (chain, rule) = diverting(&self.chains, &Packet { protocol, port, local })?;
        let Action::Divert(to) = &rule.action else { return None };
        let mut to = to.clone();
        if let Some(to) = to.as_mut().filter(|to| to.port == 0) {
            to.port = port;
        }
        let confidence = if to.is_some() { Confidence::Known } else { Confidence::Unknown };
        let forward = Forward { to, confidence, ..Forward::new(ForwardKind::Rule, self.backend) };
        let (family, table) = (self.family.to_owned(), self.name.clone());
        let (chain, position) = (chain.to_owned(), rule.position);
        Some(Diversion { port, protocol, forward, backend: self.backend, family, table, chain, position })
    }
}

/// What a tool prints; `None` if it is not there or fails.
fn print(name: &str, arguments: &[&str]) -> Option<String> {
    let places = PLACES.iter().map(|place| format!("{place}/{name}")).filter(|path| Path::new(path).is_file());
    let program = places.chain([name.to_owned()]).next()?;
    let command: Vec<String> =
        [&program].into_iter().cloned().chain(arguments.iter().map(ToString::to_string)).collect();
    tool::read(&command, PATIENCE).filter(|text| !text.is_empty())
}
