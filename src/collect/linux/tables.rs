//! The four socket tables, by netlink or else as text, with gaps for what each cannot show.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::host;
use super::netlink::Failure;
use super::proc_net::{self, Table};
use super::sock_diag::{Entry, SockDiag, States};
use super::sockstat::Counts;
use crate::collect::Scope;
use crate::error::Error;
use crate::model::{Family, Gap, Protocol, State, gap};
use crate::port_set::PortSet;

/// Access to the tables, and what they were found not to show.
#[derive(Debug)]
pub struct Tables {
    proc: PathBuf,
    /// `None` after netlink was refused.
    diag: Option<SockDiag>,
    gaps: Vec<Gap>,
}

impl Tables {
    /// Opens netlink, or else uses the text under `proc`.
    pub fn open(proc: &Path) -> Self {
        let mut tables = Self::text(proc.to_owned());
        match SockDiag::open() {
            Ok(diag) => tables.diag = Some(diag),
            Err(error) => tables.give_up_netlink(&error),
        }
        tables
    }

    /// The text alone, under `proc`: the directory of a process shows the tables of its network
    /// namespace.
    pub fn text(proc: PathBuf) -> Self {
        Self { proc, diag: None, gaps: Vec::new() }
    }

    /// Reads the sockets that `scope` asks for: waiting sockets first, and connections only if
    /// asked for or needed.
    pub fn read_scope(&mut self, scope: &Scope) -> Result<Vec<Entry>, Error> {
        let mut entries = self.read_waiting(scope)?;
        if scope.protocols.contains(&Protocol::Tcp) && !scope.connections {
            let unexplained = scope.unexplained(entries.iter().map(|entry| &entry.socket));
            if !unexplained.is_empty() {
                entries.extend(self.read(Protocol::Tcp, States::CONNECTED, &unexplained)?);
            }
        }
        drop_doubles(&mut entries);
        Ok(entries)
    }

    /// The same without the connections that decide whether a bind works. Those of another network
    /// namespace decide nothing here.
    pub fn read_elsewhere(&mut self, scope: &Scope) -> Result<Vec<Entry>, Error> {
        let mut entries = self.read_waiting(scope)?;
        drop_doubles(&mut entries);
        Ok(entries)
    }

    /// Waiting sockets, and connections if they were asked for.
    fn read_waiting(&mut self, scope: &Scope) -> Result<Vec<Entry>, Error> {
        let ports = scope.ports();
        let mut entries = Vec::new();
        let counts = self.count();
        if scope.protocols.contains(&Protocol::Tcp) {
            let states: &[States] = match (scope.connections, scope.tcp_info) {
                (false, _) => &[States::WAITING],
                (true, false) => &[States::WAITING, States::CONNECTED],
                (true, true) => &[States::ALL],
            };
            for &states in states {
                add(&mut entries, self.read_counted(counts, Protocol::Tcp, states, &ports)?);
            }
        }
        if scope.protocols.contains(&Protocol::Udp) {
            entries.extend(self.read_counted(counts, Protocol::Udp, States::ALL, &ports)?);
        }
        Ok(entries)
    }

    /// Counts all sockets. `None` where netlink was refused.
    pub fn count(&self) -> Option<Counts> {
        self.diag.as_ref().and_then(|_| Counts::read(&self.proc))
    }

    /// The sockets of `protocol` in `states` with a local port in `ports`, without the walks that can
    /// find none by `counts`.
    pub fn read_counted(
        &mut self,
        counts: Option<Counts>,
        protocol: Protocol,
        states: States,
        ports: &PortSet,
    ) -> Result<Vec<Entry>, Error> {
        let Some(counts) = counts else { return self.read(protocol, states, ports) };
        let states = match (protocol, states) {
            (Protocol::Udp, _) if counts.of(protocol) == 0 => return Ok(Vec::new()),
            (Protocol::Tcp, States::WAITING) if !counts.may_have_bound() => States::LISTENING,
            _ => states,
        };
        // Most of them are connections.
        let is_most = ports.is_all() && states.have(State::Established);
        self.read_expected(protocol, states, ports, if is_most { counts.of(protocol) } else { 0 })
    }

    /// The sockets of `protocol` in `states` with a local port in `ports`.
    pub fn read(&mut self, protocol: Protocol, states: States, ports: &PortSet) -> Result<Vec<Entry>, Error> {
        self.read_expected(protocol, states, ports, 0)
    }

