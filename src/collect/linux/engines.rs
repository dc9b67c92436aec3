//! For which container a forwarder holds a port, and whether a process is in the container that its cgroup names: by the word
//! of the engine that owns it, asked over its own socket.
//!
//! An engine is asked only while its process runs.

mod ask;
mod docker;
mod http;
mod inside;
mod podman;
pub mod proxies;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::namespaces::{self, Neighbour};
use super::pids;
use super::program::{Program, parent_of};
use crate::model::{
    Confidence, Container, Destination, EngineContainer, Forward, ForwardKind, Forwarder, Pid, Process, Proxied,
    PublishedPort, Runtime, Socket, Untold, find_process,
};
use ask::Answer;
use inside::Inside;
pub use inside::find_ends;

/// How long all engines together may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// The engine's process is nearer to those in a container than this.
const MOST_ANCESTORS: usize = 64;

/// Names the containers behind `sockets`, and those that `processes` certainly run in.
pub fn assign(proc: &Path, sockets: &mut [Socket], processes: &mut [Process]) {
    let mut engines = Engines::new(proc);
    for socket in sockets.iter_mut().filter(|socket| socket.state.is_waiting()) {
        let pids = socket.owners.pids();
        let mut owners = pids.iter().filter_map(|&pid| find_process(processes, pid));
        socket.forward = owners.find_map(|process| engines.forward(socket, process)).map(Box::new);
    }
    for process in processes.iter_mut() {
        process.engine_container = engines.container_of(process).map(Box::new);
    }
    let forwards = sockets.iter_mut().filter_map(|socket| Some((socket.protocol, &mut **socket.forward.as_mut()?)));
    find_ends(proc, forwards);
}

/// The engines that were asked so far.
struct Engines<'a> {
    proc: &'a Path,
    deadline: Option<Instant>,
    answers: HashMap<Pid, Answer>,
    dockerds: Option<Vec<(Pid, u32)>>,
    neighbours: Option<Vec<Neighbour>>,
}

/// A port that an engine publishes, of which nothing else is known yet.
fn published(runtime: Runtime) -> Forward {
    Forward::new(ForwardKind::Published, runtime.into_str())
}

/// The same without a container, and why.
fn untold(runtime: Runtime, why: Untold) -> Forward {
    Forward { untold: Some(why), ..published(runtime) }
}

/// What no engine can be asked about.
fn because(reason: String) -> Untold {
    Untold { engine: None, reason }
}

/// The same for a container.
fn for_container(runtime: Runtime, container: EngineContainer, to: Option<Destination>) -> Forward {
    let container = Some(Box::new(container));
    Forward { container, to, confidence: Confidence::Known, ..published(runtime) }
}

impl<'a> Engines<'a> {
    fn new(proc: &'a Path) -> Self {
        Self { proc, deadline: None, answers: HashMap::new(), dockerds: None, neighbours: None }
    }

