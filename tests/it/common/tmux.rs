//! The binary on a terminal whose text can be read back, which tmux provides.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for a text.
const PATIENCE: Duration = Duration::from_secs(15);
/// tmux reports no change, so it is asked again and again.
const POLL: Duration = Duration::from_millis(15);

/// How many were started, so that each has a name of its own.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A terminal with a shell. Ended when dropped, with all that runs in it.
#[derive(Debug)]
pub struct Tmux {
    /// A server of its own.
    name: String,
}

impl Tmux {
    /// Starts a shell that finds the binary as `portcheck`. If there is no tmux, says so and returns
    /// `None`.
    pub fn start(width: u16, height: u16) -> Option<Self> {
        if !super::has("tmux") {
            super::skip("no tmux to make a terminal that can be read");
            return None;
        }
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let tmux = Self { name: format!("portcheck-test-{}-{number}", std::process::id()) };
        let binary = Path::new(env!("CARGO_BIN_EXE_portcheck")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = tmux.command(&["new-session", "-d", "-x", &width.to_string(), "-y", &height.to_string()]);
        command.args(["bash", "--norc", "--noprofile", "--noediting"]);
        command.env("PATH", format!("{}:{path}", binary.display())).env("PS1", "$ ").env("HISTFILE", "");
        command.env_remove("TMUX").env_remove("NO_COLOR").current_dir("/");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        tmux.until("$");
        Some(tmux)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.name, "-u", "-f", "/dev/null"]).args(arguments);
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    /// Presses keys, by their names in tmux: `Enter`, `C-z`, `q`.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Types a line.
    #[track_caller]
    pub fn type_line(&self, line: &str) {
        self.run(&["send-keys", "-l", line]);
        self.press(&["Enter"]);
    }

    /// What it shows, without blanks at the ends of lines.
    #[track_caller]
    pub fn screen(&self) -> String {
        let output = self.run(&["capture-pane", "-p"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// The same with colours, as escape sequences.
    #[track_caller]
    pub fn coloured(&self) -> String {
        String::from_utf8_lossy(&self.run(&["capture-pane", "-p", "-e"]).stdout).into_owned()
    }

    /// Waits until it shows this.
    #[track_caller]
    pub fn until(&self, text: &str) -> String {
        self.until_it(text, |screen| screen.contains(text))
    }

    /// Waits until it shows this no more.
    #[track_caller]
    pub fn until_without(&self, text: &str) -> String {
        self.until_it(text, |screen| !screen.contains(text))
    }

    /// Waits until what it shows is as it should be.
    #[track_caller]
    pub fn until_it(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "{what}:\n{screen}");
            thread::sleep(POLL);
        }
    }

    /// Makes it larger or smaller.
    #[track_caller]
    pub fn resize(&self, width: u16, height: u16) {
        self.run(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// Whether a program has the whole terminal, whether it gets the mouse, and whether the cursor
    /// is shown: `0 0 1` for a shell.
    #[track_caller]
    pub fn modes(&self) -> String {
        let output = self.run(&["display-message", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}
