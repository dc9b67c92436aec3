//! The socket units of systemd (systemd.socket(5)): finds the one that names an address and port.
//!
//! They are read from the unit files, and only if systemd was seen to have a socket. Asking systemd
//! itself would need D-Bus, which sandboxes refuse.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{Gap, Manager, Owners, Pid, Process, Protocol, Socket, Unit, find_process, gap};
use crate::platform::{foreign, users};

/// The directories of units, the strongest first (systemd.unit(5)).
const SYSTEM: &[&str] = &[
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
const USER: &[&str] = &["etc/systemd/user", "run/systemd/user", "usr/lib/systemd/user"];

/// What a `Listen…=` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    protocol: Protocol,
    /// `None` for a port alone, which means any address.
    address: Option<IpAddr>,
    port: u16,
}

/// The units of a manager.
#[derive(Debug)]
pub struct SocketUnits {
    manager: Manager,
    units: Vec<(String, Vec<Listen>)>,
}

impl SocketUnits {
    /// Reads the units of `manager` below `root`. A user's units are also in the home directory, if
    /// given.
    pub fn read(root: &Path, manager: Manager, home: Option<&Path>) -> Self {
        let directories = directories(root, manager, home);
        let mut units: Vec<(String, Vec<Listen>)> = Vec::new();
        for directory in &directories {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                // A unit of the same name in a stronger directory replaces this one.
                if !name.ends_with(".socket") || units.iter().any(|(known, _)| *known == name) {
                    continue;
                }
                let mut listens = Vec::new();
                parse(&read_unit(&entry.path()), &mut listens);
                for drop_in in drop_ins(&directories, &name) {
                    parse(&read_unit(&drop_in), &mut listens);
                }
                units.push((name, listens));
            }
        }
        Self { manager, units }
    }

    /// The unit that names what `socket` is bound to.
    pub fn of(&self, socket: &Socket) -> Option<Unit> {
        let (name, _) = self.units.iter().find(|(_, listens)| listens.iter().any(|listen| listen.is(socket)))?;
        Some(Unit::new(name.clone(), self.manager, None))
    }
}

/// The directories of a manager's units below `root`, the strongest first. A user's are also in the home
/// directory, if given.
pub fn directories(root: &Path, manager: Manager, home: Option<&Path>) -> Vec<PathBuf> {
    let directories = match manager {
        Manager::System => SYSTEM,
        Manager::User => USER,
    };
    let own = home.map(|home| home.join(".config/systemd/user"));
    own.into_iter().chain(directories.iter().map(|directory| root.join(directory))).collect()
}

/// The text of a unit or drop-in, following a link. Empty if that is not a unit file.
fn read_unit(path: &Path) -> String {
    let bytes = fs::canonicalize(path).and_then(|path| foreign::read(&path)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Listen {
    fn is(self, socket: &Socket) -> bool {
        let has_address = match self.address {
            Some(address) => address == socket.local.ip(),
            // systemd binds :: for a port alone, or 0.0.0.0 on a machine without IPv6.
            None => socket.local.ip().is_unspecified(),
        };
        has_address && (self.protocol, self.port) == (socket.protocol, socket.local.port())
    }
}

/// The drop-ins `NAME.socket.d/*.conf` of all directories, by their names. Of two with the same
/// name the stronger one counts.
pub fn drop_ins(directories: &[PathBuf], unit: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for directory in directories {
        for entry in fs::read_dir(directory.join(format!("{unit}.d"))).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_new = found.iter().all(|known| known.file_name() != path.file_name());
            if path.extension().is_some_and(|extension| extension == "conf") && is_new {
                found.push(path);
            }
        }
    }
    found.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    found
}

/// Adds what a unit file listens on. An empty assignment removes everything before it.
pub fn parse(text: &str, listens: &mut Vec<Listen>) {
    for line in text.lines().map(str::trim) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let protocol = match key.trim() {
            "ListenStream" => Protocol::Tcp,
            "ListenDatagram" => Protocol::Udp,
            _ => continue,
        };
        match value.trim() {
            "" => listens.clear(),
            value => listens.extend(parse_listen(protocol, value)),
        }
    }
}

/// `80`, `127.0.0.1:80`, `[::1]:80`. Paths, abstract names and the like have no port.
fn parse_listen(protocol: Protocol, value: &str) -> Option<Listen> {
    if let Ok(port) = value.parse() {
        return Some(Listen { protocol, address: None, port });
    }
    let address: SocketAddr = value.parse().ok()?;
    Some(Listen { protocol, address: Some(address.ip()), port: address.port() })
}

