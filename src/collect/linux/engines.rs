//! For which container a forwarder holds a port, and whether a process is in the container that its cgroup names: by the word
//! of the engine that owns it, asked over its own socket.
//!
//! An engine is asked only while its process runs.

mod ask;
mod docker;
mod http;
mod inside;
pub mod proxies;

use std::collections::HashMap;
use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::pids;
use super::program::Program;
use crate::model::{
    Confidence, Destination, Engine, EngineContainer, Forward, ForwardKind, Forwarder, Pid, Process, Proxied,
    PublishedPort, Runtime, Socket, Untold, find_process,
};
use ask::Answer;
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
    euid: u32,
    deadline: Option<Instant>,
    answers: HashMap<Pid, Answer>,
    dockerds: Option<Vec<Pid>>,
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
        let euid = rustix::process::geteuid().as_raw();
        Self { proc, euid, deadline: None, answers: HashMap::new(), dockerds: None }
    }

    /// Where `process` passes on what arrives at `socket`; `None` if it is no forwarder of an engine.
    fn forward(&mut self, socket: &Socket, process: &Process) -> Option<Forward> {
        match process.forwarder? {
            Forwarder::Proxy => Some(self.behind_proxy(socket, process)),
            Forwarder::Engine(Runtime::Docker | Runtime::Podman) => {
                let program = Program::read(self.proc, process.pid)?;
                match &*program.name {
                    "dockerd" => Some(self.behind_engine(process.pid, socket)),
                    "conmon" => Some(self.behind_conmon(&program, process)),
                    "rootlessport" => Some(untold(Runtime::Podman, because(does_not_tell(&program)))),
                    "rootlesskit" => Some(untold(Runtime::Docker, because(does_not_tell(&program)))),
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

    /// conmon has the sockets of one container, and its id and name among its arguments. Podman has no engine that runs: conmon is what
    /// it leaves with a container.
    fn behind_conmon(&self, program: &Program, process: &Process) -> Forward {
        match self.conmons_container(program, &process.command) {
            Some(container) => for_container(Runtime::Podman, container, None),
            None => {
                let reason = format!("it belongs to the Podman of another user (uid {})", program.uid);
                untold(Runtime::Podman, because(reason))
            }
        }
    }

    fn conmons_container(&self, program: &Program, arguments: &[String]) -> Option<EngineContainer> {
        let id = option(arguments, "-c").filter(|id| is_id(id))?;
        let engine = || Engine {
            runtime: Runtime::Podman,
            socket: None,
            is_default: ["CONTAINER_HOST", "CONTAINER_CONNECTION"].iter().all(|name| env::var_os(name).is_none()),
        };
        (program.uid == self.euid).then(|| EngineContainer {
            name: option(arguments, "-n").map(str::to_owned),
            ..EngineContainer::by_id(Some(engine()), Runtime::Podman, id.to_owned())
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
        let mut pid = process.ppid?;
        for _ in 0..MOST_ANCESTORS {
            let program = Program::read(self.proc, pid)?;
            let name = match &*program.name {
                "conmon" => Some("-c"),
                shim if shim.starts_with("containerd-shim") => Some("-id"),
                _ => None,
            };
            let arguments = name.map(|name| (name, ask::arguments(self.proc, pid)));
            match arguments {
                Some((name, arguments)) if option(&arguments, name) == Some(id) => return Some((program, arguments)),
                _ => pid = program.parent,
            }
        }
        None
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
            let answer = ask::ask(self.proc, pid, deadline);
            self.answers.insert(pid, answer);
        }
        &self.answers[&pid]
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
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
