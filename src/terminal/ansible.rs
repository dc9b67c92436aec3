//! What Ansible reads: one JSON object on standard output.

use std::io::{self, BufWriter, Write};

use super::written;
use crate::answer::Answer;
use crate::commands::ansible::Task;
use crate::commands::exit::Exit;
use crate::model::Host;
use crate::render::{self, ErrorKind};

/// Writes what became of a task. Its failure is the exit code.
pub fn tell(answer: &Answer, task: Task) -> io::Result<Exit> {
    let mut out = BufWriter::new(io::stdout().lock());
    let has_failed = render::write_task(answer, task, &mut out)?;
    out.flush()?;
    Ok(if has_failed { Exit::No } else { Exit::Yes })
}

/// Writes that a task could not be done.
pub fn fail(kind: ErrorKind, message: &str, host: &Host) -> Exit {
    let mut out = BufWriter::new(io::stdout().lock());
    let told = render::write_task_error(kind, message, host, &mut out).and_then(|()| out.flush());
    written(Exit::No, told)
}
