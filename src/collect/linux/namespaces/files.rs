//! Files that keep network namespaces: those of `ip netns`, Docker and rootless engines.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use crate::platform::foreign;

/// Where `ip netns` has its files.
pub const NETNS: &str = "/run/netns";
const DOCKER: &str = "/run/docker/netns";
/// Engines of users have theirs in `netns` in the user's directory below this one.
const USERS: &str = "/run/user";

/// How long the directories of users may take: their file systems may be anything.
const PATIENCE: Duration = Duration::from_millis(200);

/// `NSFS_MAGIC`, linux/magic.h.
const NSFS: u64 = 0x6e73_6673;

/// The files in the usual neighbours, with the inodes of their namespaces.
pub fn list() -> Vec<(u64, PathBuf)> {
    let mut files = in_directory(Path::new(NETNS));
    files.extend(in_directory(Path::new(DOCKER)));
    if fs::read_dir(USERS).is_ok_and(|mut users| users.next().is_some()) {
        files.extend(foreign::within(PATIENCE, of_users).unwrap_or_default());
    }
    files
}

fn of_users() -> Vec<(u64, PathBuf)> {
    let users = fs::read_dir(USERS).into_iter().flatten().flatten();
    // These names are anybody's, and may end up in a command that is shown.
    let is_plain = |path: &PathBuf| path.as_os_str().as_encoded_bytes().iter().all(u8::is_ascii_graphic);
    users.flat_map(|user| in_directory(&user.path().join("netns"))).filter(|(_, path)| is_plain(path)).collect()
}

/// The namespaces that files in a directory keep, in the order of their names.
fn in_directory(directory: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths.into_iter().filter_map(|path| Some((inode(&path)?, path))).collect()
}

/// The inode of the namespace that a file keeps. `None` for any other file, which is not even opened: that could hang, or
/// set off a device.
pub fn inode(path: &Path) -> Option<u64> {
    let file_system = rustix::fs::statfs(path).ok()?;
    // The type of the field differs between architectures.
    let is_namespace = u64::try_from(file_system.f_type) == Ok(NSFS);
    let metadata = fs::metadata(path).ok().filter(|_| is_namespace)?;
    Some(metadata.ino())
}

/// Opens a file that keeps a namespace. It has to keep it still: it may be another file by now.
pub fn open(path: &Path) -> Option<File> {
    let before = inode(path)?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    (file.metadata().ok()?.ino() == before).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_keep_a_namespace_are_opened() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("text"), "x").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        std::os::unix::fs::symlink("/proc/self/ns/net", path("link")).unwrap();
        for other in ["text", "fifo", "missing", "."] {
            assert!(inode(&path(other)).is_none() && open(&path(other)).is_none(), "{other}");
        }
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert_eq!(in_directory(root.path()), [(own, path("link"))]);
        assert!(open(&path("link")).is_some());
    }
}
