//! Processes in the JSON: the types, and how they are made from the model.

use std::path::PathBuf;

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use super::parts::{WirePortName, port_name};
#[cfg(test)]
use crate::model::{Manager, ProjectKind, Runner};
use crate::model::{Process, Unit};

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Process"))]
pub struct WireProcess<'a> {
    pub pid: u32,
    pub ppid: Option<u32>,
    pub name: &'a str,
    pub exe: Option<String>,
    /// The command line, argument by argument; empty if unknown.
    pub command: &'a [String],
    pub cwd: Option<String>,
    pub user: Option<&'a str>,
    pub uid: Option<u32>,
    /// RFC 3339, in UTC.
    pub started_at: Option<String>,
    /// The parent first.
    pub ancestors: Vec<WireAncestor<'a>>,
    pub unit: Option<WireUnit<'a>>,
    pub container: Option<WireContainer<'a>>,
    /// The project it belongs to.
    pub project: Option<WireProject<'a>>,
    /// The task that started it.
    pub task: Option<WireTask<'a>>,
    /// The ports that it waits on besides those that were asked about.
    pub also_holds: Vec<WirePortName>,
    /// How many connections there are to its listeners that were asked about; null if that was not asked.
    pub clients: Option<usize>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Project"))]
pub struct WireProject<'a> {
    pub directory: String,
    /// The name that the file of its kind gives it, else that of the directory.
    pub name: &'a str,
    /// By which file it is known: npm is package.json, compose is compose.yaml.
    #[cfg_attr(test, schemars(extend("enum" = ProjectKind::VARIANTS)))]
    pub kind: &'static str,
    /// The branch that is checked out; null without git, and for a detached HEAD.
    pub git_branch: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Task"))]
pub struct WireTask<'a> {
    #[cfg_attr(test, schemars(extend("enum" = Runner::VARIANTS)))]
    pub runner: &'static str,
    /// The script, target or program; null for the default of the runner.
    pub name: Option<&'a str>,
    /// The file that defines it, if it was found.
    pub file: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Ancestor"))]
pub struct WireAncestor<'a> {
    pub pid: u32,
    pub name: &'a str,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Unit"))]
pub struct WireUnit<'a> {
    pub name: &'a str,
    /// Whose service manager: `systemctl`, or `systemctl --user`.
    #[cfg_attr(test, schemars(extend("enum" = Manager::VARIANTS)))]
    pub manager: &'static str,
    /// The files that define it: its own, then its drop-ins.
    pub files: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Container"))]
pub struct WireContainer<'a> {
    pub runtime: &'static str,
    pub id: &'a str,
    /// The uid of the Kubernetes pod around it.
    pub pod: Option<&'a str>,
}

pub fn process(process: &Process) -> WireProcess<'_> {
    let started = process.started_at.and_then(|start| jiff::Timestamp::try_from(start).ok());
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    WireProcess {
        pid: process.pid,
        ppid: process.ppid,
        name: &process.name,
        exe: process.exe.as_ref().map(path),
        command: &process.command,
        cwd: process.cwd.as_ref().map(path),
        user: process.user.as_deref(),
        uid: process.uid,
        started_at: started.map(|start| format!("{start:.3}")),
        ancestors: process
            .ancestors
            .iter()
            .map(|ancestor| WireAncestor { pid: ancestor.pid, name: &ancestor.name })
            .collect(),
        unit: process.unit.as_ref().map(unit),
        container: process.container.as_ref().map(|container| WireContainer {
            runtime: container.runtime.into_str(),
            id: &container.id,
            pod: container.pod.as_deref(),
        }),
        project: process.project.as_ref().map(|project| WireProject {
            directory: path(&project.directory),
            name: &project.name,
            kind: project.kind.into_str(),
            git_branch: project.git_branch.as_deref(),
        }),
        task: process.task.as_ref().map(|task| WireTask {
            runner: task.runner.into_str(),
            name: task.name.as_deref(),
            file: task.file.as_ref().map(path),
        }),
        also_holds: process.also_holds.iter().copied().map(port_name).collect(),
        clients: process.clients,
    }
}

pub fn unit(unit: &Unit) -> WireUnit<'_> {
    let files = unit.files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    WireUnit { name: &unit.name, manager: unit.manager.into_str(), files }
}
