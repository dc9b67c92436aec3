//! Cgroups (version 2) for tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A cgroup of a test. It is removed when dropped, and must be empty then.
#[derive(Debug)]
pub struct Cgroup {
    /// The directories that were made, the outermost first.
    made: Vec<PathBuf>,
    directory: PathBuf,
}

impl Cgroup {
    /// Creates the cgroup `path`, or uses the root if `path` is empty. The error says why that is
    /// not possible.
    pub fn make(path: &str) -> Result<Self, String> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let point = mounts.lines().find_map(|line| line.split_once(" - cgroup2 ")?.0.split(' ').nth(4));
        let mut cgroup = Self { made: Vec::new(), directory: point.ok_or("cgroup2 is not mounted")?.into() };
        for component in path.split('/').filter(|component| !component.is_empty()) {
            cgroup.directory.push(component);
            if !cgroup.directory.is_dir() {
                std::fs::create_dir(&cgroup.directory).map_err(|error| format!("no cgroup can be made: {error}"))?;
                cgroup.made.push(cgroup.directory.clone());
            }
        }
        let is_open = std::fs::OpenOptions::new().write(true).open(cgroup.processes());
        is_open.map_err(|error| format!("the cgroup cannot be entered: {error}"))?;
        Ok(cgroup)
    }

    /// A program that is in the cgroup from its start, as the user `uid` and the group `gid`.
    pub fn command(&self, program: &Path, uid: u32, gid: u32) -> Command {
        let enter = "echo $$ > \"$1\" && user=$2 group=$3 && shift 3 && \
                     exec setpriv --reuid \"$user\" --regid \"$group\" --clear-groups -- \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", enter, "sh"]).arg(self.processes()).args([uid.to_string(), gid.to_string()]).arg(program);
        command
    }

    /// Moves a running process into it.
    pub fn add(&self, pid: u32) {
        std::fs::write(self.processes(), pid.to_string()).unwrap();
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    fn processes(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let Some((own, parents)) = self.made.split_last() else { return };
        // From here on the kernel kills them, and does not say when it is done (cgroups(7)).
        let _ = std::fs::write(own.join("cgroup.kill"), "1");
        let deadline = Instant::now() + Duration::from_secs(2);
        while let Err(error) = remove(own) {
            if Instant::now() > deadline {
                return super::skip(&format!("removing {}: {error}", own.display()));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        for parent in parents.iter().rev() {
            // Another test may use it by now.
            let _ = std::fs::remove_dir(parent);
        }
    }
}

/// Removes a cgroup and those that were made in it.
fn remove(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)?.flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path())?;
    }
    std::fs::remove_dir(directory)
}
