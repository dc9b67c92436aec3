//! Where the holders of ports forward what arrives, as their command lines tell, and who listens at
//! the other end if that is on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Detail, Namespaces, Scope};
use crate::classify::forwards::Program;
use crate::model::{
    Confidence, Destination, Forward, ForwardKind, Forwarder, Hides, Process, Protocol, Server, Snapshot, Socket,
    SshServer, State, Through, VirtualHost, find_process,
};
use crate::platform::machine;
use crate::supervisor;
use crate::target::Target;

/// Adds to the sockets of `snapshot` where their holders forward what arrives. `look` takes another
/// snapshot, if one of them forwards it to this machine.
pub fn assign(scope: &Scope, snapshot: &mut Snapshot, look: impl FnOnce(&Scope) -> Option<Snapshot>) {
    let Snapshot { sockets, processes, .. } = snapshot;
    for socket in sockets.iter_mut().filter(|socket| serves(socket) && socket.forward.is_none()) {
        let owners = socket.owners.seen().unwrap_or_default();
        let mut owners = owners.iter().filter_map(|&pid| find_process(processes, pid));
        socket.forward = owners.find_map(|process| forward(process, socket)).map(Box::new);
    }
    let ends: Vec<End> = sockets.iter().filter_map(End::of).collect();
    if ends.is_empty() {
        return;
    }
    let protocols = Protocol::ALL.into_iter().filter(|&protocol| ends.iter().any(|end| end.protocol == protocol));
    let there = Scope {
        protocols: protocols.collect(),
        targets: ends.iter().flat_map(End::targets).collect(),
        connections: false,
        tcp_info: false,
        detail: Detail::Brief,
        quick: false,
        family: None,
        namespaces: Namespaces::Own,
        ..scope.clone()
    };
    // Without it, nothing is said of the other end.
    let Some(seen) = look(&there) else { return };
    for socket in sockets {
        if let Some(end) = End::of(socket) {
            socket.forward.as_mut().into_iter().for_each(|forward| end.complete(forward, &seen));
        }
    }
}

/// Whether a socket waits for peers.
fn serves(socket: &Socket) -> bool {
    matches!(socket.state, State::Listen | State::Unconnected)
}

/// Where `process` forwards what arrives at `socket`, if it is a program that forwards.
fn forward(process: &Process, socket: &Socket) -> Option<Forward> {
    if process.forwarder == Some(Forwarder::SshSession) {
        return Some(Forward::new(ForwardKind::RemoteForward, "sshd"));
    }
    if let Some(forward) = configured(process, socket) {
        return Some(forward);
    }
    let program = Program::of(process)?;
    match program.on(socket.protocol, socket.local.ip(), socket.local.port()) {
        Some(told) => Some(told.forward(program.name)),
        None => Some(Forward::new(program.otherwise?, program.name)),
    }
}

/// The same by the configuration of `process`, which may have changed since it was read.
fn configured(process: &Process, socket: &Socket) -> Option<Forward> {
    let passes = |host: &&VirtualHost| host.is_on(socket.local.port()) && !host.passes_to.is_empty();
    let host = process.virtual_hosts.iter().find(passes).filter(|_| socket.protocol == Protocol::Tcp)?;
    let forward = Forward::new(ForwardKind::Proxy, host.server);
    let place = match &host.passes_to[..] {
        _ if host.is_newer => return Some(forward),
        // It depends on what arrives.
        places if places.iter().any(|place| place.contains('$')) => return Some(forward),
        [place] => place,
        several => {
            return Some(Forward { to_place: Some(several.join(", ")), confidence: Confidence::Likely, ..forward });
        }
    };
    let to = place.rsplit_once(':').and_then(|(name, port)| {
        let host = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Destination { host, port: port.parse().ok()?, namespace: None })
    });
    let to_place = to.is_none().then(|| place.clone());
    Some(Forward { to, to_place, confidence: Confidence::Likely, ..forward })
}

/// The other end of a forward, where it is on this machine.
struct End {
    protocol: Protocol,
    addresses: Vec<IpAddr>,
    port: u16,
    /// The server of ssh from which it is reached, as address and port, if there is one. It is on
    /// this machine if sshd has that port.
    through: Option<(Vec<IpAddr>, u16)>,
}

impl End {
    /// `None` if it is elsewhere, as from another network namespace, or not known.
    fn of(socket: &Socket) -> Option<Self> {
        let forward = socket.forward.as_deref().filter(|_| socket.namespace.is_none())?;
        let to = forward.to.as_ref()?;
        let through = match (forward.kind, &forward.through) {
            (ForwardKind::Proxy, None) => None,
            (ForwardKind::LocalForward, Some(Through::Ssh(SshServer { host, port, is_direct: true, .. }))) => {
                Some((local(host)?, *port))
            }
            _ => return None,
        };
        Some(Self { protocol: socket.protocol, addresses: local(&to.host)?, port: to.port, through })
    }

