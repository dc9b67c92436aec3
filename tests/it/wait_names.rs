//! `portcheck wait --for listening` on a machine by its name: our own name server answers, or does
//! not.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::common::server::until;
use crate::common::{Run, in_namespace, json_of, portcheck, skip};
use serde_json::Value;

/// What the name server answers.
const SILENT: u8 = 0;
const NO_SUCH_NAME: u8 = 1;
/// Every name is 127.0.0.2.
const KNOWN: u8 = 2;

/// A name server at 127.0.0.1, and the files that make a program ask it.
struct NameServer {
    says: Arc<AtomicU8>,
    files: tempfile::TempDir,
}

impl NameServer {
    /// If no files can be mounted over those of the system, says so and returns `None`.
    fn start(says: u8) -> Option<Self> {
        let server = Self { says: Arc::new(AtomicU8::new(says)), files: tempfile::tempdir().unwrap() };
        let write = |name: &str, text: &str| std::fs::write(server.files.path().join(name), text).unwrap();
        write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n");
        write("nsswitch.conf", "hosts: files dns\n");
        if !server.with_files(&Command::new("true")).status().unwrap().success() {
            skip("no mounts here");
            return None;
        }
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        let says = Arc::clone(&server.says);
        std::thread::spawn(move || serve(&socket, &says));
        Some(server)
    }

    fn say(&self, what: u8) {
        self.says.store(what, Ordering::SeqCst);
    }

    /// A wait for `db.test:8080` that asks this server.
    fn wait(&self, arguments: &[&str]) -> Command {
        self.with_files(&portcheck(&[&["db.test:8080", "--wait", "listening"], arguments].concat()))
    }

    /// The command, with our files in place of those of the system.
    fn with_files(&self, inner: &Command) -> Command {
        const MOUNT: &str = "for file in resolv.conf nsswitch.conf; do \
                                 [ ! -e /etc/$file ] || mount --bind \"$1/$file\" /etc/$file || exit 99; \
                             done; shift; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["-m", "--", "sh", "-c", MOUNT, "sh"]).arg::<&Path>(self.files.path());
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
        command
    }
}

/// Answers questions (RFC 1035, section 4.1) until the test ends.
fn serve(socket: &UdpSocket, says: &AtomicU8) {
    const TYPE_A: [u8; 2] = [0, 1];
    // The answer has the name of the question, class IN, no lifetime, and four bytes.
    const ANSWER: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 2];
    let mut packet = [0; 512];
    while let Ok((length, peer)) = socket.recv_from(&mut packet) {
        let says = says.load(Ordering::SeqCst);
        // Behind the header: a name, which ends with an empty label, its type and its class.
        let end_of_name = 12 + packet[12..length].iter().position(|&byte| byte == 0).unwrap() + 1;
        let question = &packet[12..end_of_name + 4];
        let is_answered = says == KNOWN && question.ends_with(&[TYPE_A, [0, 1]].concat());
        let code = if says == NO_SUCH_NAME { 3 } else { 0 };
        let header = [packet[0], packet[1], 0x81, 0x80 | code, 0, 1, 0, u8::from(is_answered), 0, 0, 0, 0];
        let answer: &[u8] = if is_answered { &ANSWER } else { &[] };
        if says != SILENT {
            socket.send_to(&[&header, question, answer].concat(), peer).unwrap();
        }
    }
}

/// The outcome, the exit code, and what is known of the port.
fn outcome(answer: &Value) -> (&str, i64, &str) {
    let wait = &answer["wait"];
    let note = wait["goals"].as_array().unwrap().iter().find_map(|goal| goal["note"].as_str()).unwrap();
    (wait["outcome"].as_str().unwrap(), answer["exit_code"].as_i64().unwrap(), note)
}

/// Regression: it was reported only when the time ran out.
#[test]
fn a_name_that_does_not_exist_fails_at_once() {
    in_namespace(|| {
        let Some(names) = NameServer::start(NO_SUCH_NAME) else { return };
        let answer = json_of(names.wait(&["--json", "--timeout", "20s"]));
        assert_eq!(outcome(&answer), ("unknown-name", 1, "the name does not exist"));
        let run = Run::from(names.wait(&["--timeout", "20s"]).output().unwrap());
        assert!(run.code == 1 && run.stdout.contains("db.test:8080: the name does not exist"), "{run:?}");
        assert!(run.stdout.contains("--wait-for-dns"), "{run:?}");
        // One of two is enough, and the other one answers.
        let _server = TcpListener::bind("127.0.0.1:8081").unwrap();
        let met = json_of(names.wait(&["8081", "--any", "--json"]));
        assert_eq!(outcome(&met).0, "met");
        let both = json_of(names.wait(&["8081", "--json"]));
        assert_eq!(outcome(&both).0, "unknown-name");
    });
}

#[test]
fn a_name_that_comes_to_exist_is_waited_for() {
    in_namespace(|| {
        let Some(names) = NameServer::start(NO_SUCH_NAME) else { return };
        let timeout = json_of(names.wait(&["--wait-for-dns", "--json", "--timeout", "500ms"]));
        assert_eq!(outcome(&timeout), ("timeout", 124, "the name does not exist"));
        let _server = TcpListener::bind("127.0.0.2:8080").unwrap();
        let wait = names.wait(&["--wait-for-dns", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/wchan", wait.id())).unwrap_or_default();
        until("it waits", || state().contains("poll"));
        names.say(KNOWN);
        let output = Run::from(wait.wait_with_output().unwrap());
        let answer: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(outcome(&answer), ("met", 0, "127.0.0.2:8080"));
    });
}

/// Regression: the note was "no answer yet", as if there had been a connection.
#[test]
fn a_name_that_is_still_being_looked_up_is_told_apart() {
    in_namespace(|| {
        let Some(names) = NameServer::start(SILENT) else { return };
        let answer = json_of(names.wait(&["--json", "--timeout", "300ms"]));
        assert_eq!(outcome(&answer), ("timeout", 124, "the name is still being looked up"));
    });
}
