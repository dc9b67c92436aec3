//! A sign of life on the terminal while something takes longer than a second.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a look at the sockets does for so long.
pub const LOOKING: &str = "looking through all processes …";
/// What a question to other machines does for so long.
pub const ASKING: &str = "waiting for the other machines …";
/// How long to stay silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// While it lives, the sign may be shown. Dropping it clears the line.
#[derive(Debug)]
pub struct Progress {
    /// Closed to end the thread.
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the delay before `sign` is shown. Does nothing unless standard error is a terminal.
pub fn start(sign: impl Into<String>) -> Option<Progress> {
    let sign = sign.into();
    if !io::stderr().is_terminal() {
        return None;
    }
    let (ended, wait) = mpsc::channel::<()>();
    let show = move || {
        if wait.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let mut stderr = io::stderr();
        let _ = write!(stderr, "{sign}");
        let _ = stderr.flush();
        let _ = wait.recv();
        // Blanks clear it on every terminal. Old consoles of Windows print escape sequences.
        let _ = write!(stderr, "\r{:width$}\r", "", width = sign.chars().count());
    };
    let thread = thread::Builder::new().name("progress".to_owned()).spawn(show).ok()?;
    Some(Progress { ended: Some(ended), thread: Some(thread) })
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.ended.take());
        if let Some(thread) = self.thread.take() {
            // The line must be cleared before the answer is written.
            let _ = thread.join();
        }
    }
}
