//! The other network namespaces of this machine: where they are found, and how they are opened.
//!
//! They are found by processes (/proc/PID/ns/net) and by files that keep them. Where a process does not tell its
//! namespace, its /proc/PID/net/tcp does: anybody may stat it, and each namespace has another inode of it.

mod files;
mod inside;
mod naming;
mod reading;

use std::collections::BTreeMap;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

pub use inside::{enter, is_container};
pub use naming::{container, give_names, process};
pub use reading::{By, Reading, read_all};

use super::pids::{is_gone, list_pids};
use crate::error::Error;
use crate::model::{Namespace, NamespaceName, Pid, Socket};
use crate::platform::foreign;
use crate::platform::proc::parse_namespace_link;

/// A network namespace that is not our own, and the ways into it.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// What it is called.
    pub namespace: Namespace,
    /// The inode of its TCP table in /proc. Known only where some processes do not tell their namespace.
    table: Option<u64>,
    /// The processes in there, ascending.
    pids: Vec<Pid>,
    /// The files that keep it.
    files: Vec<PathBuf>,
}

/// Finds the network namespaces other than our own.
pub fn find(proc: &Path) -> Result<Vec<Neighbour>, Error> {
    let read = |source| Error::Read { path: proc.to_owned(), source };
    let root = File::open(proc).map_err(read)?;
    let pids = list_pids(&root).map_err(|errno| read(errno.into()))?;
    let mut neighbours = by_processes(&root, &pids);
    let own = inode_of(&root, "thread-self").ok();
    for (inode, path) in files::list() {
        match neighbours.iter_mut().find(|neighbour| neighbour.inode == Some(inode)) {
            Some(neighbour) => neighbour.files.push(path),
            None => neighbours.push(Found { inode: Some(inode), files: vec![path], ..Found::default() }),
        }
    }
    let own_table = table_of(&root, "thread-self");
    neighbours.retain(|neighbour| {
        let is_own = own.is_some() && neighbour.inode == own;
        !is_own && (neighbour.table.is_none() || neighbour.table != own_table)
    });
    Ok(neighbours.into_iter().map(Neighbour::from).collect())
}

/// How long a person who completes a word waits for names of namespaces.
const PATIENCE: Duration = Duration::from_millis(40);

/// The network namespaces other than our own by their names. None if the engines take long to tell them.
pub fn in_time(proc: &'static Path) -> Vec<Namespace> {
    let look = move || {
        let mut found = find(proc).unwrap_or_default();
        give_names(proc, &mut found);
        found.into_iter().map(|neighbour| neighbour.namespace).collect()
    };
    foreign::within(PATIENCE, look).unwrap_or_default()
}

/// What is known of a namespace before it has a name.
#[derive(Debug, Default)]
struct Found {
    inode: Option<u64>,
    table: Option<u64>,
    pids: Vec<Pid>,
    files: Vec<PathBuf>,
}

impl From<Found> for Neighbour {
    fn from(Found { inode, table, pids, files }: Found) -> Self {
        let file = files.first().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let namespace = Namespace { name: NamespaceName::File(file), inode, pid: pids.first().copied() };
        Self { namespace, table, pids, files }
    }
}

/// The namespaces of processes, our own among them.
fn by_processes(root: &File, pids: &[Pid]) -> Vec<Found> {
    let mut told: BTreeMap<u64, Found> = BTreeMap::new();
    let with_inode = |(inode, found): (u64, Found)| Found { inode: Some(inode), ..found };
    let mut untold: Vec<Pid> = Vec::new();
    for &pid in pids {
        match inode_of(root, pid) {
            Ok(inode) => told.entry(inode).or_default().pids.push(pid),
            Err(errno) if is_gone(errno) => {}
            Err(_) => untold.push(pid),
        }
    }
    let mut found: Vec<Found> = told.into_iter().map(with_inode).collect();
    if untold.is_empty() {
        return found;
    }
    for neighbour in &mut found {
        neighbour.table = neighbour.pids.iter().find_map(|pid| table_of(root, pid));
    }
    for pid in untold {
        let Some(table) = table_of(root, pid) else { continue };
        match found.iter_mut().find(|neighbour| neighbour.table == Some(table)) {
            Some(neighbour) => neighbour.pids.push(pid),
            None => found.push(Found { table: Some(table), pids: vec![pid], ..Found::default() }),
        }
    }
    for neighbour in &mut found {
        neighbour.pids.sort_unstable();
    }
    found
}

/// The inode of the namespace of a process, by its name in `root` (/proc). Other users may not ask.
pub fn inode_of(root: impl AsFd, process: impl std::fmt::Display) -> Result<u64, Errno> {
    let mut link = [MaybeUninit::uninit(); 32];
    let (target, _) = rustix::fs::readlinkat_raw(root, format!("{process}/ns/net"), &mut link)?;
    parse_namespace_link(target).ok_or(Errno::INVAL)
}

