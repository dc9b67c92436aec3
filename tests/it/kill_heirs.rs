//! `portcheck kill` when the socket of a holder goes to a process that was not shown.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::role::open;
use crate::common::server::{children, until};
use crate::common::terminal::Terminal;
use crate::common::{Background, NOBODY, has, in_namespace, is_root, json, numbers, skip};
use serde_json::json as value;

/// Waits at the unix socket `argv[1]` for a descriptor, and keeps it.
const RECEIVER: &str = "
import signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
peer = server.accept()[0]
kept = socket.recv_fds(peer, 1, 1)
peer.send(b'!')
signal.pause()
";

/// Listens, and on SIGTERM passes its listener to the process that waits at `argv[1]`.
const GIVER: &str = "
import os, signal, socket, sys
listener = socket.create_server(('127.0.0.1', 8080))
def give(*_):
    receiver = socket.socket(socket.AF_UNIX)
    receiver.connect(sys.argv[1])
    socket.send_fds(receiver, [b'!'], [listener.fileno()])
    receiver.recv(1)
    os._exit(0)
signal.signal(signal.SIGTERM, give)
while True: signal.pause()
";

fn python(script: &str, path: &Path) -> Background {
    Background::spawn(Command::new("python3").args(["-c", script]).arg(path))
}

/// Regression: that process was ended, although no plan had shown it.
#[test]
fn whom_a_holder_passes_its_socket_to_is_named_and_never_ended() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let mut receiver = python(RECEIVER, &path);
        until("it waits", || path.exists());
        let giver = python(GIVER, &path);
        crate::common::until_it_listens(8080);
        until("it has its handler", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", giver.pid())).unwrap();
            status.lines().any(|line| line.starts_with("SigCgt:") && line.ends_with("4002"))
        });

        let answer = json(&["8080/tcp", "--kill", "--yes", "--force"]);
        let steps = answer["kill"]["steps"].as_array().unwrap();
        let results: Vec<_> = steps.iter().map(|step| (&step["pid"], step["result"].as_str().unwrap())).collect();
        let (given, got) = (value!(giver.pid()), value!(receiver.pid()));
        assert_eq!(results, [(&given, "done"), (&got, "not-shown")], "{answer:#}");
        assert!(steps[1]["reason"].as_str().unwrap().contains("is no child of a process that was"), "{answer:#}");
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("still-held"), &value!(1)));
        assert!(receiver.0.try_wait().unwrap().is_none(), "the receiver was ended");
        // Ending it is another question than the one that was answered.
        assert!(answer["kill"]["next_steps"][0]["command"].as_str().unwrap().ends_with(" kill 8080/tcp"), "{answer:#}");
    });
}

/// A child that the holder forks after the question is covered by the consent only if it runs as
/// the same user.
#[test]
fn a_child_of_another_user_was_not_shown_either() {
    in_namespace(|| {
        if !is_root() {
            return skip("only root can become another user");
        }
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let socket = open("127.0.0.1:8080".parse().unwrap(), socket2::Type::STREAM, &[]);
        let mut command = Command::new("sh");
        let fork = format!("setpriv --reuid {NOBODY} --clear-groups sleep 60 <&3 & wait");
        command.args(["-c", &format!("exec 3<&0; read line <\"$0\"; {fork}")]).arg(&fifo);
        let shell = command.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket))).stdout(Stdio::null()).spawn();
        drop(command);
        let shell = Background(shell.unwrap());
        let Some(mut terminal) = Terminal::start("8080/tcp --kill") else { return };
        terminal.expect("[y/N] ");
        std::fs::write(&fifo, "go\n").unwrap();
        let owner = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        until("its child has the socket, and is another user's", || {
            let pids = numbers(&json(&["8080/tcp"])["ports"][0]["sockets"][0]["owners"]["pids"]);
            pids.iter().any(|&pid| owner(pid).contains(&format!("Uid:\t{NOBODY}\t{NOBODY}")))
        });
        let child = children(shell.pid())[0];
        terminal.type_line("y");
        assert_eq!(terminal.end(), 1, "{}", terminal.said);
        assert!(terminal.said.contains(&format!("(pid {}) ended ", shell.pid())), "{}", terminal.said);
        assert!(terminal.said.contains(&format!("(pid {child}) was not signalled: it got the")), "{}", terminal.said);
        assert!(terminal.said.contains("runs as another user"), "{}", terminal.said);
        let child = rustix::process::Pid::from_raw(child.try_into().unwrap()).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    });
}
