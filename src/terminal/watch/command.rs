//! The command of `--exec`: run for one event after the other.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::process::{Command, ExitStatus, Stdio};

use super::json;
use super::outlet::Outlet;
use crate::commands::exit::Exit;
use crate::commands::watch::Event;
use crate::terminal::{cannot_run, complain, is_found};

/// Prepares to run a command; `None` if there is none.
pub fn start(words: Vec<OsString>) -> Result<Option<Outlet>, Exit> {
    let Some(program) = words.first().cloned() else { return Ok(None) };
    if !is_found(&program) {
        return Err(cannot_run(&program, &io::ErrorKind::NotFound.into()));
    }
    let name = format!("--exec: {}", program.to_string_lossy());
    let give = move |event: &Event| {
        run(&words, event);
        Ok(())
    };
    Outlet::start(name, give).map(Some).map_err(|error| cannot_run(OsStr::new(&program), &error))
}

/// Runs the command for an event, and says if that fails.
fn run(words: &[OsString], event: &Event) {
    let name = words[0].to_string_lossy();
    let title = || format!("{} {}", event.kind.into_str(), event.name());
    match feed(words, &json(event)) {
        Ok(status) if status.success() => {}
        Ok(status) => complain(&format!("--exec: {name} failed for '{}': {status}", title())),
        Err(error) => complain(&format!("--exec: {name} could not be run for '{}': {error}", title())),
    }
}

/// Runs the command with `input` on its standard input, until it ends.
fn feed(words: &[OsString], input: &[u8]) -> io::Result<ExitStatus> {
    let mut child = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It need not read it.
        let _ = stdin.write_all(input);
    }
    child.wait()
}
