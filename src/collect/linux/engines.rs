//! For which container a forwarder holds a port, and whether a process is in the container that its cgroup names: by the word
//! of the engine that owns it, asked over its own socket.
//!
//! An engine is asked only while its process runs, and only through a socket that this process has open: to connect to
//! one that systemd keeps for it would start it. Environment and contexts lead to other engines, and are not followed.

mod docker;
mod http;

use std::collections::HashMap;
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};

use super::pids;
use super::program::Program;
use crate::model::{
    Engine, EngineContainer, Forwarder, Pid, Process, Proxied, Publication, PublishedPort, Runtime, Socket,
    find_process,
};
use crate::platform::foreign;
use crate::platform::proc::parse_socket_link;

/// How long all engines together may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Names the containers behind `sockets`, and those that `processes` certainly run in.
pub fn assign(proc: &Path, sockets: &mut [Socket], processes: &mut [Process]) {
    let mut engines = Engines::new(proc);
    for socket in sockets {
        let Some(pids) = socket.owners.seen() else { continue };
        let mut owners = pids.iter().filter_map(|&pid| find_process(processes, pid));
        socket.publication = owners.find_map(|process| engines.publication(socket, process));
    }
    for process in processes {
        process.engine_container = engines.container_of(process).map(Box::new);
    }
}

/// What one engine said: the engine and its containers, or why it said nothing.
type Answer = Result<(Engine, Vec<EngineContainer>), (Option<Engine>, String)>;

/// The engines that were asked so far.
struct Engines<'a> {
    proc: &'a Path,
    euid: u32,
    deadline: Option<Instant>,
    answers: HashMap<Pid, Answer>,
    dockerds: Option<Vec<Pid>>,
}

impl<'a> Engines<'a> {
    fn new(proc: &'a Path) -> Self {
        let euid = rustix::process::geteuid().as_raw();
        Self { proc, euid, deadline: None, answers: HashMap::new(), dockerds: None }
    }