    fn targets(&self) -> impl Iterator<Item = Target> {
        let target = |port, protocol, addresses: &[IpAddr]| Target {
            first: port,
            last: port,
            protocol: Some(protocol),
            addresses: addresses.to_vec(),
            zone: None,
        };
        let server = self.through.as_ref().map(|(addresses, port)| target(*port, Protocol::Tcp, addresses));
        [target(self.port, self.protocol, &self.addresses)].into_iter().chain(server)
    }

    /// Adds to `forward` who listens there, or that nobody does.
    fn complete(&self, forward: &mut Forward, seen: &Snapshot) {
        let is_here = self.through.as_ref().is_none_or(|(addresses, port)| {
            waiting(seen, Protocol::Tcp, addresses, *port).any(|socket| is_sshd(socket, &seen.processes))
        });
        if !is_here {
            return;
        }
        let mut is_dead = seen.gaps.iter().all(|gap| gap.kind.hides != Hides::Sockets);
        for socket in waiting(seen, self.protocol, &self.addresses, self.port) {
            is_dead = false;
            let owners = socket.owners.seen().unwrap_or_default();
            for process in owners.iter().filter_map(|&pid| find_process(&seen.processes, pid)) {
                let server = Server { pid: process.pid, name: process.name.clone() };
                if !forward.ends_at.contains(&server) {
                    forward.ends_at.push(server);
                }
            }
        }
        forward.is_dead = is_dead;
    }
}

/// The sockets that wait for peers on one of these addresses.
fn waiting<'a>(
    seen: &'a Snapshot,
    protocol: Protocol,
    addresses: &'a [IpAddr],
    port: u16,
) -> impl Iterator<Item = &'a Socket> {
    let reaches = move |socket: &&Socket| addresses.iter().any(|&address| socket.overlaps(address));
    let is_there = move |socket: &&Socket| socket.protocol == protocol && socket.local.port() == port;
    seen.sockets.iter().filter(|socket| serves(socket)).filter(is_there).filter(reaches)
}

/// Whether sshd waits for logins at a socket. Something else would lead to another machine: a
/// virtual machine, a container, another tunnel.
fn is_sshd(socket: &Socket, processes: &[Process]) -> bool {
    let is_name = |name: &str| ["ssh", "sshd"].contains(&name.split(['.', '@']).next().unwrap_or_default());
    let unit = socket.cgroup.as_deref().and_then(|cgroup| supervisor::of_cgroup(cgroup).unit);
    let owners = socket.owners.pids().iter().filter_map(|&pid| find_process(processes, pid));
    unit.is_some_and(|unit| is_name(&unit.name))
        || owners.into_iter().any(|process| {
            let file = process.exe.as_ref().and_then(|exe| exe.file_name()).map(|file| file.to_string_lossy());
            file.is_some_and(|file| file.trim_end_matches(" (deleted)") == "sshd") && process.forwarder.is_none()
        })
}

