//! What a report tells besides sockets: rules of the firewall, and the sites of web servers.

use crate::collect::{self, Detail};
use crate::diagnose::Observed;
use crate::model::{Backend, Confidence, Diversion, Forward, Pid, Process, Protocol, Snapshot, find_process};
use crate::request::Request;

/// About more ports than these, only sockets are told.
const MOST: usize = 64;

/// Adds it where all details are asked for.
pub fn add(request: &Request, ports: &mut [Observed], snapshot: &mut Snapshot) {
    let is_asked = request.detail == Detail::Full && request.backend == Backend::Native;
    if is_asked && request.namespaces.can_be_asked() && ports.len() <= MOST {
        add_diversions(ports, snapshot);
        add_virtual_hosts(ports, &snapshot.processes);
    }
}

/// Adds the rules of the firewall that send what arrives for a port elsewhere. What its holder does
/// by itself is told already.
fn add_diversions(ports: &mut [Observed], snapshot: &mut Snapshot) {
    let names: Vec<(u16, Protocol)> = ports.iter().map(|port| (port.port, port.protocol)).collect();
    let (found, gap) = collect::diversions(&names);
    snapshot.gaps.extend(gap);
    for port in ports {
        learn_from_rules(port, &found);
        let is_told = |diversion: &Diversion| {
            let mut forwards = port.sockets.iter().filter_map(|socket| socket.forward.as_deref());
            forwards.any(|forward| forward.leads_where(&diversion.forward))
        };
        let is_own = |diversion: &&Diversion| (diversion.port, diversion.protocol) == (port.port, port.protocol);
        let mut own = found.iter().filter(is_own);
        port.diversion = own.find(|diversion| !is_told(diversion)).cloned().map(Box::new);
    }
}

/// A rule tells for certain where a port leads that was deduced from its container so far.
fn learn_from_rules(port: &mut Observed, found: &[Diversion]) {
    let name = (port.port, port.protocol);
    let id = |forward: &Forward| forward.container.as_ref().map(|container| container.id.clone());
    let is_deduced = |forward: &Forward| forward.confidence != Confidence::Known || forward.to.is_none();
    let forwards = port.sockets.iter_mut().filter_map(|socket| socket.forward.as_deref_mut());
    for forward in forwards.filter(|forward| is_deduced(forward)) {
        let Some(own) = id(forward) else { continue };
        let is_its = |diversion: &&Diversion| {
            (diversion.port, diversion.protocol) == name && id(&diversion.forward).as_ref() == Some(&own)
        };
        if let Some(rule) = found.iter().find(is_its) {
            forward.to.clone_from(&rule.forward.to);
            forward.ends_at.clone_from(&rule.forward.ends_at);
            forward.confidence = rule.forward.confidence;
        }
    }
}

/// Adds what the configurations of the holders tell of each port.
fn add_virtual_hosts(ports: &mut [Observed], processes: &[Process]) {
    for port in ports.iter_mut().filter(|port| port.protocol == Protocol::Tcp) {
        let listening = port.sockets.iter().filter(|socket| socket.state.is_listening());
        let mut pids: Vec<Pid> = listening.flat_map(|socket| socket.owners.pids()).copied().collect();
        pids.sort_unstable();
        pids.dedup();
        let holders = pids.iter().filter_map(|&pid| find_process(processes, pid));
        let hosts = holders.flat_map(|holder| &holder.virtual_hosts);
        port.virtual_hosts = hosts.filter(|host| host.is_on(port.port)).cloned().collect();
    }
}