    /// For which container `process` holds `socket`; `None` if it is no forwarder of an engine.
    fn publication(&mut self, socket: &Socket, process: &Process) -> Option<Publication> {
        match process.forwarder? {
            Forwarder::Proxy => Some(self.behind_proxy(socket, process)),
            Forwarder::Engine(Runtime::Docker | Runtime::Podman) => {
                let program = Program::read(self.proc, process.pid)?;
                match &*program.name {
                    "dockerd" => Some(self.published(process.pid, socket, |port| is_on(port, socket))),
                    "conmon" => Some(self.behind_conmon(&program, process)),
                    "rootlessport" | "rootlesskit" => Some(Publication::Untold {
                        engine: None,
                        reason: format!("{} does not tell which one", program.name),
                    }),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// docker-proxy says by its arguments what it holds. That counts if it holds just this, and the engine says the same.
    fn behind_proxy(&mut self, socket: &Socket, process: &Process) -> Publication {
        let holds = |proxied: &Proxied| {
            proxied.protocol == socket.protocol
                && (proxied.listen.ip(), proxied.listen.port()) == (socket.local.ip(), socket.local.port())
        };
        match (Proxied::of(process).filter(holds), process.ppid) {
            (Some(proxied), Some(engine)) => {
                self.published(engine, socket, |port| is_on(port, socket) && port.to == proxied.to.port())
            }
            _ => Publication::Untold { engine: None, reason: "its arguments name another port".to_owned() },
        }
    }

    /// The one container of the engine `pid` with a port that `fits`.
    fn published(&mut self, pid: Pid, socket: &Socket, fits: impl Fn(&PublishedPort) -> bool) -> Publication {
        let (engine, containers) = match self.ask(pid) {
            Ok(answer) => answer,
            Err((engine, reason)) => {
                let reason = format!("{} (pid {pid}) was asked which one, but {reason}", Runtime::Docker.title());
                return Publication::Untold { engine: engine.clone(), reason };
            }
        };
        let fitting: Vec<&EngineContainer> =
            containers.iter().filter(|container| container.ports.iter().any(&fits)).collect();
        match fitting[..] {
            [container] => Publication::Of(Box::new(container.clone())),
            _ => Publication::Untold {
                engine: Some(engine.clone()),
                reason: format!(
                    "{} (pid {pid}) knows {} that publish {}/{}",
                    engine.runtime.title(),
                    if fitting.is_empty() {
                        "no containers".to_owned()
                    } else {
                        format!("{} containers", fitting.len())
                    },
                    socket.local,
                    socket.protocol
                ),
            },
        }
    }

    /// conmon has the sockets of one container, and its id and name among its arguments. Podman has no engine that runs: conmon is what
    /// it leaves with a container.
    fn behind_conmon(&self, program: &Program, process: &Process) -> Publication {
        match self.conmons_container(program, &process.command) {
            Some(container) => Publication::Of(Box::new(container)),
            None => Publication::Untold {
                engine: None,
                reason: format!("it belongs to the Podman of another user (uid {})", program.uid),
            },
        }
    }

    fn conmons_container(&self, program: &Program, arguments: &[String]) -> Option<EngineContainer> {
        let id = option(arguments, "-c").filter(|id| is_id(id))?;
        (program.uid == self.euid).then(|| EngineContainer {
            engine: Engine {
                runtime: Runtime::Podman,
                socket: None,
                is_default: ["CONTAINER_HOST", "CONTAINER_CONNECTION"].iter().all(|name| env::var_os(name).is_none()),
            },
            id: id.to_owned(),
            name: option(arguments, "-n").map(str::to_owned),
            image: None,
            labels: std::collections::BTreeMap::new(),
            ports: Vec::new(),
        })
    }

    /// The container that `process` certainly runs in: the one that its cgroup names, if the process descends from what watches
    /// that container for its engine, and the engine knows it.
    fn container_of(&mut self, process: &Process) -> Option<EngineContainer> {
        let container = process.container.as_ref()?;
        let (program, arguments) = self.monitor_of(process, &container.id)?;
        match container.runtime {
            Runtime::Docker if program.uid == 0 && container.user.is_none() => {
                let mut found: Vec<EngineContainer> = Vec::new();
                for pid in self.dockerds() {
                    let Ok((_, containers)) = self.ask(pid) else { continue };
                    found.extend(containers.iter().find(|known| known.id == container.id).cloned());
                }
                // Of two engines with the same container, nothing tells which.
                found.pop().filter(|_| found.is_empty())
            }
            Runtime::Podman => self.conmons_container(&program, &arguments),
            _ => None,
        }
    }

    /// The nearest ancestor that watches the container `id`, and its arguments.
    fn monitor_of(&self, process: &Process, id: &str) -> Option<(Program, Vec<String>)> {
        process.ancestors.iter().find_map(|ancestor| {
            let program = Program::read(self.proc, ancestor.pid)?;
            let name = match &*program.name {
                "conmon" => "-c",
                shim if shim.starts_with("containerd-shim") => "-id",
                _ => return None,
            };
            let arguments = self.arguments(ancestor.pid);
            (option(&arguments, name) == Some(id)).then_some((program, arguments))
        })
    }

    /// The engines of root that run.
    fn dockerds(&mut self) -> Vec<Pid> {
        let proc = self.proc;
        let is_dockerd =
            |&pid: &Pid| Program::read(proc, pid).is_some_and(|program| program.name == "dockerd" && program.uid == 0);
        let list = || -> Option<Vec<Pid>> {
            let directory = pids::open_directory(rustix::fs::CWD, proc.to_str()?).ok()?;
            Some(pids::list_pids(directory).ok()?.into_iter().filter(is_dockerd).collect())
        };
        self.dockerds.get_or_insert_with(|| list().unwrap_or_default()).clone()
    }

    /// What the engine `pid` says, which is asked once.
    fn ask(&mut self, pid: Pid) -> &Answer {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        if !self.answers.contains_key(&pid) {
            let answer = self.question(pid, deadline);
            self.answers.insert(pid, answer);
        }
        &self.answers[&pid]
    }

    fn question(&self, pid: Pid, deadline: Instant) -> Answer {
        let untold = |reason: &str| (None, reason.to_owned());
        let program = Program::read(self.proc, pid).filter(|program| program.name == "dockerd");
        let program = program.ok_or_else(|| untold("it cannot be seen any more"))?;
        if program.uid != 0 && program.uid != self.euid {
            return Err((None, format!("it answers only to its user (uid {})", program.uid)));
        }
        let own = self.socket_of(pid).ok_or_else(|| untold("it listens on no unix socket that can be seen"))?;
        let path = self.seen_from_here(pid, &own);
        let is_default = program.uid == 0 && path == own && own == Path::new(Engine::DOCKER_SOCKET) && !is_diverted();
        let engine = Engine { runtime: Runtime::Docker, socket: Some(path.clone()), is_default };
        let failed = |reason: String| (Some(engine.clone()), reason);
        let stream = http::connect(&path, deadline).map_err(failed)?;
        // Who listens there, the kernel tells: the engine, or root for it.
        let peer = getsockopt(&stream, sockopt::PeerCredentials).map_err(|error| failed(error.to_string()))?;
        if peer.uid() != 0 && peer.uid() != program.uid {
            return Err(failed("somebody else answers on its socket".to_owned()));
        }
        let json = http::get(stream, "/containers/json", deadline).map_err(failed)?;
        let containers = docker::parse(&json, &engine).map_err(failed)?;
        Ok((engine, containers))
    }

    /// Where the engine listens, as it calls that: of the sockets that it has open, the one that it was told to, or the usual
    /// one.
    fn socket_of(&self, pid: Pid) -> Option<PathBuf> {
        let listening = self.listening(pid)?;
        let told = hosts(&self.arguments(pid));
        let is_usual = |path: &&PathBuf| path.file_name().is_some_and(|name| name == "docker.sock");
        let chosen = listening.iter().find(|path| told.contains(path)).or_else(|| listening.iter().find(is_usual));
        chosen.cloned()
    }

    /// The paths of the unix sockets on which a process waits.
    fn listening(&self, pid: Pid) -> Option<Vec<PathBuf>> {
        let directory = self.proc.join(pid.to_string());
        let links = fs::read_dir(directory.join("fd"))
            .ok()?
            .flatten()
            .filter_map(|entry| parse_socket_link(fs::read_link(entry.path()).ok()?.as_os_str().as_encoded_bytes()));
        let inodes: Vec<u64> = links.collect();
        let table = fs::read_to_string(directory.join("net/unix")).ok()?;
        let rows = table.lines().filter_map(parse_listening);
        Some(rows.filter(|(inode, _)| inodes.contains(inode)).map(|(_, path)| path).collect())
    }

    /// A path of the process as it is reached from here: it may be in another mount namespace.
    fn seen_from_here(&self, pid: Pid, path: &Path) -> PathBuf {
        let there = self.proc.join(pid.to_string()).join("root").join(path.strip_prefix("/").unwrap_or(path));
        let file = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
        if file(path) == file(&there) { path.to_owned() } else { there }
    }

    /// The arguments of a process (proc_pid_cmdline(5)).
    fn arguments(&self, pid: Pid) -> Vec<String> {
        let bytes = fs::read(self.proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
        let arguments = bytes.split(|&byte| byte == 0);
        arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
    }
}

/// Whether the user's `docker` asks another engine than the one of this machine.
fn is_diverted() -> bool {
    if ["DOCKER_HOST", "DOCKER_CONTEXT"].iter().any(|name| env::var_os(name).is_some()) {
        return true;
    }
    let home = || Some(Path::new(&env::var_os("HOME")?).join(".docker"));
    let Some(directory) = env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home) else { return false };
    let config = foreign::read(&directory.join("config.json")).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
    config["currentContext"].as_str().is_some_and(|context| !matches!(context, "" | "default"))
}

/// The unix sockets among the hosts that dockerd is told to listen on: `-H unix:///run/docker.sock`, `--host=unix://…`.
fn hosts(arguments: &[String]) -> Vec<PathBuf> {
    let mut hosts = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let value = match argument.strip_prefix("--host").or_else(|| argument.strip_prefix("-H")) {
            Some("") => arguments.get(index + 1).map(String::as_str),
            Some(value) => Some(value.strip_prefix('=').unwrap_or(value)),
            None => None,
        };
        hosts.extend(value.and_then(|value| value.strip_prefix("unix://")).map(usual_place));
    }
    hosts
}

/// `/var/run` is another name of `/run`.
fn usual_place(path: &str) -> PathBuf {
    path.strip_prefix("/var/run/").map_or_else(|| PathBuf::from(path), |rest| Path::new("/run").join(rest))
}

/// The inode and path of a socket in /proc/net/unix that waits for connections.
///
/// The columns are `Num: RefCount Protocol Flags Type St Inode Path` (`unix_seq_show`, net/unix/af_unix.c).
fn parse_listening(line: &str) -> Option<(u64, PathBuf)> {
    /// `__SO_ACCEPTCON`, linux/net.h.
    const ACCEPTS: u32 = 1 << 16;
    let (columns, path) = line.split_at(line.find(" /")?);
    let mut columns = columns.split_ascii_whitespace().skip(3);
    let flags = u32::from_str_radix(columns.next()?, 16).ok()?;
    let inode = columns.nth(2)?.parse().ok()?;
    (flags & ACCEPTS != 0).then(|| (inode, usual_place(path.trim_start())))
}

/// Whether a container that publishes `port` does so by `socket`.
fn is_on(port: &PublishedPort, socket: &Socket) -> bool {
    (port.protocol, port.listen.ip(), port.listen.port()) == (socket.protocol, socket.local.ip(), socket.local.port())
}

/// What follows the argument `name`.
fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_sockets_that_dockerd_is_told_of() {
        let told = |line: &str| hosts(&words(line));
        assert_eq!(told("dockerd -H fd:// --containerd=/run/containerd/containerd.sock"), [""; 0].map(PathBuf::from));
        let all = "dockerd -H unix:///a --host unix:///b --host=unix:///c -Hunix:///d -H tcp://0.0.0.0:2375 -H";
        assert_eq!(told(all), ["/a", "/b", "/c", "/d"].map(PathBuf::from));
        assert_eq!(told("dockerd -H unix:///var/run/docker.sock"), [PathBuf::from(Engine::DOCKER_SOCKET)]);
    }

    #[test]
    fn only_paths_that_wait_for_connections_are_taken() {
        let row = |text: &str| parse_listening(text);
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 17094911 /var/run/docker.sock";
        assert_eq!(row(line), Some((17_094_911, PathBuf::from(Engine::DOCKER_SOCKET))));
        assert_eq!(row("0000000000000000: 00000002 00000000 00010000 0001 01 7 /a b"), Some((7, "/a b".into())));
        for other in [
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0000000000000000: 00000003 00000000 00000000 0001 03 7 /run/docker.sock",
            "0000000000000000: 00000002 00000000 00010000 0001 01 7 @/run/docker.sock",
            "0000000000000000: 00000002 00000000 00010000 0001 01 7",
            "",
            " /",
        ] {
            assert_eq!(row(other), None, "{other:?}");
        }
    }

    #[test]
    fn conmon_names_its_container_only_to_its_own_user() {
        let id = "8f".repeat(32);
        let arguments = words(&format!("/usr/bin/conmon --api-version 1 -c {id} -u {id} -r /usr/bin/runc -n web"));
        let engines = Engines::new(Path::new("/proc"));
        let program = |uid| Program { name: "conmon".to_owned(), uid, parent: 1 };
        let found = engines.conmons_container(&program(engines.euid), &arguments).unwrap();
        assert_eq!((&*found.id, found.title(), found.engine.runtime), (&*id, "web", Runtime::Podman));
        assert_eq!(engines.conmons_container(&program(engines.euid + 1), &arguments), None);
        assert_eq!(engines.conmons_container(&program(engines.euid), &words("conmon -c --version")), None);
    }
}
