//! The one network namespace that is asked about: what people call it, and the way into it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;

use super::naming::{container, described, name_of, process};
use super::{Neighbour, files, find, inode_of, reading, table_of};
use crate::collect::linux::pids::{self, list_pids};
use crate::collect::{Access, Inside};
use crate::model::{Container, Namespace, NamespaceName, Pid};

/// Finds the network namespace that `typed` names, and moves this thread into it if it may. `None` if it is our own.
///
/// A path comes first, then a process, a name of `ip netns`, and a container by its name or the beginning of its id. An error
/// is what is wrong with `typed`.
pub fn enter(proc: &Path, typed: &str) -> Result<Option<Inside>, String> {
    let unknown = || format!("no container, pid, network namespace or file called '{typed}'");
    let root = File::open(proc).map_err(|error| format!("cannot read {}: {error}", proc.display()))?;
    let mut found = named(proc, &root, typed)?.ok_or_else(unknown)?;
    let (own, own_table) = (inode_of(&root, "thread-self").ok(), table_of(&root, "thread-self"));
    let is_own = match found.namespace.inode {
        Some(inode) => own == Some(inode),
        None => found.table.is_some() && found.table == own_table,
    };
    if is_own {
        return Ok(None);
    }
    match found.open(proc).map(|file| reading::enter(&file)) {
        Some(Ok(())) => return Ok(Some(Inside { namespace: found.namespace, access: Access::Entered })),
        // It is one of another kind.
        Some(Err(Errno::INVAL)) => return Err(other_file(typed)),
        Some(Err(_)) | None => {}
    }
    if found.pids.is_empty() {
        // Of the file alone nothing can be read, but of a process in the same namespace.
        let all = find(proc).unwrap_or_default();
        found.pids = all
            .into_iter()
            .find(|other| other.namespace.inode == found.namespace.inode)
            .map_or_else(Vec::new, |other| other.pids);
    }
    let pid = found.pids.iter().copied().find(|&pid| found.has(&root, pid));
    Ok(Some(Inside { namespace: found.namespace, access: pid.map_or(Access::Refused, Access::Text) }))
}

fn other_file(typed: &str) -> String {
    format!("'{typed}' is not a network namespace")
}

fn named(proc: &Path, root: &File, typed: &str) -> Result<Option<Neighbour>, String> {
    if typed.contains('/') {
        let path = Path::new(typed);
        return match files::inode(path) {
            Some(inode) => Ok(Some(of_file(path, inode, NamespaceName::File(typed.to_owned())))),
            None if path.exists() => Err(other_file(typed)),
            None => Ok(None),
        };
    }
    if let Ok(pid) = typed.parse::<Pid>()
        && let Some(found) = of_process(root, pid, NamespaceName::Process(process(proc, pid)))
    {
        return Ok(Some(found));
    }
    let path = Path::new(files::NETNS).join(typed);
    if let Some(inode) = files::inode(&path).filter(|_| !matches!(typed, "" | "." | "..")) {
        return Ok(Some(of_file(&path, inode, NamespaceName::Netns(typed.to_owned()))));
    }
    of_container(proc, root, typed)
}

fn of_file(path: &Path, inode: u64, name: NamespaceName) -> Neighbour {
    let namespace = Namespace { name, inode: Some(inode), pid: None };
    Neighbour { namespace, table: None, pids: Vec::new(), files: vec![path.to_owned()] }
}

/// `None` if there is no such process.
fn of_process(root: &File, pid: Pid, name: NamespaceName) -> Option<Neighbour> {
    let (inode, table) = (inode_of(root, pid).ok(), table_of(root, pid));
    let namespace = Namespace { name, inode, pid: Some(pid) };
    // The inode says more than the table where both are known.
    let table = table.filter(|_| inode.is_none());
    let is_there = inode.is_some() || table.is_some();
    is_there.then(|| Neighbour { namespace, table, pids: vec![pid], files: Vec::new() })
}

/// Whether a container of this name runs, or one with this id or beginning of an id.
pub fn is_container(proc: &Path, typed: &str) -> bool {
    !containers_called(proc, typed).is_empty()
}

/// The namespace of a container's first process.
fn of_container(proc: &Path, root: &File, typed: &str) -> Result<Option<Neighbour>, String> {
    let found = containers_called(proc, typed);
    match &found[..] {
        [] => Ok(None),
        [(container, pid)] => {
            let name = if container.id.starts_with(typed) { container.short_id() } else { typed };
            Ok(of_process(root, *pid, NamespaceName::Container(name.to_owned())))
        }
        _ => Err(format!("{} containers are called '{typed}': write more of the id, or a pid", found.len())),
    }
}

/// The containers with this id, else with this name, else with this beginning of the id.
fn containers_called(proc: &Path, typed: &str) -> Vec<(Container, Pid)> {
    let all = containers(proc);
    let fitting = |fits: &dyn Fn(&Container, Pid) -> bool| -> Vec<(Container, Pid)> {
        let fitting = all.iter().filter(|&(container, &pid)| fits(container, pid));
        fitting.map(|(container, &pid)| (container.clone(), pid)).collect()
    };
    let mut found = fitting(&|container, _| container.id == typed);
    if found.is_empty() {
        let processes = described(proc, all.values().copied().collect());
        found = fitting(&|container, pid| name_of(&processes, pid, container).as_deref() == Some(typed));
    }
    if found.is_empty() {
        found = fitting(&|container, _| container.has_id(typed));
    }
    found
}

/// The containers of this machine, by the cgroups of processes, each with its first process.
fn containers(proc: &Path) -> BTreeMap<Container, Pid> {
    let listed = proc.to_str().and_then(|proc| pids::open_directory(CWD, proc).ok());
    let mut first = BTreeMap::new();
    for pid in listed.and_then(|directory| list_pids(directory).ok()).unwrap_or_default() {
        if let Some(container) = container(proc, pid) {
            first.entry(container).or_insert(pid);
        }
    }
    first
}
