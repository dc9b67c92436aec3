//! Becoming another program, as the standard library does it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Becomes the program `words[0]`, with `variables` added to the environment. Returns only if that
/// fails.
pub fn exec(words: &[OsString], variables: &[(String, String)]) -> io::Error {
    let [program, arguments @ ..] = words else { return io::ErrorKind::InvalidInput.into() };
    let variables = variables.iter().map(|(name, value)| (name, value));
    Command::new(program).args(arguments).envs(variables).exec()
}
