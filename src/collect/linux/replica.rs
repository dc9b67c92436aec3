//! Who can reach a port, tried on a replica of this machine's network: a network namespace with the
//! same interfaces, addresses, routes and rules, into which packets are sent.
//!
//! The replica belongs to a thread of ours. It has no name and no file, so it ends with us, however
//! we end. Nothing of the machine itself is changed.

mod build;
mod doubts;
mod fate;
mod firewall;
mod legacy;
mod netfilter;
mod network;
mod packet;
mod programs;
mod ruleset;
mod settings;
mod trial;
mod tun;

use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;

use nix::sched::CloneFlags;
use socket2::{Domain, Type};

use crate::model::{Family, Gap, Place, Protocol, Question, Replay, ShownBy, Socket, gap};
use build::Replica;
use firewall::Firewall;
use netfilter::Tracer;
use network::Network;
use programs::Guarded;
use trial::Bench;

/// The addresses of this machine, as they are when packets arrive.
pub fn places() -> Vec<Place> {
    Network::read().map(|network| network.places()).unwrap_or_default()
}

/// See [`crate::collect::replay`].
pub fn replay(proc: &Path, listeners: &[&Socket], questions: &[Question]) -> Replay {
    let untried = |gap: Gap| Replay { trials: vec![None; questions.len()], gaps: vec![gap], has_ufw: false };
    let mut network = match Network::read() {
        Ok(network) => network,
        Err(failure) => return untried(unknown(format!("the network cannot be read: {failure}"))),
    };
    let Ok(firewall) = Firewall::read(proc) else { return untried(refused()) };
    network.doubts.extend(programs::elsewhere(proc, &network));
    let guarded = programs::of_cgroups(proc, listeners);
    // Only this thread leaves our network namespace, and it ends with the trials.
    let tried = thread::scope(|scope| {
        let work = || {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).map_err(|_| refused())?;
            try_all(&network, &firewall, &guarded, listeners, questions)
        };
        let spawned = thread::Builder::new().name("replica".to_owned()).spawn_scoped(scope, work);
        match spawned.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(tried)) => tried,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(unknown(format!("no thread for trials: {error}"))),
        }
    });
    tried.unwrap_or_else(untried)
}

/// Builds the replica in this thread's namespace, and asks all questions there.
fn try_all(
    network: &Network,
    firewall: &Firewall,
    guarded: &[Guarded],
    listeners: &[&Socket],
    questions: &[Question],
) -> Result<Replay, Gap> {
    let mut replica = Replica::build(network, |name| firewall.names(name)).map_err(unknown)?;
    let names: Vec<&str> = replica.tuns.iter().map(|(index, _)| network.name_of(*index)).collect();
    let (failed, is_traced) = firewall.load_again(&names);
    let mut doubts: Vec<String> = [&network.doubts[..], &firewall.doubts, &replica.doubts, &failed].concat();
    let (servers, receivers, unbound) = put_up(listeners);
    doubts.extend(unbound);
    let tracer = is_traced.then(Tracer::open).and_then(Result::ok);
    let handles = netfilter::handles().unwrap_or_default();
    let mut bench = Bench {
        replica: &mut replica,
        firewall,
        guarded,
        handles,
        tracer,
        receivers,
        count: 0,
        sequence: Cell::default(),
    };
    let trials = questions.iter().map(|question| bench.ask(question)).collect();
    drop(servers);
    let gaps = doubts.into_iter().map(|what| unknown(format!("who can reach the port: {what} could not be replayed")));
    let has_ufw = firewall.texts.has_ufw() || firewall.legacy.has_ufw();
    Ok(Replay { trials, gaps: gaps.collect(), has_ufw })
}

/// Binds and listens as the real servers do. The second list is those that receive datagrams, the
/// third is what could not be bound.
fn put_up(listeners: &[&Socket]) -> (Vec<socket2::Socket>, Vec<UdpSocket>, Vec<String>) {
    let (mut servers, mut receivers, mut unbound) = (Vec::new(), Vec::new(), Vec::new());
    for listener in listeners {
        match bind(listener) {
            Ok(socket) if listener.protocol == Protocol::Udp => receivers.push(socket.into()),
            Ok(socket) => servers.push(socket),
            Err(error) => unbound.push(format!("the server on {} ({error})", listener.local_name())),
        }
    }
    (servers, receivers, unbound)
}

fn bind(listener: &Socket) -> std::io::Result<socket2::Socket> {
    let domain = if listener.family == Family::Ipv4 { Domain::IPV4 } else { Domain::IPV6 };
    let kind = if listener.protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
    let socket = socket2::Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    if listener.family == Family::Ipv6 {
        socket.set_only_v6(listener.v6only.unwrap_or(false))?;
    }
    // Several sockets of one server may have the same address.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if let Some(device) = &listener.device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    let local = match listener.local {
        // The number of the interface is the same in the replica.
        SocketAddr::V6(mut address) if address.ip().is_unicast_link_local() => {
            let name = listener.device.as_deref().unwrap_or_default();
            address.set_scope_id(crate::platform::machine::interface_index(name));
            SocketAddr::V6(address)
        }
        local => local,
    };
    socket.bind(&local.into())?;
    if listener.protocol == Protocol::Tcp {
        socket.listen(64)?;
    }
    Ok(socket)
}

fn unknown(summary: String) -> Gap {
    gap::REACH_UNTRIED.gap(summary)
}

fn refused() -> Gap {
    let (who, shown_by) = if rustix::process::geteuid().is_root() {
        ("trials on a replica of the network are not allowed here", ShownBy::Nothing)
    } else {
        ("only root may read the firewall and try it on a replica", ShownBy::Root)
    };
    Gap { shown_by, ..unknown(format!("who can reach the port: {who}")) }
}
