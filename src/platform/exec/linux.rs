//! Becomes another program, which gets all that our caller gave us.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use crate::platform::startup::{closed_streams, ignores_sigpipe};

/// Becomes the program `words[0]`, looked for on the PATH, with `variables` added to the
/// environment. Returns only if that fails.
///
/// The program gets what our caller gave us: ignored signals, the signal mask, closed streams,
/// limits and open descriptors. The standard library would empty the mask, and let SIGPIPE end the
/// program.
pub fn exec(words: &[OsString], variables: &[(String, String)]) -> io::Error {
    let (words, environment) = match (words.iter().map(c_string).collect(), environment(variables)) {
        (Ok(words), Ok(environment)) => (words, environment),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    let words: Vec<CString> = words;
    let Some(program) = words.first() else { return io::ErrorKind::InvalidInput.into() };
    for stream in closed_streams() {
        // /dev/null, which the runtime opened in its place.
        let _ = nix::unistd::close(stream);
    }
    if !ignores_sigpipe() {
        sigpipe::reset();
    }
    match nix::unistd::execvpe(program, &words, &environment) {
        Err(errno) => errno.into(),
    }
}

fn c_string(text: &OsString) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(io::Error::from)
}

/// `NAME=value` of our environment, then the new variables.
fn environment(variables: &[(String, String)]) -> io::Result<Vec<CString>> {
    let is_new = |name: &OsString| variables.iter().any(|(new, _)| name == new.as_str());
    let kept = std::env::vars_os().filter(|(name, _)| !is_new(name));
    let new = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let line = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        c_string(&name)
    };
    kept.chain(new).map(line).collect()
}

/// Puts descriptors where a program expects them, from `first` on, and leaves them open for it.
/// Closes what our caller had open there. `descriptors`, and all others that the program is to get,
/// must have higher numbers.
pub fn place(first: RawFd, descriptors: &[impl AsFd]) -> io::Result<()> {
    for (number, descriptor) in (first..).zip(descriptors) {
        let _ = nix::unistd::close(number);
        // The lowest free number from there on is the one that was just closed.
        let placed = fcntl_dupfd_cloexec(descriptor, number)?;
        fcntl_setfd(&placed, FdFlags::empty())?;
        let _ = placed.into_raw_fd();
    }
    Ok(())
}
