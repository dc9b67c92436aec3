//! What is said of a command that this process was to become, behind `--free` or `--wait`, and could not.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

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

/// Whether there is such a file, where a command is looked for.
pub fn is_found(program: &OsStr) -> bool {
    let path = Path::new(program);
    // A name alone is looked for in the PATH.
    let is_name = path.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    if is_name {
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let with_suffix = format!("{}{}", program.to_string_lossy(), std::env::consts::EXE_SUFFIX);
        return std::env::split_paths(&directories)
            .any(|directory| directory.join(path).exists() || directory.join(&with_suffix).exists());
    }
    path.exists()
}
