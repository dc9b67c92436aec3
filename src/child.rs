//! A command in the place of portcheck where no process can become another one, which is Windows: portcheck waits for it and ends as
//! it does.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command};

/// A command for the program `name`, looked for as a shell of Windows does: `npm` is `npm.cmd` there.
pub fn command(name: &OsStr) -> Command {
    match which::which(name) {
        Ok(path) => Command::new(path),
        // To be told by the system what is wrong.
        Err(_) => Command::new(name),
    }
}

/// Runs `command` to its end. Its exit code.
///
/// # Errors
///
/// If it cannot be started.
pub fn run(mut command: Command) -> io::Result<i32> {
    // Ctrl-C goes to every process of the console. The command decides what it does then, and portcheck still waits for it.
    let _ = ctrlc::set_handler(|| {});
    let status = command.spawn().and_then(|mut child: Child| child.wait())?;
    Ok(status.code().unwrap_or(1))
}
