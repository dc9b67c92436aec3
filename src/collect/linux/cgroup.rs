//! Finds the path and the processes of a cgroup by its id, and the cgroup of a process
//! (cgroups(7)).
//!
//! The id of a cgroup (v2) is the inode number of its directory. Anyone may read directories and
//! `cgroup.procs`. So an ordinary user can learn who holds somebody else's socket.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::model::Pid;

/// The cgroup2 file system, as mounted here.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    mount: PathBuf,
}

/// The id of the root cgroup (`kernfs_ino` of the first node), which has every process that nobody
/// put elsewhere.
const ROOT_ID: u64 = 1;

/// The inode of the first cgroup namespace (`PROC_CGROUP_INIT_INO` of linux/proc_ns.h).
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFB;

impl Hierarchy {
    /// Finds the mount. `None` if there is none.
    pub fn find(proc: &Path) -> Option<Self> {
        // Where systemd mounts it. The list of mounts is long where containers run. But only the list
        // tells if more is mounted than the part that a cgroup namespace calls the root.
        let is_first = |namespace: fs::Metadata| namespace.ino() == INITIAL_NAMESPACE;
        if fs::metadata(proc.join("self/ns/cgroup")).is_ok_and(is_first)
            && let Some(mount) =
                ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().find(|path| is_whole_tree(path))
        {
            return Some(Self { mount: mount.into() });
        }
        let mounts = fs::read_to_string(proc.join("self/mountinfo")).ok()?;
        mount_of_cgroup2(&mounts).map(|mount| Self { mount })
    }

    /// The paths of the cgroups with these ids. Those that cannot be found are missing.
    ///
    /// `hints` are paths to try before the whole tree is walked.
    pub fn paths<'a>(&self, ids: &[u64], hints: impl Iterator<Item = &'a str>) -> HashMap<u64, String> {
        let mut missing: Vec<u64> = ids.iter().copied().filter(|&id| id != ROOT_ID).collect();
        missing.sort_unstable();
        missing.dedup();
        let mut paths = HashMap::new();
        if ids.contains(&ROOT_ID) {
            paths.insert(ROOT_ID, "/".to_owned());
        }
        for hint in hints {
            if missing.is_empty() {
                return paths;
            }
            let id = fs::metadata(self.directory(hint)).map(|metadata| metadata.ino());
            if let Some(index) = id.ok().and_then(|id| missing.binary_search(&id).ok()) {
                paths.insert(missing.remove(index), hint.to_owned());
            }
        }
        let mut pending = if missing.is_empty() { Vec::new() } else { vec![String::new()] };
        while let Some(parent) = pending.pop() {
            let Ok(entries) = fs::read_dir(self.directory(&parent)) else { continue };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let path = format!("{parent}/{}", entry.file_name().to_string_lossy());
                if let Ok(index) = missing.binary_search(&entry.ino()) {
                    paths.insert(missing.remove(index), path.clone());
                    if missing.is_empty() {
                        return paths;
                    }
                }
                pending.push(path);
            }
        }
        paths
    }

    /// The processes of a cgroup. If it has none, those of the cgroups below it: a manager may have
    /// moved them further down since the socket was made. Processes outside our pid namespace are
    /// left out.
    pub fn members(&self, path: &str) -> Vec<Pid> {
        let mut pending = vec![self.directory(path)];
        let mut pids = Vec::new();
        while let Some(directory) = pending.pop() {
            if let Ok(text) = fs::read_to_string(directory.join("cgroup.procs")) {
                // The kernel prints 0 for a process outside this pid namespace.
                pids.extend(text.lines().filter_map(|line| line.parse::<Pid>().ok()).filter(|&pid| pid != 0));
            }
            if pids.is_empty()
                && let Ok(entries) = fs::read_dir(&directory)
            {
                let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
                pending.extend(entries.flatten().filter(is_directory).map(|entry| entry.path()));
            }
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The directory of the frozen cgroup, if there is one: this cgroup, or the nearest one above
    /// it that was frozen.
    pub fn frozen(&self, path: &str) -> Option<PathBuf> {
        let directory = self.directory(path);
        let has = |directory: &Path, file: &str, line: &str| {
            fs::read_to_string(directory.join(file)).is_ok_and(|text| text.lines().any(|found| found == line))
        };
        // A cgroup that is frozen from above says so in its events, but not in its own setting.
        if !has(&directory, "cgroup.events", "frozen 1") {
            return None;
        }
        directory
            .ancestors()
            .take_while(|above| above.starts_with(&self.mount))
            .find(|above| has(above, "cgroup.freeze", "1"))
            .map(Path::to_owned)
    }

    /// The directory of a cgroup.
    pub fn directory(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }
}

/// The mount point in /proc/self/mountinfo (proc_pid_mountinfo(5)): `… ROOT MOUNTPOINT OPTIONS … -
/// TYPE SOURCE …`.
pub fn mount_of_cgroup2(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        // If only a part of the tree is mounted, its paths mean something else.
        let (root, point) = (fields.next()?, fields.next()?);
        (filesystem.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(unescape_octal(point)))
    })
}

