//! What is said of a command that this process was to become, behind `free` or `wait`, and could not.

use std::ffi::OsStr;
use std::io;

use crate::commands::exit::Exit;

use super::complain;

/// Says why a command could not be started, as a shell does.
pub fn cannot_run(program: &OsStr, error: &io::Error) -> Exit {
    let name = program.to_string_lossy();
    // execvp(3) says so too if it may not look into some directory of the PATH.
    if !is_found(program) {
        complain(&format!("cannot run '{name}': there is no such command"));
        return Exit::NotFound;
    }
    let why = match error.kind() {
        io::ErrorKind::NotFound => "the interpreter that its first line names does not exist".to_owned(),
        _ => error.to_string(),
    };
    complain(&format!("cannot run '{name}': {why}"));
    Exit::NotExecutable
}

/// Whether there is such a command: a script may be named without its suffix.
#[cfg(windows)]
pub fn is_found(program: &OsStr) -> bool {
    which::which(program).is_ok()
}

/// Whether there is such a file. A name alone is looked for in the PATH.
#[cfg(not(windows))]
pub fn is_found(program: &OsStr) -> bool {
    let path = std::path::Path::new(program);
    if path.components().count() > 1 || path.is_absolute() {
        return path.exists();
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories).any(|directory| directory.join(path).exists())
}
