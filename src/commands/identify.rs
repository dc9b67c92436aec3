//! `portcheck identify`: what answers on a port. One connection to each, one harmless question.
//!
//! This and `wait --for answering` are the only commands that connect and speak. `question` chooses
//! what to ask, `dialogue` asks, `answers` has the parsers.

mod address;
mod answers;
mod channel;
mod dialogue;
mod question;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::catch_unwind;

use super::check;
use super::diagnosis::Diagnosis;
use super::exit::Exit;
use crate::diagnose::Observed;
use crate::error::Error;
use crate::model::{Asked, Family, Identified, Process, Protocol, Socket, find_process};
use crate::platform::threads;
use crate::request::Request;
use crate::target::Target;

pub use address::Typed;
pub use channel::connect;
pub use dialogue::{Call, ask};
pub use question::choose;

/// How many servers are asked at a time.
const MOST_THREADS: usize = 16;

/// What `portcheck identify` found: each port has `identified`.
#[derive(Debug, Clone)]
pub struct Report {
    /// The ports.
    pub diagnosis: Diagnosis,
}

impl Report {
    /// The exit code: whether all answered.
    pub fn exit(&self) -> Exit {
        let asked = || self.diagnosis.ports.iter().filter_map(|port| port.observed.identified.as_ref());
        match () {
            () if asked().any(|one| one.asked == Asked::NoConnection) => Exit::No,
            () if asked().any(|one| one.asked == Asked::Unknown) => Exit::Unknown,
            () => Exit::Yes,
        }
    }
}

/// A port that was asked about by a URL.
pub type Urls = Vec<(Target, Typed)>;

/// Asks every port of the targets what it is.
pub fn identify(request: &Request, urls: &Urls) -> Result<Report, Error> {
    let (mut ports, snapshot) = check::observe(request)?;
    leave_out_unasked(request, &mut ports);
    let os = snapshot.host.os;
    let calls: Vec<Option<Call>> =
        ports.iter().map(|port| call(port, &snapshot.processes, request.family, urls, os)).collect();
    let found = ask_all(&ports, &calls);
    for (port, found) in ports.iter_mut().zip(found) {
        port.identified = Some(Box::new(found));
    }
    Ok(Report { diagnosis: Diagnosis::judge(request, ports, snapshot) })
}

/// Leaves out what nobody meant: where one number asks for both protocols, the one on which nobody
/// serves.
fn leave_out_unasked(request: &Request, ports: &mut Vec<Observed>) {
    let is_named = |port: &Observed| {
        let mut targets = request.targets.iter().filter(|target| target.ports().contains(&port.port));
        request.protocols.len() == 1 || targets.any(|target| target.protocol == Some(port.protocol))
    };
    let serving: Vec<(u16, Protocol)> =
        ports.iter().filter(|port| servers(port).next().is_some()).map(|port| (port.port, port.protocol)).collect();
    ports.retain(|port| {
        let is_served = |protocol| serving.contains(&(port.port, protocol));
        let is_other = !is_served(port.protocol.other()) && port.protocol == Protocol::Tcp;
        is_named(port) || is_served(port.protocol) || is_other
    });
}

/// Asks them, several at a time, in their order.
fn ask_all(ports: &[Observed], calls: &[Option<Call>]) -> Vec<Identified> {
    let one = |(port, call): (&Observed, &Option<Call>)| {
        // What was said may be anything: one answer that breaks a reader is no reason to lose the others.
        let asked = catch_unwind(|| call.as_ref().map(ask));
        asked.ok().flatten().unwrap_or_else(|| unasked(port))
    };
    threads::map(ports.iter().zip(calls).collect(), MOST_THREADS, one)
}

/// Why nothing was asked.
fn unasked(port: &Observed) -> Identified {
    match servers(port).next() {
        Some(socket) => {
            let note = "not asked: over UDP, only DNS is recognised";
            Identified::unknown(Asked::Unknown, Some(socket.local), note)
        }
        None => Identified::unknown(Asked::NoConnection, None, "nobody listens there"),
    }
}

fn servers(port: &Observed) -> impl Iterator<Item = &Socket> {
    port.sockets.iter().filter(|socket| socket.state.is_listening())
}

/// Whom to ask about a port, and what; `None` if nobody listens or nothing harmless is known.
pub fn call(port: &Observed, processes: &[Process], family: Option<Family>, urls: &Urls, os: &str) -> Option<Call> {
    let address = place(port, family, os)?;
    let url = urls.iter().find(|(target, _)| target.ports().contains(&port.port) && target.addresses == port.addresses);
    let typed = url.map(|(_, typed)| typed.clone());
    let pids = servers(port).flat_map(|socket| socket.owners.pids());
    let programs: Vec<String> = pids.filter_map(|&pid| find_process(processes, pid)).flat_map(programs_of).collect();
    let behind = servers(port).filter_map(|socket| Some(socket.forward.as_ref()?.to.as_ref()?.port));
    let ports: Vec<u16> = std::iter::once(port.port).chain(behind).collect();
    let question = choose(port.protocol, &programs, &ports, typed.as_ref())?;
    Some(Call { address, protocol: port.protocol, question, ports, typed })
}

/// What a process is called, and its program file.
fn programs_of(process: &Process) -> Vec<String> {
    let file = process.exe.as_ref().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    std::iter::once(process.name.clone()).chain(file).collect()
}

/// Where to connect: the address that was asked about, else on loopback if the server is there, else
/// the server's own address.
fn place(port: &Observed, family: Option<Family>, os: &str) -> Option<SocketAddr> {
    const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let wanted = if port.addresses.is_empty() { &LOOPBACK[..] } else { &port.addresses };
    let mut wanted = wanted.iter().copied().filter(|&address| Family::fits(family, address));
    let is_served = |address: &IpAddr| servers(port).any(|socket| socket.device.is_none() && socket.overlaps(*address));
    if let Some(address) = wanted.clone().find(is_served) {
        return Some(with_loopback(address, port.port));
    }
    let own = servers(port).map(|socket| socket.local).find(|local| Family::fits(family, local.ip()));
    match own {
        Some(own) => Some(with_loopback(own.ip().to_canonical(), own.port())).map(|plain| match own {
            SocketAddr::V6(v6) if plain.is_ipv6() && v6.scope_id() != 0 => own,
            _ => plain,
        }),
        // Other systems than Linux may not show the sockets of others.
        None if os != "linux" && port.protocol == Protocol::Tcp => Some((wanted.next()?, port.port).into()),
        None => None,
    }
}

/// The wildcard is asked on loopback.
fn with_loopback(address: IpAddr, port: u16) -> SocketAddr {
    let address = match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    (address, port).into()
}
