//! Runs the command line tools of supervisors.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::process::{Handle, wait_for_exits};
use crate::error::Error;

/// How long a tool may take. systemd itself gives a service 90 s to stop (systemd-system.conf(5)).
const LIMIT: Duration = Duration::from_mins(2);

/// How long to wait for the rest of a tool's output after its end.
const ECHO: Duration = Duration::from_millis(200);

/// How a tool ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ran {
    /// It says that it succeeded.
    Done,
    /// It failed. Its last line, or its exit code.
    Failed(String),
    /// It is not installed.
    Missing,
    /// It still runs after two minutes.
    Late,
}

/// The path of the program `name`, if it exists.
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Runs `command`, a program and its arguments, and waits until it has ended. The tool has no
/// input, so it cannot ask questions.
pub fn run(command: &[String]) -> Result<Ran, Error> {
    let [name, arguments @ ..] = command else { return Ok(Ran::Missing) };
    let Some(program) = find_on_path(name) else { return Ok(Ran::Missing) };
    let mut started = Command::new(program);
    started.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // These variables would lead the tools to another engine, perhaps on another machine.
    for (name, _) in std::env::vars_os() {
        if ["DOCKER_", "CONTAINER_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            started.env_remove(name);
        }
    }
    let mut child = match started.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Ran::Failed(error.to_string())),
    };
    let complaint = hear(child.stderr.take());
    if let Some(handle) = Handle::open(child.id())?
        && wait_for_exits(&[&handle], Some(LIMIT))? != [true]
    {
        return Ok(Ran::Late);
    }
    let status = child.wait().map_err(|source| Error::Call { call: "waitpid", source })?;
    if status.success() {
        return Ok(Ran::Done);
    }
    let said = complaint.recv_timeout(ECHO).unwrap_or_default();
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    Ok(Ran::Failed(last.map_or_else(|| status.to_string(), str::to_owned)))
}

/// Runs `command` and returns what it printed, whatever its exit code. `None` if it is not
/// installed, cannot be started, or takes longer than `limit`; then it is ended.
///
/// It runs in `/`, as anybody may have put files into the working directory.
pub fn read(command: &[String], limit: Duration) -> Option<String> {
    let [name, arguments @ ..] = command else { return None };
    let mut started = Command::new(find_on_path(name)?);
    started.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = started.spawn().ok()?;
    let output = hear(child.stdout.take());
    let said = output.recv_timeout(limit).ok();
    if said.is_none() {
        let _ = child.kill();
    }
    let _ = child.wait();
    said
}

/// Runs `command` with this input and these variables. An error is the first line of its complaint.
#[cfg(target_os = "linux")]
pub fn feed(command: &[String], variables: &[(&str, &str)], input: &str, limit: Duration) -> Result<(), String> {
    use std::io::Write;
    let [name, arguments @ ..] = command else { return Err("no command".to_owned()) };
    let program = find_on_path(name).ok_or_else(|| format!("{name} is not installed"))?;
    let mut started = Command::new(program);
    started.args(arguments).envs(variables.iter().copied()).current_dir("/");
    started.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = started.spawn().map_err(|error| error.to_string())?;
    let complaint = hear(child.stderr.take());
    // A tool that stops reading says why.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    let said = complaint.recv_timeout(limit);
    if said.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let first = said.unwrap_or_default().lines().next().map(|line| line.trim().to_owned());
    if status.success() { Ok(()) } else { Err(first.unwrap_or_else(|| status.to_string())) }
}

/// Reads a pipe to its end, in a thread. A process that the tool leaves behind may keep the pipe
/// open after the tool's end.
fn hear(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (said, heard) = mpsc::channel();
    let hear = move || {
        let mut bytes = Vec::new();
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        let _ = said.send(String::from_utf8_lossy(&bytes).into_owned());
    };
    // Without a thread, nobody reads the output.
    let _ = thread::Builder::new().name("stderr".to_owned()).spawn(hear);
    heard
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn run(command: &[&str]) -> Ran {
        super::run(&command.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_a_tool_prints_is_read_unless_it_takes_too_long() {
        let read = |words: &[&str], limit: Duration| {
            super::read(&words.iter().map(ToString::to_string).collect::<Vec<_>>(), limit)
        };
        assert_eq!(read(&["sh", "-c", "pwd; exit 3"], Duration::from_mins(1)).as_deref(), Some("/\n"));
        assert_eq!(read(&["sleep", "60"], Duration::from_millis(1)), None);
        assert_eq!(read(&["no-such-tool-at-all"], Duration::from_mins(1)), None);
    }

    #[test]
    fn what_a_tool_says_is_passed_on() {
        assert_eq!(run(&["true"]), Ran::Done);
        assert_eq!(run(&["sh", "-c", "echo one >&2; echo two >&2; exit 3"]), Ran::Failed("two".to_owned()));
        assert_eq!(run(&["sh", "-c", "exit 3"]), Ran::Failed("exit status: 3".to_owned()));
        assert_eq!(run(&["no-such-tool-at-all"]), Ran::Missing);
        assert_eq!(run(&[]), Ran::Missing);
    }
}