    /// Where `process` passes on what arrives at `socket`; `None` if it is no forwarder of an engine.
    fn forward(&mut self, socket: &Socket, process: &Process) -> Option<Forward> {
        match process.forwarder? {
            Forwarder::Proxy => Some(self.behind_proxy(socket, process)),
            Forwarder::Engine(Runtime::Docker | Runtime::Podman) => {
                let program = Program::read(self.proc, process.pid)?;
                match &*program.name {
                    "dockerd" => Some(self.behind_engine(process.pid, socket)),
                    "conmon" | "rootlessport" => {
                        let found = self.behind_podman(socket, &program, process);
                        found.or_else(|| Some(untold(Runtime::Podman, because(does_not_tell(&program)))))
                    }
                    "rootlesskit" => Some(self.behind_rootlesskit(socket, &program, process.pid)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// docker-proxy says by its arguments what it holds. That counts if it holds just this, and the engine says the same.
    fn behind_proxy(&mut self, socket: &Socket, process: &Process) -> Forward {
        let holds = |proxied: &Proxied| socket.is_at(proxied.protocol, proxied.listen);
        let (Some(proxied), Some(engine)) = (Proxied::of(process).filter(holds), process.ppid) else {
            return untold(Runtime::Docker, because("its arguments name another port".to_owned()));
        };
        let fits = |port: &PublishedPort| socket.is_at(port.protocol, port.listen) && port.to == proxied.to.port();
        let to = Some(Destination::from(proxied.to));
        match self.publisher(engine, socket, fits) {
            Ok((container, _)) => for_container(Runtime::Docker, container, to),
            Err(why) => Forward { to, confidence: Confidence::Likely, ..untold(Runtime::Docker, why) },
        }
    }

    /// Without proxies, dockerd has the socket itself.
    fn behind_engine(&mut self, engine: Pid, socket: &Socket) -> Forward {
        match self.publisher(engine, socket, |port| socket.is_at(port.protocol, port.listen)) {
            Ok((container, port)) => {
                let to = container.address.map(|address| SocketAddr::new(address, port.to));
                for_container(Runtime::Docker, container, to.map(Destination::from))
            }
            Err(why) => untold(Runtime::Docker, why),
        }
    }

    /// The engine of a user runs below rootlesskit, which has the sockets.
    fn behind_rootlesskit(&mut self, socket: &Socket, helper: &Program, pid: Pid) -> Forward {
        let proc = self.proc;
        // Between them is the first process of its namespaces.
        let is_below = |engine: &Pid| {
            let parent = parent_of(proc, *engine);
            parent.is_some_and(|parent| parent == pid || parent_of(proc, parent) == Some(pid))
        };
        match self.dockerds(helper.uid).into_iter().find(is_below) {
            Some(engine) => self.behind_engine(engine, socket),
            None => untold(Runtime::Docker, because(does_not_tell(helper))),
        }
    }

    /// The one container of the engine `pid` with a port that `fits`, and that port; else a forward without one, which says why.
    fn publisher(
        &mut self,
        pid: Pid,
        socket: &Socket,
        fits: impl Fn(&PublishedPort) -> bool,
    ) -> Result<(EngineContainer, PublishedPort), Untold> {
        let (engine, containers) = match self.ask(pid) {
            Ok(answer) => answer,
            Err((engine, reason)) => {
                let reason = format!("{} (pid {pid}) knows the container, but {reason}", Runtime::Docker.title());
                return Err(Untold { engine: engine.clone(), reason });
            }
        };
        let port = |container: &EngineContainer| container.ports.iter().copied().find(&fits);
        let fitting: Vec<(&EngineContainer, PublishedPort)> =
            containers.iter().filter_map(|container| Some((container, port(container)?))).collect();
        if let [(container, port)] = fitting[..] {
            return Ok((container.clone(), port));
        }
        let count =
            if fitting.is_empty() { "no containers".to_owned() } else { format!("{} containers", fitting.len()) };
        let title = engine.runtime.title();
        let reason = format!("{title} (pid {pid}) knows {count} that publish {}/{}", socket.local, socket.protocol);
        Err(Untold { engine: Some(engine.clone()), reason })
    }

    /// What is held for a container of Podman, whose processes are those that the holder started, or that it is among.
    fn behind_podman(&mut self, socket: &Socket, program: &Program, process: &Process) -> Option<Forward> {
        let (proc, pid) = (self.proc, process.pid);
        let is_inside = |other: Pid| other == pid || parent_of(proc, other) == Some(pid);
        let inside = Inside::around(self.neighbours(), is_inside);
        let mut forward = match &*program.name {
            "conmon" => podman::behind_conmon(program, &process.command),
            _ => podman::behind_helper(proc, program, inside.as_ref()?.pids)?,
        };
        if let Some(inside) = inside.filter(|_| forward.container.is_some()) {
            inside.complete(proc, &mut forward, socket.protocol);
        }
        Some(forward)
    }

    fn neighbours(&mut self) -> &[Neighbour] {
        let proc = self.proc;
        self.neighbours.get_or_insert_with(|| namespaces::find(proc).unwrap_or_default())
    }

    /// The container that `process` certainly runs in: the one that its cgroup names, if the process descends from what watches
    /// that container for its engine, and the engine knows it.
    fn container_of(&mut self, process: &Process) -> Option<EngineContainer> {
        let container = process.container.as_ref()?;
        let monitor = self.monitor_of(process, &container.id)?;
        match container.runtime {
            // The part of the cgroups that a user named is that user's.
            Runtime::Docker if container.user.is_none_or(|user| user == monitor.program.uid) => {
                let mut found: Vec<EngineContainer> = Vec::new();
                for pid in self.dockerds(monitor.program.uid) {
                    let Ok((_, containers)) = self.ask(pid) else { continue };
                    found.extend(containers.iter().find(|known| known.id == container.id).cloned());
                }
                // Of two engines with the same container, nothing tells which.
                found.pop().filter(|_| found.is_empty())
            }
            Runtime::Podman => podman::own_container(&monitor.program, &monitor.arguments),
            _ => None,
        }
    }

    /// The nearest ancestor that watches the container `id`.
    fn monitor_of(&self, process: &Process, id: &str) -> Option<Monitor> {
        let mut pid = process.ppid?;
        for _ in 0..MOST_ANCESTORS {
            match Monitor::read(self.proc, pid) {
                Some(monitor) if monitor.id() == Some(id) => return Some(monitor),
                _ => pid = parent_of(self.proc, pid)?,
            }
        }
        None
    }

    /// The engines of a user that run.
    fn dockerds(&mut self, user: u32) -> Vec<Pid> {
        let proc = self.proc;
        let dockerd = |pid: Pid| {
            let program = Program::read(proc, pid).filter(|program| program.name == "dockerd")?;
            Some((pid, program.uid))
        };
        let list = || -> Option<Vec<(Pid, u32)>> {
            let directory = pids::open_directory(rustix::fs::CWD, proc.to_str()?).ok()?;
            Some(pids::list_pids(directory).ok()?.into_iter().filter_map(dockerd).collect())
        };
        let all = self.dockerds.get_or_insert_with(|| list().unwrap_or_default());
        all.iter().filter(|&&(_, uid)| uid == user).map(|&(pid, _)| pid).collect()
    }

    /// What the engine `pid` says, which is asked once.
    fn ask(&mut self, pid: Pid) -> &Answer {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        if !self.answers.contains_key(&pid) {
            let answer = ask::ask(self.proc, pid, deadline);
            self.answers.insert(pid, answer);
        }
        &self.answers[&pid]
    }
}

/// What watches one container for its engine.
struct Monitor {
    program: Program,
    arguments: Vec<String>,
}

impl Monitor {
    /// `None` for other programs.
    fn read(proc: &Path, pid: Pid) -> Option<Self> {
        let program = Program::read(proc, pid)?;
        let is_it = program.name == "conmon" || program.name.starts_with("containerd-shim");
        is_it.then(|| Self { program, arguments: ask::arguments(proc, pid) })
    }

    fn id(&self) -> Option<&str> {
        option(&self.arguments, if self.program.name == "conmon" { "-c" } else { "-id" }).filter(|id| is_id(id))
    }

    fn runtime(&self) -> Runtime {
        match option(&self.arguments, "-namespace") {
            _ if self.program.name == "conmon" => Runtime::Podman,
            Some("moby") => Runtime::Docker,
            _ => Runtime::Containerd,
        }
    }
}

/// The container of a process that the monitor of one started, by the monitor's word. It counts as its user's.
pub fn container_by_monitor(proc: &Path, pid: Pid) -> Option<Container> {
    let parent = parent_of(proc, pid).filter(|&parent| parent > 1)?;
    let monitor = Monitor::read(proc, parent)?;
    let user = Some(monitor.program.uid).filter(|&uid| uid != 0);
    Some(Container { runtime: monitor.runtime(), id: monitor.id()?.to_owned(), pod: None, user })
}

/// Why the helper of a rootless engine names no container.
fn does_not_tell(program: &Program) -> String {
    format!("{} does not tell which one", program.name)
}

/// What follows the argument `name`.
fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