/// The inode of the TCP table that a process sees. Each namespace has one of its own.
fn table_of(root: impl AsFd, process: impl std::fmt::Display) -> Option<u64> {
    let table = rustix::fs::statat(root, format!("{process}/net/tcp"), AtFlags::empty()).ok()?;
    Some(table.st_ino)
}

/// The inode of the network namespace of a socket; `None` if it cannot be told.
#[derive(Debug, Clone, Copy)]
pub struct Home(Option<u64>);

impl Home {
    /// Where `socket` is: in its own namespace, or in ours.
    pub fn of(proc: &Path, socket: &Socket) -> Self {
        match &socket.namespace {
            Some(namespace) => Self(namespace.inode),
            None => Self(inode_of(CWD, proc.join("thread-self").display()).ok()),
        }
    }

    /// Whether what is in `namespace` may be here, as far as both can be told.
    pub fn may_be(self, namespace: Option<u64>) -> bool {
        self.0.is_none() || namespace.is_none() || namespace == self.0
    }
}

impl Neighbour {
    /// The processes in it, ascending.
    pub fn pids(&self) -> &[Pid] {
        &self.pids
    }

    /// Opens the namespace. Numbers of processes and inodes are used again, so what was opened has to be the same.
    fn open(&self, proc: &Path) -> Option<File> {
        let inode = self.namespace.inode?;
        let by_process = self.pids.iter().map(|pid| proc.join(pid.to_string()).join("ns/net"));
        let mut opened = self.files.iter().cloned().chain(by_process).filter_map(|path| files::open(&path));
        opened.find(|file| file.metadata().is_ok_and(|file| file.ino() == inode))
    }

    /// Whether it is there still: a file keeps it, or a process is in it.
    pub fn is_there(&self, proc: &Path) -> bool {
        let is_kept = |path: &PathBuf| self.namespace.inode.is_some() && files::inode(path) == self.namespace.inode;
        let has_process = |root: File| self.pids.iter().any(|&pid| self.has(&root, pid));
        self.files.iter().any(is_kept) || File::open(proc).is_ok_and(has_process)
    }

    /// Whether a process is in this namespace still.
    fn has(&self, root: &File, pid: Pid) -> bool {
        match self.namespace.inode {
            Some(inode) if self.table.is_none() => inode_of(root, pid) == Ok(inode),
            _ => self.table.is_some() && table_of(root, pid) == self.table,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A /proc made by hand: whom each process of `told` names, and of which table the others are.
    fn proc(told: &[(Pid, u64)], untold: &[(Pid, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let net = |pid: &Pid, table: &str| {
            let net = root.path().join(pid.to_string()).join("net");
            fs::create_dir_all(&net).unwrap();
            let shared = root.path().join(table);
            fs::write(&shared, "").unwrap();
            fs::hard_link(shared, net.join("tcp")).unwrap();
        };
        for (pid, inode) in told {
            net(pid, &inode.to_string());
            fs::create_dir(root.path().join(format!("{pid}/ns"))).unwrap();
            symlink(format!("net:[{inode}]"), root.path().join(format!("{pid}/ns/net"))).unwrap();
        }
        for (pid, table) in untold {
            net(pid, table);
            fs::create_dir(root.path().join(format!("{pid}/ns"))).unwrap();
            // Not a link: readlink fails, as it does by lack of privilege.
            fs::write(root.path().join(format!("{pid}/ns/net")), "").unwrap();
        }
        root
    }

    fn found(root: &tempfile::TempDir) -> Vec<(Option<u64>, Vec<Pid>)> {
        let root = File::open(root.path()).unwrap();
        let pids = list_pids(&root).unwrap();
        by_processes(&root, &pids).into_iter().map(|neighbour| (neighbour.inode, neighbour.pids)).collect()
    }

    #[test]
    fn processes_are_grouped_by_the_namespace_that_they_tell() {
        let root = proc(&[(1, 77), (20, 88), (30, 77)], &[]);
        assert_eq!(found(&root), [(Some(77), vec![1, 30]), (Some(88), vec![20])]);
    }

    #[test]
    fn those_that_do_not_tell_are_grouped_by_their_tables() {
        let root = proc(&[(20, 77)], &[(1, "other"), (10, "77"), (30, "other"), (40, "third")]);
        assert_eq!(found(&root), [(Some(77), vec![10, 20]), (None, vec![1, 30]), (None, vec![40])]);
    }

    #[test]
    fn our_own_namespace_is_none_of_the_others() {
        let own = inode_of(File::open("/proc").unwrap(), "self").unwrap();
        let neighbours = find(Path::new("/proc")).unwrap();
        assert!(neighbours.iter().all(|neighbour| neighbour.namespace.inode != Some(own)), "{neighbours:?}");
        assert!(neighbours.iter().all(|neighbour| !neighbour.pids.contains(&std::process::id())), "{neighbours:?}");
    }
}
