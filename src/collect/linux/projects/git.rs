//! What a repository of git says of itself (gitrepository-layout(5)). git is not run: it would run what
//! the repository's settings name.

use std::fs;
use std::path::{Path, PathBuf};

use super::names::plain;
use crate::platform::foreign;

/// Where the repository of a working tree is: its `.git`, or where the file of that name leads, as in a
/// worktree or submodule.
pub fn repository(directory: &Path) -> Option<PathBuf> {
    let git = directory.join(".git");
    if fs::metadata(&git).ok()?.is_dir() {
        return Some(git);
    }
    let bytes = foreign::read(&git).ok()?;
    let path = std::str::from_utf8(&bytes).ok()?.strip_prefix("gitdir:")?.trim();
    (!path.is_empty()).then(|| directory.join(path))
}

/// The branch that is checked out. `None` for a detached HEAD.
pub fn branch(repository: &Path) -> Option<String> {
    let bytes = foreign::read(&repository.join("HEAD")).ok()?;
    let name = std::str::from_utf8(&bytes).ok()?.strip_prefix("ref:")?.trim().strip_prefix("refs/heads/")?;
    // What stands in HEAD where branches are kept in a reftable (gitformat-reftable(5)).
    plain(name).filter(|name| name != ".invalid")
}