/// The addresses of this machine that a host stands for, without asking anybody: `None` if it is
/// elsewhere, or only a name server knows.
fn local(host: &str) -> Option<Vec<IpAddr>> {
    let both = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    match host.parse::<IpAddr>() {
        // A connection to the wildcard goes to loopback.
        Ok(address) if address.is_unspecified() => Some(both()),
        Ok(address) => (machine::is_own(address) && !address.is_multicast()).then(|| vec![address]),
        Err(_) => host.eq_ignore_ascii_case("localhost").then(both),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, Confidence, gap};
    use crate::testing::{host, listener, owned, process};

    fn running(pid: u32, line: &str) -> Process {
        let command = shlex::split(line).unwrap();
        Process { command: command.clone(), ..process(pid, 7, &command[0]) }
    }

    fn snapshot(sockets: Vec<Socket>, processes: Vec<Process>) -> Snapshot {
        Snapshot { host: host(), sockets, processes, gaps: Vec::new() }
    }

    /// The forward of a program that listens on 8080, with what the second look sees.
    fn forward_of(line: &str, look: impl FnOnce(&Scope) -> Option<Snapshot>) -> Option<Forward> {
        let mut seen = snapshot(vec![owned("127.0.0.1:8080", &[42])], vec![running(42, line)]);
        let scope = Scope {
            backend: Backend::Native,
            protocols: Protocol::ALL.to_vec(),
            targets: Vec::new(),
            connections: false,
            tcp_info: false,
            detail: Detail::Full,
            quick: false,
            family: None,
            namespaces: Namespaces::Own,
        };
        assign(&scope, &mut seen, look);
        seen.sockets.remove(0).forward.map(|forward| *forward)
    }

    #[test]
    fn a_forward_to_nobody_is_dead_only_if_it_leads_here() {
        let is_dead = |line: &str| forward_of(line, |_| Some(snapshot(Vec::new(), Vec::new()))).unwrap().is_dead;
        for dead in ["TCP:localhost:80", "TCP:127.0.0.1:80", "TCP6:[::1]:80", "TCP:0.0.0.0:80"] {
            assert!(is_dead(&format!("socat TCP-LISTEN:8080 {dead}")), "{dead}");
        }
        for unknown in ["TCP:192.0.2.1:80", "TCP:db.example:80", "SOCKS4A:localhost:127.0.0.1:80", "UNIX:/run/s"] {
            assert!(!is_dead(&format!("socat TCP-LISTEN:8080 {unknown}")), "{unknown}");
        }
        // Nobody has port 22, so nothing tells that the server is this machine.
        assert!(!is_dead("ssh -L 8080:localhost:80 localhost"));
        let unseen = |_: &Scope| {
            let gaps = vec![gap::TABLE_CHANGED.gap("a table changed")];
            Some(Snapshot { gaps, ..snapshot(Vec::new(), Vec::new()) })
        };
        assert!(!forward_of("socat TCP-LISTEN:8080 TCP:localhost:80", unseen).unwrap().is_dead);
    }

    #[test]
    fn who_listens_at_the_end_is_named() {
        let server = |scope: &Scope| {
            assert_eq!(scope.targets.len(), 1);
            Some(snapshot(vec![owned("0.0.0.0:80", &[50]), owned("10.0.0.5:80", &[51])], vec![process(50, 7, "web")]))
        };
        let found = forward_of("socat TCP-LISTEN:8080 TCP:localhost:80", server).unwrap();
        assert_eq!((found.is_dead, found.ends_at), (false, vec![Server { pid: 50, name: "web".to_owned() }]));
        let hidden = |_: &Scope| Some(snapshot(vec![listener("127.0.0.1:80")], Vec::new()));
        let found = forward_of("socat TCP-LISTEN:8080 TCP:localhost:80", hidden).unwrap();
        assert_eq!((found.is_dead, found.ends_at.len()), (false, 0));
    }

    /// What an ssh server reaches as localhost is this machine only if the server is.
    #[test]
    fn the_end_of_a_tunnel_is_here_only_if_sshd_is() {
        let sshd = |scope: &Scope| {
            assert_eq!(scope.targets.iter().map(|target| target.first).collect::<Vec<_>>(), [80, 2222]);
            let sshd = Process { command: vec!["/usr/sbin/sshd".to_owned()], ..process(60, 1, "sshd") };
            Some(snapshot(vec![owned("127.0.0.1:2222", &[60])], vec![sshd]))
        };
        let machine = |_: &Scope| {
            Some(snapshot(vec![owned("127.0.0.1:2222", &[60])], vec![process(60, 1, "qemu-system-x86_64")]))
        };
        let line = "ssh -p 2222 -L 8080:localhost:80 127.0.0.1";
        assert!(forward_of(line, sshd).unwrap().is_dead);
        assert!(!forward_of(line, machine).unwrap().is_dead);
        for elsewhere in ["ssh -J jump -p 2222 -L 8080:localhost:80 127.0.0.1", "ssh -L 8080:localhost:80 db.example"] {
            assert!(!forward_of(elsewhere, |_| unreachable!()).unwrap().is_dead, "{elsewhere}");
        }
    }

    #[test]
    fn what_is_not_told_is_unknown() {
        let of = |line: &str| {
            forward_of(line, |_| Some(snapshot(Vec::new(), Vec::new()))).map(|found| (found.kind, found.confidence))
        };
        assert_eq!(of("ssh host"), Some((ForwardKind::LocalForward, Confidence::Unknown)));
        assert_eq!(of("haproxy -f a.cfg"), Some((ForwardKind::Proxy, Confidence::Unknown)));
        assert_eq!(of("sshd-session"), Some((ForwardKind::RemoteForward, Confidence::Unknown)));
        assert_eq!(of("ssh -D 8080 host"), Some((ForwardKind::DynamicForward, Confidence::Known)));
        for other in ["ngrok http 80", "socat TCP-LISTEN:9090 TCP:h:80", "python3 -m http.server 8080"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
