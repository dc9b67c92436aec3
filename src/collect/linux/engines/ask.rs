//! Asks the engine of Docker for its containers, over the socket that its own process has open.
//!
//! To connect to a socket that systemd keeps would start the engine, and environment and contexts
//! lead to other engines: neither is used.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::socket::{getsockopt, sockopt};

use super::super::owners;
use super::super::program::Program;
use super::{docker, http};
use crate::model::{Engine, EngineContainer, Pid, Runtime};
use crate::platform::foreign;

/// What one engine said: the engine and its containers, or why it said nothing.
pub type Answer = Result<(Engine, Vec<EngineContainer>), (Option<Engine>, String)>;

/// What the engine `pid` says of its containers.
pub fn ask(proc: &Path, pid: Pid, deadline: Instant) -> Answer {
    let untold = |reason: &str| (None, reason.to_owned());
    let own_user = rustix::process::geteuid().as_raw();
    let uid = user_of(proc, pid).ok_or_else(|| untold("it cannot be seen any more"))?;
    if uid != 0 && uid != own_user {
        return Err((None, format!("it answers only to its user (uid {uid})")));
    }
    let (path, is_guessed) = match listening(proc, pid) {
        Some(paths) => (socket_of(proc, pid, &paths), false),
        None => (Some(PathBuf::from(Engine::DOCKER_SOCKET)), true),
    };
    let path = path.ok_or_else(|| untold("it listens on no unix socket that can be seen"))?;
    let engine = engine_at(uid, path.clone());
    let failed = |reason: String| (Some(engine.clone()), reason);
    let stream = http::connect(&path, deadline).map_err(failed)?;
    // The kernel tells who listens there: the engine, or the service manager for it.
    let peer = getsockopt(&stream, sockopt::PeerCredentials).map_err(|error| failed(error.to_string()))?;
    let is_its = peer.uid() == 0 || peer.uid() == uid;
    if !is_its || (is_guessed && ![pid, 1].contains(&peer.pid().cast_unsigned())) {
        return Err(failed("somebody else answers on its socket".to_owned()));
    }
    let json = http::get(stream, "/containers/json", deadline).map_err(failed)?;
    let containers = docker::parse(&json, &engine).map_err(failed)?;
    Ok((engine, containers))
}

fn engine_at(uid: u32, socket: PathBuf) -> Engine {
    let is_default = uid == 0 && socket == Path::new(Engine::DOCKER_SOCKET) && !is_diverted();
    Engine { runtime: Runtime::Docker, socket: Some(socket), is_default }
}

/// The user of an engine. The name of a process counts only where root runs it, as nobody else can
/// give such a name to a process of root.
fn user_of(proc: &Path, pid: Pid) -> Option<u32> {
    if let Some(program) = Program::read(proc, pid) {
        return (program.name == "dockerd").then_some(program.uid);
    }
    let directory = proc.join(pid.to_string());
    let name = fs::read_to_string(directory.join("comm")).ok()?;
    let uid = fs::metadata(&directory).ok()?.uid();
    (name.trim_end() == "dockerd" && uid == 0).then_some(uid)
}

/// Where the engine listens, as it is reached from here: of the sockets that it has open, the one
/// that it was told to, or the usual one.
fn socket_of(proc: &Path, pid: Pid, listening: &[PathBuf]) -> Option<PathBuf> {
    let is_usual = |path: &&PathBuf| path.file_name().is_some_and(|name| name == "docker.sock");
    let told = hosts(&arguments(proc, pid));
    let chosen = listening.iter().find(|path| told.contains(path)).or_else(|| listening.iter().find(is_usual));
    Some(seen_from_here(proc, pid, chosen?))
}

/// The paths of the unix sockets on which a process waits. `None` if its descriptors cannot be read.
fn listening(proc: &Path, pid: Pid) -> Option<Vec<PathBuf>> {
    let inodes = owners::sockets_of_process(proc, pid)?;
    let table = fs::read_to_string(proc.join(pid.to_string()).join("net/unix")).ok()?;
    let rows = table.lines().filter_map(parse_listening);
    Some(rows.filter(|(inode, _)| inodes.contains(inode)).map(|(_, path)| path).collect())
}

/// A path of the process as it is reached from here: it may be in another mount namespace.
fn seen_from_here(proc: &Path, pid: Pid, path: &Path) -> PathBuf {
    let there = proc.join(pid.to_string()).join("root").join(path.strip_prefix("/").unwrap_or(path));
    let file = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    if file(path) == file(&there) { path.to_owned() } else { there }
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

/// The arguments of a process (proc_pid_cmdline(5)).
pub fn arguments(proc: &Path, pid: Pid) -> Vec<String> {
    let bytes = fs::read(proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
    let arguments = bytes.split(|&byte| byte == 0);
    arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sockets_that_dockerd_is_told_of() {
        let told = |line: &str| hosts(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
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
}
