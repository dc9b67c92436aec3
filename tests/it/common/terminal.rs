//! The binary on a terminal, which script(1) provides. Its questions can be answered.

use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A run of the binary on a terminal of its own. Ended when dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Everything it has printed so far.
    pub said: String,
}

impl Terminal {
    /// Starts it with arguments that a shell need not quote. If there is no script(1), says so and
    /// returns `None`.
    pub fn start(arguments: &str) -> Option<Self> {
        Self::start_after("", arguments)
    }

    /// The same, in a shell that runs `setting` first.
    pub fn start_after(setting: &str, arguments: &str) -> Option<Self> {
        Self::running(&format!("{setting} {} {arguments}", env!("CARGO_BIN_EXE_portcheck")))
    }

    /// Another command on a terminal.
    pub fn running(line: &str) -> Option<Self> {
        if !super::has("script") {
            super::skip("no script(1) to make a terminal");
            return None;
        }
        let mut child = Command::new("script")
            .args(["-qfec", line, "/dev/null"])
            .env("TERM", "dumb")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, stdin, stdout, said: String::new() })
    }

    /// Waits until it has printed `text`.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let mut byte = [0];
        while !self.said.contains(text) {
            assert_eq!(self.stdout.read(&mut byte).unwrap(), 1, "it never said {text}: {}", self.said);
            // Characters beyond ASCII arrive in pieces, and no test needs them.
            self.said.push(char::from(byte[0]));
        }
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        self.type_bytes(format!("{line}\n").as_bytes());
    }

    /// Types keys, such as 3 for Ctrl-C.
    pub fn type_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// Waits until it has ended, and returns the exit code.
    pub fn end(&mut self) -> i32 {
        let mut rest = Vec::new();
        let _ = self.stdout.read_to_end(&mut rest);
        self.said.push_str(&String::from_utf8_lossy(&rest));
        drop(self.stdin.take());
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