    fn read_expected(
        &mut self,
        protocol: Protocol,
        states: States,
        ports: &PortSet,
        expected: usize,
    ) -> Result<Vec<Entry>, Error> {
        if let Some(diag) = &mut self.diag {
            match diag.dump(protocol, states, ports, expected) {
                Ok(dump) => {
                    if dump.interrupted {
                        let summary = format!("the {protocol} table kept changing while it was read");
                        self.add(Gap { protocol: Some(protocol), ..gap::TABLE_CHANGED.gap(summary) });
                    }
                    return Ok(dump.entries);
                }
                // The module udp_diag may be missing, for example. The text may still have the
                // sockets.
                Err(Failure::NoSuch) => {}
                Err(Failure::Refused(error)) => self.give_up_netlink(&error),
                Err(Failure::Failed(error)) => return Err(error),
            }
        }
        let mut entries = Vec::new();
        for family in [Family::Ipv4, Family::Ipv6] {
            add(&mut entries, self.read_text(Table { protocol, family }, states, ports)?);
        }
        Ok(entries)
    }

    /// The same of one table, from the text.
    fn read_text(&mut self, table: Table, states: States, ports: &PortSet) -> Result<Vec<Entry>, Error> {
        match proc_net::read(&self.proc, table, ports)? {
            Some(mut entries) => {
                // The text shows every state.
                entries.retain(|entry| states.have(entry.socket.state));
                if table.protocol == Protocol::Tcp {
                    self.add(bound_sockets_unlisted("/proc/net/tcp does not list them"));
                }
                Ok(entries)
            }
            None if table.family == Family::Ipv6 => {
                let summary =
                    "this kernel has no IPv6 sockets, and no table of them: it was built or started without IPv6";
                self.add(Gap { protocol: Some(table.protocol), ..gap::NO_IPV6_TABLE.gap(summary) });
                Ok(Vec::new())
            }
            None => Err(Error::Read {
                path: self.proc.join("net").join(table.protocol.into_str()),
                source: io::Error::new(io::ErrorKind::NotFound, "netlink gives no socket table either"),
            }),
        }
    }

    /// Checks whether the kernel lists sockets that are bound without listening, if its release
    /// does not tell.
    ///
    /// Distributions port this to older kernels. So below 6.8 a socket of our own is asked for. It
    /// is bound to a port that the kernel picks, never listens, and is closed at once.
    pub fn check_bound_sockets(&mut self, release: Option<&str>) {
        if release.is_some_and(host::is_at_least_6_8) {
            return;
        }
        if let Some(diag) = &mut self.diag
            && !lists_bound_sockets(diag).unwrap_or(false)
        {
            self.add(bound_sockets_unlisted("this kernel, older than Linux 6.8, does not list them"));
        }
    }

    /// The gaps so far.
    pub fn into_gaps(self) -> Vec<Gap> {
        self.gaps
    }

    fn give_up_netlink(&mut self, error: &io::Error) {
        self.diag = None;
        self.add(gap::NETLINK_UNAVAILABLE.gap(format!(
            "the kernel's sock_diag is not available here ({error}): \
             /proc/net tells neither devices, cgroups nor IPV6_V6ONLY"
        )));
    }

    fn add(&mut self, gap: Gap) {
        if !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
    }
}

/// Adds rows behind others. A large table is not copied to a small one.
fn add(entries: &mut Vec<Entry>, mut more: Vec<Entry>) {
    if entries.len() < more.len() {
        more.splice(0..0, entries.drain(..));
        *entries = more;
    } else {
        entries.extend(more);
    }
}

/// The kernel walks its table in steps, and may show a socket twice if it moved in between.
fn drop_doubles(entries: &mut Vec<Entry>) {
    let mut by_inode: Vec<(u64, usize)> =
        entries.iter().enumerate().filter_map(|(at, entry)| Some((entry.socket.inode?, at))).collect();
    by_inode.sort_unstable();
    let key = |at: usize| (entries[at].socket.local, entries[at].socket.state);
    let mut doubles = HashSet::new();
    for group in by_inode.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
        let is_double = |place: usize| group[..place].iter().any(|&(_, at)| key(at) == key(group[place].1));
        doubles.extend((1..group.len()).filter(|&place| is_double(place)).map(|place| group[place].1));
    }
    if !doubles.is_empty() {
        let mut at = 0..;
        entries.retain(|_| at.next().is_none_or(|at| !doubles.contains(&at)));
    }
}

