//! Processes, and who looks after them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{EngineContainer, Forwarder, Pid, Project, Protocol, Task, VirtualHost};

/// Who looks after a process: a unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit {
    /// `nginx.service`, `session-3.scope`.
    pub name: String,
    /// The service manager that runs it.
    pub manager: Manager,
    /// The user of that manager. `None` for the machine's manager, or the reader's own.
    pub user: Option<u32>,
    /// The files that define it, if they were asked for: its own, then its drop-ins.
    pub files: Vec<PathBuf>,
}

impl Unit {
    /// One without its files.
    pub fn new(name: impl Into<String>, manager: Manager, user: Option<u32>) -> Self {
        Self { name: name.into(), manager, user, files: Vec::new() }
    }

    /// The same for a reader with this effective user id. Their own manager needs no user's name.
    pub fn seen_by(&self, euid: Option<u32>) -> Self {
        Self { user: self.user.filter(|&user| Some(user) != euid), ..self.clone() }
    }
}

/// A service manager of systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Manager {
    /// The machine's: `systemctl`.
    System,
    /// A user's: `systemctl --user`.
    User,
}

/// A container, as far as a cgroup path tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Container {
    /// What runs it.
    pub runtime: Runtime,
    /// The full id, or the name for runtimes that go by name.
    pub id: String,
    /// The uid of the Kubernetes pod around it.
    pub pod: Option<String>,
    /// The user who named it, in their part of the cgroups, and whose own engine runs it. `None`
    /// for the machine's.
    pub user: Option<u32>,
}

impl Container {
    /// The same for a reader with this effective user id. Their own engine needs no user's name.
    pub fn seen_by(&self, euid: Option<u32>) -> Self {
        Self { user: self.user.filter(|&user| Some(user) != euid), ..self.clone() }
    }

    /// Whether this is its id or the beginning of it.
    pub fn has_id(&self, typed: &str) -> bool {
        is_id(&self.id, typed)
    }

    /// The first 12 digits of the id, as docker and podman show it. Names are not shortened.
    pub fn short_id(&self) -> &str {
        let is_hash = self.id.len() == 64 && self.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { &self.id[..12] } else { &self.id }
    }
}

/// Whether `typed` is the id of a container, or so much of its beginning that it is no word.
pub fn is_id(id: &str, typed: &str) -> bool {
    const SHORTEST: usize = 3;
    id == typed || (typed.len() >= SHORTEST && id.starts_with(typed))
}

/// A container runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::EnumString)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// containerd, by its CRI plugin or nerdctl.
    Containerd,
    /// CRI-O.
    #[strum(serialize = "cri-o")]
    Crio,
    /// Kubernetes, if the path does not tell the runtime.
    Kubernetes,
    /// systemd-nspawn.
    #[strum(serialize = "systemd-nspawn")]
    Nspawn,
    /// LXC, and LXD and Incus above it.
    Lxc,
}

impl Runtime {
    /// The name as its makers write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
            Self::Crio => "CRI-O",
            Self::Kubernetes => "Kubernetes",
            Self::Lxc => "LXC",
            Self::Containerd | Self::Nspawn => self.into_str(),
        }
    }
}

/// A process that owns a socket, or likely does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its parent. `None` when unknown, and for the first process.
    pub ppid: Option<Pid>,
    /// Its name (`comm`, at most 15 bytes on Linux), which the process can set at will. If it is
    /// blank, what replaces it ([`name_or_stand_in`]).
    pub name: String,
    /// The program file.
    pub exe: Option<PathBuf>,
    /// Whether that file was removed or replaced since.
    pub is_exe_deleted: bool,
    /// The command line, argument by argument; empty when unknown.
    pub command: Vec<String>,
    /// The working directory.
    pub cwd: Option<PathBuf>,
    /// The name of its user.
    pub user: Option<String>,
    /// Its effective user id.
    pub uid: Option<u32>,
    /// When it was started. May be late, but never early.
    pub started_at: Option<SystemTime>,
    /// Whether it is stopped, by a signal or a debugger.
    pub is_stopped: bool,
    /// The directory of the cgroup that freezes it, if one does (`cgroup.freeze`, cgroups(7)).
    pub frozen_cgroup: Option<PathBuf>,
    /// What it may have inherited, if its parent has ended.
    pub legacy: Option<Legacy>,
    /// Its parent, the parent of that one, and so on.
    pub ancestors: Vec<Ancestor>,
    /// The unit of systemd it belongs to.
    pub unit: Option<Unit>,
    /// The container it runs in.
    pub container: Option<Container>,
    /// The same as its engine describes it, who confirms that the process is in there.
    pub engine_container: Option<Box<EngineContainer>>,
    /// What it holds ports for, if not for itself.
    pub forwarder: Option<Forwarder>,
    /// The project it belongs to.
    pub project: Option<Project>,
    /// What it is told to serve, by its configuration on disk.
    pub virtual_hosts: Vec<VirtualHost>,
    /// The task that started it, or that it runs itself.
    pub task: Option<Task>,
    /// The ports that it waits on besides those that were asked about.
    pub also_holds: Vec<(u16, Protocol)>,
    /// How many connections there are to its listeners that were asked about. `None` if unknown.
    pub clients: Option<usize>,
}

impl Process {
    /// Whether it is a service manager of systemd. Anybody can take that name, so it counts for the
    /// first process only. Users' managers are recognised by their program file.
    pub fn is_service_manager(&self) -> bool {
        const PROGRAMS: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
        let exe = self.exe.as_ref().and_then(|exe| exe.to_str()).unwrap_or_default();
        // The kernel appends this to the name of a file that was replaced.
        let is_program = PROGRAMS.contains(&exe.trim_end_matches(" (deleted)"));
        is_program || (self.pid == 1 && self.name == "systemd")
    }
}

/// What a process has inherited from a parent that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Legacy {
    /// Whether its descriptor of the socket survives exec (no `FD_CLOEXEC`, fcntl(2)), as an
    /// inherited one does.
    pub survives_exec: bool,
    /// Whether a thread of it runs, or waits in a system call that connections can end. `None` if
    /// that cannot be seen.
    pub serves: Option<bool>,
}

/// A process from which another one descends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    /// Its id.
    pub pid: Pid,
    /// Its name.
    pub name: String,
}

/// The name of a process. If its own name is blank: its program file, its first argument, or
/// `unnamed`.
pub fn name_or_stand_in(own: &str, exe: Option<&Path>, command: &[String]) -> String {
    let program = exe.and_then(Path::file_name).map(|file| file.to_string_lossy().into_owned());
    let own = Some(own.to_owned());
    let names = [own, program, command.first().cloned()];
    let is_visible = |name: &String| !name.trim().is_empty();
    names.into_iter().flatten().find(is_visible).unwrap_or_else(|| "unnamed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_name_has_a_stand_in() {
        let exe = Path::new("/usr/bin/perl");
        let command = ["/opt/serve".to_owned(), "--port".to_owned()];
        assert_eq!(name_or_stand_in("web", Some(exe), &command), "web");
        assert_eq!(name_or_stand_in("", Some(exe), &command), "perl");
        assert_eq!(name_or_stand_in(" \t", None, &command), "/opt/serve");
        assert_eq!(name_or_stand_in("", None, &[String::new(), "--port".to_owned()]), "unnamed");
        assert_eq!(name_or_stand_in("", Some(Path::new("/")), &[]), "unnamed");
    }
}
