//! A cgroup for the process that listens on the port.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cannot;

/// A cgroup of its own below that of this process; removed when dropped.
pub struct Cgroup(PathBuf);

impl Cgroup {
    const PREFIX: &str = "portcheck-load-";

    pub fn create() -> Result<Self, String> {
        let parent = own_cgroup()?;
        // Whoever was killed left an empty one behind; one in use cannot be removed.
        for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(Self::PREFIX) {
                let _ = fs::remove_dir(entry.path());
            }
        }
        let path = parent.join(format!("{}{}", Self::PREFIX, std::process::id()));
        fs::create_dir(&path).map_err(cannot(format_args!("make the cgroup {}", path.display())))?;
        Ok(Self(path))
    }

    pub fn admit(&self, pid: u32) -> Result<(), String> {
        let list = self.0.join("cgroup.procs");
        fs::write(&list, pid.to_string()).map_err(cannot(format_args!("write {pid} to {}", list.display())))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("load: cannot remove the cgroup {}: {error}", self.0.display());
        }
    }
}

/// The directory of this process's own cgroup, wherever version 2 is mounted.
fn own_cgroup() -> Result<PathBuf, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(cannot(format_args!("read {path}")));
    let mounts = read("/proc/self/mountinfo")?;
    // The mount's root and where it is mounted are the fourth and fifth field.
    let (root, mount) = mounts
        .lines()
        .filter(|line| line.contains(" - cgroup2 "))
        .find_map(|line| {
            let mut fields = line.split(' ').skip(3);
            Some((fields.next()?, fields.next()?))
        })
        .ok_or("no cgroup file system of version 2 is mounted")?;
    let cgroups = read("/proc/self/cgroup")?;
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::")).ok_or("no cgroup of version 2 to be in")?;
    let below = Path::new(own).strip_prefix(root).or_else(|_| Path::new(own).strip_prefix("/"));
    Ok(Path::new(mount).join(below.map_err(cannot(format_args!("make out the cgroup {own}")))?))
}