fn bound_sockets_unlisted(why: &str) -> Gap {
    let summary = format!("sockets that are bound but not listening cannot be seen: {why}");
    Gap { protocol: Some(Protocol::Tcp), ..gap::BOUND_SOCKETS_UNLISTED.gap(summary) }
}

fn lists_bound_sockets(diag: &mut SockDiag) -> Result<bool, io::Error> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    rustix::net::bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let bound = std::net::SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    let ports = [(bound.port(), bound.port())].into_iter().collect();
    let dump = diag.dump(Protocol::Tcp, States::WAITING, &ports, 0).map_err(io::Error::other)?;
    Ok(dump.entries.iter().any(|entry| entry.socket.local == bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Socket;

    /// On a kernel that is new enough, the check must agree with its release.
    #[test]
    fn the_check_of_old_kernels_agrees_with_the_release_of_young_ones() {
        let proc = Path::new("/proc");
        let mut tables = Tables::open(proc);
        let release = host::host(proc).release.unwrap();
        tables.check_bound_sockets(Some("5.0"));
        let unlisted = tables.into_gaps().iter().any(|gap| gap.kind == &gap::BOUND_SOCKETS_UNLISTED);
        if host::is_at_least_6_8(&release) {
            assert!(!unlisted, "Linux {release} lists bound sockets");
        } else {
            crate::testing::skip(&format!("Linux {release} may or may not list bound sockets"));
        }
    }

    #[test]
    fn a_walk_is_left_out_where_the_counts_say_that_it_finds_nothing() {
        crate::testing::in_network_namespace(|| {
            let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            bound.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 8080)).into()).unwrap();
            let _datagrams = std::net::UdpSocket::bind("127.0.0.1:8080").unwrap();
            let ports = [(8080, 8080)].into_iter().collect();
            let mut tables = Tables::open(Path::new("/proc"));
            let mut found = |counts| {
                [(Protocol::Tcp, States::WAITING), (Protocol::Udp, States::ALL)]
                    .map(|(protocol, states)| tables.read_counted(counts, protocol, states, &ports).unwrap().len())
            };
            let uncounted = found(None);
            assert_eq!(uncounted[1], 1);
            for _ in 0..100 {
                assert_eq!(found(Counts::read(Path::new("/proc"))), uncounted);
            }
            let counts = Counts::parse("TCP: inuse 3 alloc 5\nUDP: inuse 0\n", "TCP6: inuse 2\nUDP6: inuse 0\n");
            assert!(counts.is_some());
            assert_eq!(found(counts), [0, 0]);
        });
    }

    #[test]
    fn a_socket_that_is_shown_twice_counts_once() {
        let entry = |local: &str, inode: u64, state: State| {
            let socket = Socket { inode: Some(inode), state, ..crate::testing::listener(local) };
            Entry { socket, interface: 0, cgroup_id: None }
        };
        let listening = entry("127.0.0.1:80", 7, State::Listen);
        let other = entry("127.0.0.1:80", 8, State::Listen);
        let closed = entry("127.0.0.1:80", 7, State::Bound);
        let mut entries = vec![listening.clone(), other.clone(), listening.clone(), closed.clone(), listening.clone()];
        drop_doubles(&mut entries);
        assert_eq!(entries, [listening, other, closed]);
    }

    /// No netlink, and a /proc that has TCP over IPv4 only.
    #[test]
    fn the_text_serves_where_netlink_does_not() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("net")).unwrap();
        std::fs::write(root.path().join("net/tcp"), "header\n").unwrap();
        let mut tables = Tables::text(root.path().to_owned());
        assert!(tables.read(Protocol::Tcp, States::ALL, &PortSet::all()).unwrap().is_empty());
        assert!(tables.read(Protocol::Udp, States::ALL, &PortSet::all()).is_err());
        let gaps: Vec<_> = tables.into_gaps().iter().map(|gap| gap.kind).collect();
        assert_eq!(gaps, [&gap::BOUND_SOCKETS_UNLISTED, &gap::NO_IPV6_TABLE]);
    }
}
