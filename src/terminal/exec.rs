//! Says why this process could not become the command behind `free` or `wait`.

use std::ffi::OsStr;
use std::io;

use crate::commands::exit::Exit;

use super::complain;

/// Says why a command could not be started, as a shell does.
pub fn cannot_run(program: &OsStr, error: &io::Error) -> Exit {
    let name = program.to_string_lossy();
    // execvp(3) says this, too, if it may not read a directory of the PATH.
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

/// Whether the command exists. A script may be named without its suffix.
#[cfg(windows)]
pub fn is_found(program: &OsStr) -> bool {
    which::which(program).is_ok()
}

/// Whether the file exists. A name alone is looked for in the PATH.
#[cfg(not(windows))]
pub fn is_found(program: &OsStr) -> bool {
    let path = std::path::Path::new(program);
    if path.components().count() > 1 || path.is_absolute() {
        return path.exists();
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories).any(|directory| directory.join(path).exists())
}
