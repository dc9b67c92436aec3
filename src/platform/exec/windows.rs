//! Runs a command on Windows, where no process can become another one: portcheck waits for it, and
//! exits with its code.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Child, Command};

/// Runs the program `words[0]`, with `variables` added to the environment, and exits with its code.
/// Returns only if it cannot be started.
pub fn exec(words: &[OsString], variables: &[(String, String)]) -> io::Error {
    let [program, arguments @ ..] = words else { return io::ErrorKind::InvalidInput.into() };
    let mut command = find(program);
    command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
    // Ctrl-C goes to every process of the console. The command decides what to do, and portcheck
    // waits for it.
    let _ = ctrlc::set_handler(|| {});
    match command.spawn().and_then(|mut child: Child| child.wait()) {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// A command for the program `name`, found as a shell of Windows finds it: `npm` is `npm.cmd`.
fn find(name: &OsStr) -> Command {
    match which::which(name) {
        Ok(path) => Command::new(path),
        // The system will say what is wrong.
        Err(_) => Command::new(name),
    }
}