/// Whether all of cgroup2 is mounted there. In a container it may be a part.
fn is_whole_tree(path: &str) -> bool {
    // CGROUP2_SUPER_MAGIC of linux/magic.h. The type of the field differs between architectures.
    rustix::fs::statfs(path).is_ok_and(|system| u64::try_from(system.f_type) == Ok(0x6367_7270))
        && fs::metadata(path).is_ok_and(|root| root.ino() == ROOT_ID)
}

/// Undoes the `\040` that mountinfo writes for a space.
fn unescape_octal(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// The paths of the cgroups that a process is in, each once: version 2 first, then version 1.
pub fn of_process(proc: &Path, pid: Pid) -> Vec<String> {
    let text = fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).unwrap_or_default();
    parse_process_cgroups(&text)
}

/// Parses lines of `HIERARCHY:CONTROLLERS:PATH`. Version 2 is hierarchy 0.
pub fn parse_process_cgroups(text: &str) -> Vec<String> {
    let mut lines: Vec<(bool, &str)> = text
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let hierarchy = fields.next()?;
            Some((hierarchy != "0", fields.nth(1)?))
        })
        .collect();
    lines.sort_by_key(|&(is_version_1, _)| is_version_1);
    let mut paths: Vec<String> = Vec::new();
    for (_, path) in lines {
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_found_wherever_it_is() {
        let hybrid = "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      31 30 0:27 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_of_cgroup2(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_of_cgroup2("31 30 0:27 / /mnt/a\\040b rw - cgroup2 none rw\n"), Some("/mnt/a b".into()));
        assert_eq!(mount_of_cgroup2("31 30 0:27 /../.. /sys/fs/cgroup rw - cgroup2 none rw\n"), None);
        assert_eq!(mount_of_cgroup2("nonsense\n"), None);
    }

    #[test]
    fn paths_and_members_in_a_tree_made_by_hand() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("system.slice/web.service");
        fs::create_dir_all(service.join("worker")).unwrap();
        fs::write(service.join("cgroup.procs"), "").unwrap();
        fs::write(service.join("worker/cgroup.procs"), "12\n7\n0\n").unwrap();
        let hierarchy = Hierarchy { mount: root.path().to_owned() };
        let id = fs::metadata(&service).unwrap().ino();
        let expected = "/system.slice/web.service".to_owned();
        assert_eq!(hierarchy.paths(&[id, u64::MAX], std::iter::empty()).get(&id), Some(&expected));
        assert_eq!(hierarchy.paths(&[id], std::iter::once(&*expected)).get(&id), Some(&expected));
        assert_eq!(hierarchy.members(&expected), [7, 12]);
        assert!(hierarchy.members("/nowhere").is_empty());
    }

    #[test]
    fn version_2_comes_first_and_nothing_twice() {
        let text = "4:memory:/docker/x\n1:name=systemd:/docker/x\n0::/a:b\n";
        assert_eq!(parse_process_cgroups(text), ["/a:b", "/docker/x"]);
    }
}
