//! The projects that processes belong to, and the files that define their tasks: what is at or above
//! their working directories.
//!
//! Anybody may have put these files there. They are read as regular files of at most 64 KiB, nothing in
//! them is followed or run, and all of them together get a limited time.

mod git;
mod names;
mod places;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Pid, Process, Project, ProjectKind, Runner, Task};
use crate::platform::foreign;
use places::{Place, Places};

/// How long the files of all processes may take, as on a file system that no longer answers.
const PATIENCE: Duration = Duration::from_millis(300);

/// The files that make a directory a project, the most telling first.
const MARKERS: [(&str, ProjectKind); 9] = [
    ("package.json", ProjectKind::Npm),
    ("Cargo.toml", ProjectKind::Cargo),
    ("pyproject.toml", ProjectKind::Python),
    ("go.mod", ProjectKind::Go),
    ("pom.xml", ProjectKind::Maven),
    ("compose.yaml", ProjectKind::Compose),
    ("compose.yml", ProjectKind::Compose),
    ("docker-compose.yaml", ProjectKind::Compose),
    ("docker-compose.yml", ProjectKind::Compose),
];

/// A process and what was found of it.
#[derive(Debug, Clone)]
struct Look {
    pid: Pid,
    uid: Option<u32>,
    cwd: PathBuf,
    task: Option<Task>,
    project: Option<Project>,
}

/// Finds the projects of `processes`, and the files of their tasks.
pub fn assign(proc: &Path, processes: &mut [Process]) {
    let look = |process: &Process| {
        let cwd = process.cwd.clone()?;
        Some(Look { pid: process.pid, uid: process.uid, cwd, task: process.task.clone(), project: None })
    };
    let looks: Vec<Look> = processes.iter().filter_map(look).collect();
    if looks.is_empty() {
        return;
    }
    let found = Arc::new(Mutex::new(Vec::new()));
    let (sink, proc) = (Arc::clone(&found), proc.to_owned());
    // What was found in time counts.
    let _ = foreign::within(PATIENCE, move || {
        let mut finder = Finder { proc, places: Places::default(), projects: HashMap::new() };
        for mut look in looks {
            finder.complete(&mut look);
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(look);
        }
    });
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    for look in found {
        if let Some(process) = processes.iter_mut().find(|process| process.pid == look.pid) {
            (process.project, process.task) = (look.project, look.task);
        }
    }
}

struct Finder {
    proc: PathBuf,
    places: Places,
    /// By working directory: servers have many workers.
    projects: HashMap<PathBuf, Option<Project>>,
}

impl Finder {
    fn complete(&mut self, look: &mut Look) {
        if is_here(&self.proc, look.pid, &look.cwd) {
            let places = self.places.at_or_above(&look.cwd, look.uid);
            look.project = self.projects.entry(look.cwd.clone()).or_insert_with(|| find(&places)).clone();
        }
        if let Some(task) = &mut look.task {
            task.file = self.file_of(task, &look.cwd, look.uid);
        }
    }

    /// The file that defines a task: at or above the directory of the process, or of the tool.
    fn file_of(&mut self, task: &Task, cwd: &Path, uid: Option<u32>) -> Option<PathBuf> {
        let tools = fs::read_link(self.proc.join(task.pid.to_string()).join("cwd")).ok();
        let tools = tools.filter(|directory| is_here(&self.proc, task.pid, directory));
        let is_script = matches!(task.runner, Runner::Npm | Runner::Yarn | Runner::Pnpm | Runner::Bun);
        let own = Some(cwd.to_owned()).filter(|_| is_script);
        for start in own.into_iter().chain(tools) {
            let places = self.places.at_or_above(&start, uid);
            let paths =
                places.iter().flat_map(|place| files(task.runner).iter().map(|file| place.directory.join(file)));
            let is_it = |path: &PathBuf| {
                if is_script { defines(path, task) } else { is_regular(path).unwrap_or(false) }
            };
            if let Some(path) = paths.into_iter().find(is_it) {
                return Some(path);
            }
        }
        None
    }
}

/// Whether the working directory of a process is what we see under the same path. In a container, or
/// another mount namespace, it may be another directory.
fn is_here(proc: &Path, pid: Pid, path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let theirs = identity(&proc.join(pid.to_string()).join("cwd"));
    path.is_absolute() && theirs.is_ok_and(|theirs| identity(path).is_ok_and(|ours| ours == theirs))
}

/// The project in the first of `places` that is one.
fn find(places: &[Place]) -> Option<Project> {
    for (index, place) in places.iter().enumerate() {
        match project_in(place) {
            Ok(None) => {}
            Ok(Some((kind, name))) => {
                let directory = place.directory.clone();
                let name = name.or_else(|| names::plain(&directory.file_name()?.to_string_lossy()))?;
                // A project may be a part of a repository.
                let git_branch = places[index..].iter().find_map(|place| git::repository(&place.directory));
                let git_branch = git_branch.and_then(|repository| git::branch(&repository));
                return Some(Project { directory, name, kind, git_branch });
            }
            // It might be the project, and another one must not be named in its place.
            Err(_) => return None,
        }
    }
    None
}

/// The kind and name of the project that a directory is. An error if it may not be read.
fn project_in(place: &Place) -> io::Result<Option<(ProjectKind, Option<String>)>> {
    for (file, kind) in MARKERS {
        let path = place.directory.join(file);
        if is_regular(&path)? {
            return match foreign::read(&path) {
                Ok(bytes) => Ok(Some((kind, names::of(kind, &bytes)))),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
                Err(_) => Ok(Some((kind, None))),
            };
        }
    }
    // People keep their settings in a repository, which makes nothing in their home a project.
    let is_project = !place.is_home && git::repository(&place.directory).is_some();
    Ok(is_project.then_some((ProjectKind::Git, None)))
}

/// Whether a path is that of a regular file. An error if that may not be known.
fn is_regular(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Err(_) => Ok(false),
    }
}

/// The files that may define a task.
const fn files(runner: Runner) -> &'static [&'static str] {
    match runner {
        Runner::Npm | Runner::Yarn | Runner::Pnpm | Runner::Bun => &["package.json"],
        Runner::Npx => &[],
        Runner::Make => &["GNUmakefile", "makefile", "Makefile"],
        Runner::Just => &["justfile", "Justfile", ".justfile"],
        Runner::Cargo => &["Cargo.toml"],
        Runner::Poetry | Runner::Uv => &["pyproject.toml"],
        Runner::DockerCompose => &["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"],
        Runner::Deno => &["deno.json", "deno.jsonc", "package.json"],
        Runner::Go => &["go.mod"],
    }
}

/// Whether a package.json has a script with the name of a task.
fn defines(file: &Path, task: &Task) -> bool {
    let Some(name) = &task.name else { return false };
    foreign::read(file).is_ok_and(|bytes| names::has_script(&bytes, name))
}

#[cfg(test)]
mod tests;
