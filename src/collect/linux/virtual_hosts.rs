//! What web servers and proxies are told to serve, read from their configuration as it is on disk.
//!
//! Files are read as the user who asks, and no server is started or asked.

mod apache;
mod caddy;
mod haproxy;
mod nginx;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::model::{Pid, Process, VirtualHost, find_process};
use crate::platform::foreign;

/// So many files belong to one server at most.
const MOST_FILES: usize = 256;

/// How long the files of all servers may take, as on a file system that no longer answers.
const PATIENCE: Duration = Duration::from_millis(300);

/// Adds to servers what their configurations tell. Each is read once.
pub fn assign(processes: &mut [Process]) {
    // Workers have it from their master. In a container, its files are not here.
    let is_worker = |process: &Process| {
        let master = process.ppid.and_then(|parent| find_process(processes, parent));
        master.is_some_and(|master| master.exe == process.exe)
    };
    let server = |process: &Process| Server::of(process).filter(|_| process.container.is_none() && !is_worker(process));
    let servers: Vec<(Pid, Server)> =
        processes.iter().filter_map(|process| Some((process.pid, server(process)?))).collect();
    if servers.is_empty() {
        return;
    }
    let read = move || servers.into_iter().map(|(pid, server)| (pid, server.hosts())).collect::<Vec<_>>();
    for (pid, mut hosts) in foreign::within(PATIENCE, read).unwrap_or_default() {
        let youngest = youngest_of(pid, processes);
        for host in &mut hosts {
            let changed = fs::metadata(&host.file).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            host.is_newer = youngest.is_some_and(|youngest| changed > youngest);
        }
        if let Some(process) = processes.iter_mut().find(|process| process.pid == pid) {
            process.virtual_hosts = hosts;
        }
    }
}

/// When the youngest process of a server started: it, or one of its workers.
fn youngest_of(server: Pid, processes: &[Process]) -> Option<SystemTime> {
    let own = processes.iter().filter(|process| process.pid == server || process.ppid == Some(server));
    own.filter_map(|process| process.started_at).max()
}

/// A program with a configuration that can be read here.
struct Server {
    program: String,
    command: Vec<String>,
    cwd: Option<PathBuf>,
}

impl Server {
    fn of(process: &Process) -> Option<Self> {
        let program = process.exe.as_ref()?.file_name()?.to_str()?.trim_end_matches(" (deleted)").to_owned();
        matches!(&*program, "nginx" | "apache2" | "httpd" | "caddy" | "haproxy").then(|| Self {
            program,
            command: process.command.clone(),
            cwd: process.cwd.clone(),
        })
    }

    fn hosts(&self) -> Vec<VirtualHost> {
        let (command, cwd, files) = (&self.command[..], self.cwd.as_deref(), &mut Files::default());
        let hosts = match &*self.program {
            "nginx" => nginx::hosts(command, files),
            "caddy" => caddy::hosts(command, cwd, files),
            "haproxy" => haproxy::hosts(command, cwd, files),
            _ => apache::hosts(command, files),
        };
        hosts.unwrap_or_default()
    }
}

/// Reads the files of a server, not more than a few, and none twice.
#[derive(Debug, Default)]
struct Files {
    read: Vec<PathBuf>,
}

impl Files {
    /// The text of a file; `None` if it was read before, or cannot be read.
    fn read(&mut self, path: &Path) -> Option<String> {
        if self.read.len() >= MOST_FILES || self.read.iter().any(|known| known == path) {
            return None;
        }
        self.read.push(path.to_owned());
        // Debian links enabled sites.
        let file = fs::canonicalize(path).ok()?;
        foreign::read(&file).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The files that a pattern of an include names, in order. Patterns are relative to `base`.
    fn matching(base: &Path, pattern: &str) -> Vec<PathBuf> {
        let pattern = base.join(pattern);
        let found = pattern.to_str().and_then(|pattern| glob::glob(pattern).ok());
        found.into_iter().flatten().flatten().take(MOST_FILES).filter(|path| path.is_file()).collect()
    }
}

/// What follows an option: `-c FILE`, `--config FILE`, `--config=FILE`.
fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(name)? {
        "" => words.get(index + 1).copied(),
        value => value.strip_prefix('='),
    })
}

/// The first of these files that there is.
fn first_of(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|path| path.is_file())
}