/// How long reading the unit files of all managers may take. A home directory may be on a server
/// that does not answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// Adds the socket unit to each socket that a manager opened and a unit names. Returns what could
/// not be read.
pub fn assign(sockets: &mut [Socket], processes: &[Process]) -> Option<Gap> {
    let managers: Vec<Option<(Manager, Option<u32>)>> =
        sockets.iter().map(|socket| manager_of(socket, processes)).collect();
    let mut wanted: Vec<(Manager, Option<u32>)> = managers.iter().copied().flatten().collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return None;
    }
    let Some(read) = foreign::within(DEADLINE, || wanted.into_iter().map(read_units).collect::<Vec<_>>()) else {
        return Some(gap::UNIT_FILES_LATE.gap("the unit files of systemd could not be read in time"));
    };
    for (socket, manager) in sockets.iter_mut().zip(managers) {
        let units = read.iter().find(|(of, _)| Some(*of) == manager);
        socket.activated_by =
            units.and_then(|((_, user), units)| Some(Box::new(Unit { user: *user, ..units.of(socket)? })));
    }
    None
}

/// Reads the units of a manager.
fn read_units(of: (Manager, Option<u32>)) -> ((Manager, Option<u32>), SocketUnits) {
    let (manager, user) = of;
    (of, SocketUnits::read(Path::new("/"), manager, own_home(user).as_deref()))
}

/// The home directory of `user`, if that is who asks. Units in another user's home directory are
/// that user's word, and are not read.
pub fn own_home(user: Option<u32>) -> Option<PathBuf> {
    user.filter(|&user| user == rustix::process::geteuid().as_raw()).and_then(users::home_of)
}

/// The manager that opened a socket, and its user if it is a user's manager. It is one of the
/// owners. If the owners cannot be seen, the cgroup in which the socket was made tells.
fn manager_of(socket: &Socket, processes: &[Process]) -> Option<(Manager, Option<u32>)> {
    let is_manager = |pid: &&Pid| find_process(processes, **pid).is_some_and(Process::is_service_manager);
    let manager = match &socket.owners {
        _ if !socket.state.is_waiting() => None,
        Owners::Known(pids) | Owners::Partial { pids, .. } => {
            pids.iter().find(is_manager).map(|&pid| if pid == 1 { Manager::System } else { Manager::User })
        }
        Owners::Likely { .. } | Owners::Hidden { .. } => socket.cgroup.as_deref().and_then(manager_of_cgroup),
        _ => None,
    }?;
    Some((manager, socket.uid.filter(|_| manager == Manager::User)))
}

/// The manager that makes its sockets in this cgroup. Managers are in a scope of their own.
fn manager_of_cgroup(path: &str) -> Option<Manager> {
    match path.strip_suffix("/init.scope")? {
        "" => Some(Manager::System),
        above if above.rsplit('/').next().is_some_and(|name| name.starts_with("user@")) => Some(Manager::User),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::testing::listener;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_unit_that_names_the_port_is_found() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\nAccept=no\n");
        write(root.path(), "usr/lib/systemd/system/cups.socket", "[Socket]\nListenStream = 127.0.0.1:631\n");
        write(root.path(), "usr/lib/systemd/system/docker.socket", "[Socket]\nListenStream=/run/docker.sock\n");
        write(root.path(), "usr/lib/systemd/system/dns.socket", "[Socket]\nListenDatagram=[::1]:53\n");
        let units = SocketUnits::read(root.path(), Manager::System, None);
        let name = |socket: &Socket| units.of(socket).map(|unit| unit.name);
        assert_eq!(name(&listener("[::]:22")).as_deref(), Some("ssh.socket"));
        assert_eq!(name(&listener("127.0.0.1:22")), None, "a port alone is the wildcard");
        assert_eq!(name(&listener("127.0.0.1:631")).as_deref(), Some("cups.socket"));
        assert_eq!(name(&listener("[::1]:53")), None, "the unit is for UDP");
        let datagram = Socket { protocol: Protocol::Udp, family: Family::Ipv6, ..listener("[::1]:53") };
        assert_eq!(name(&datagram).as_deref(), Some("dns.socket"));
    }

    #[test]
    fn stronger_directories_and_drop_ins_count() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "usr/lib/systemd/system/a.socket", "ListenStream=1000\n");
        write(root.path(), "etc/systemd/system/a.socket", "ListenStream=2000\n");
        write(root.path(), "usr/lib/systemd/system/b.socket", "ListenStream=3000\n");
        write(root.path(), "etc/systemd/system/b.socket.d/port.conf", "[Socket]\nListenStream=\nListenStream=4000\n");
        let units = SocketUnits::read(root.path(), Manager::System, None);
        let has = |port: u16| units.of(&listener(&format!("[::]:{port}"))).is_some();
        assert_eq!([1000, 2000, 3000, 4000].map(has), [false, true, false, true]);
    }

    #[test]
    fn managers_have_a_scope_of_their_own() {
        assert_eq!(manager_of_cgroup("/init.scope"), Some(Manager::System));
        let user = "/user.slice/user-1000.slice/user@1000.service/init.scope";
        assert_eq!(manager_of_cgroup(user), Some(Manager::User));
        assert_eq!(manager_of_cgroup("/system.slice/web.service"), None);
        assert_eq!(manager_of_cgroup("/machine.slice/x/init.scope"), None);
    }
}
