//! `portcheck free -- CMD`: a command that has its ports while it runs, and real servers on held
//! ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use crate::common::lease::{can_bind, leased, pick_one, printed};
use crate::common::server::{holders, program, until};
use crate::common::{Run, codes, in_namespace, json, numbers, port, portcheck, run, skip};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json as value;

/// The words that a command prints.
#[track_caller]
fn words(arguments: &[&str]) -> Vec<String> {
    let run = run(arguments);
    assert_eq!((run.code, &*run.stderr), (0, ""), "{arguments:?}: {run:?}");
    run.stdout.split_whitespace().map(str::to_owned).collect()
}

/// No lease, no socket and no process is left.
#[track_caller]
fn assert_nothing_is_left() {
    assert!(leased().is_empty());
    for table in ["unix", "tcp", "tcp6", "udp", "udp6"] {
        let path = format!("/proc/net/{table}");
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        assert!(!text.contains("portcheck") && (table == "unix" || text.lines().count() == 1), "{text}");
    }
}

#[test]
fn a_command_finds_its_ports_in_its_environment_and_arguments() {
    in_namespace(|| {
        let said = words(&["--free", "2", "--", "sh", "-c", "echo $PORT $PORT2 {port} {port2} {port1} {ports}"]);
        assert_eq!(said[..2], said[2..4]);
        assert_eq!((&said[4], &*said[5]), (&said[0], "{ports}"));
        assert!(printed(&said[..2].join("\n")).iter().all(|port| (20_000..30_000).contains(port)));

        let said =
            words(&["--free", "--env", "HTTP,ADMIN", "--", "sh", "-c", "echo $HTTP $ADMIN $PORT {port} {port2}"]);
        assert_eq!((said.len(), &said[..2]), (4, &said[2..]), "PORT is not set: {said:?}");
        assert_eq!(words(&["--free", "--range", "20010-20010", "--", "echo", "a{port}b", ""]), ["a20010b"]);
        assert_nothing_is_left();
    });
}

/// portcheck becomes the command by exec, so the parent, the standard streams and the other
/// descriptors stay the same.
#[test]
fn portcheck_becomes_the_command() {
    in_namespace(|| {
        let child = portcheck(&["--free", "--", "sh", "-c", "echo $$"]).stdout(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), format!("{pid}\n"));

        assert_eq!(run(&["--free", "--", "sh", "-c", "exit 7"]).code, 7);
        let status = portcheck(&["--free", "--", "sh", "-c", "kill -TERM $$"]).status().unwrap();
        assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
        let mut sleeper = portcheck(&["--free", "--", "sleep", "60"]).spawn().unwrap();
        until("it sleeps", || std::fs::read_to_string(format!("/proc/{}/comm", sleeper.id())).unwrap() == "sleep\n");
        kill_process(Pid::from_child(&sleeper), Signal::INT).unwrap();
        assert_eq!(sleeper.wait().unwrap().signal(), Some(Signal::INT.as_raw()));

        // Picking needs more descriptors than are allowed, and the command must not notice the
        // raised limit.
        let script =
            format!("ulimit -Sn 256; exec {} --free 300 -- sh -c 'ulimit -Sn'", env!("CARGO_BIN_EXE_portcheck"));
        let Run { code, stdout, stderr } = Command::new("sh").args(["-c", &script]).output().unwrap().into();
        assert_eq!((code, &*stdout, &*stderr), (0, "256\n", ""));
        assert_nothing_is_left();
    });
}

#[test]
fn a_command_that_cannot_be_started_gets_a_shells_exit_code_and_leaves_nothing() {
    in_namespace(|| {
        for options in [&[][..], &["--pass-fds"], &["--release-on-exec"]] {
            for (command, code) in
                [("/nonexistent/server", 127), ("no-such-server", 127), ("/etc/passwd", 126), ("/", 126)]
            {
                let run = run(&[&["--free"], options, &["--", command]].concat());
                assert_eq!((run.code, &*run.stdout, run.stderr.lines().count()), (code, "", 1), "{run:?}");
                assert!(run.stderr.starts_with(&format!("portcheck: cannot run '{command}': ")), "{run:?}");
            }
        }
        assert_nothing_is_left();
    });
}

/// Regression: an ignored SIGPIPE was reset, the signal mask was emptied, and /dev/null was opened
/// in place of a closed stream.
#[test]
fn a_command_gets_all_that_the_caller_gave_us() {
    in_namespace(|| {
        // Our descriptors have higher numbers than anybody else's.
        const REPORT: &str = "grep -E '^Sig(Blk|Ign)|^Umask' /proc/self/status; ulimit -a; umask; pwd; \
                              for fd in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/self/fd/$fd && echo $fd; done; true";
        let own = env!("CARGO_BIN_EXE_portcheck");
        let picked = pick_one(&["--ttl", "0"]).to_string();
        let through: [&[&str]; 3] = [&[], &[own, "--free", "--"], &[own, &picked, "--wait", "free", "--"]];
        let settings = [
            "exec \"$@\"",
            "trap '' PIPE HUP; exec \"$@\"",
            "exec env --block-signal=USR1,PIPE --ignore-signal=INT \"$@\"",
            "umask 027; ulimit -Sn 77; ulimit -Sc 0; exec 4</dev/null 7>/dev/null; exec \"$@\"",
            "exec <&- \"$@\"",
            "exec <&- 2>&- \"$@\"",
        ];
        for setting in settings {
            let reports = through.map(|words| {
                let mut command = Command::new("sh");
                command.args(["-c", setting, "sh"]).args(words).args(["sh", "-c", REPORT]).stdin(Stdio::null());
                Run::from(command.output().unwrap())
            });
            assert_eq!((reports[0].code, reports[0].stdout.contains("SigIgn")), (0, true), "{:?}", reports[0]);
            for (words, report) in through.iter().zip(&reports) {
                assert_eq!(report.stdout, reports[0].stdout, "{setting} {words:?}: {}", report.stderr);
            }
        }
        assert_nothing_is_left();
    });
}

/// Regression: with few open files allowed, a server's socket replaced a lock, and its lease was
/// gone.
#[test]
fn a_low_limit_of_open_files_costs_no_lease() {
    in_namespace(|| {
        let own = env!("CARGO_BIN_EXE_portcheck");
        let script =
            format!("ulimit -n 64; exec {own} --free 2 --pass-fds -- sh -c 'echo $PORT; echo $PORT2; {own} --leases'");
        let Run { code, stdout, stderr } = Command::new("sh").args(["-c", &script]).output().unwrap().into();
        assert_eq!((code, &*stderr), (0, ""), "{stdout}");
        let (picked, table) = stdout.split_at(stdout.find("PORT").unwrap());
        let mut picked = printed(picked);
        picked.sort_unstable();
        let leased: Vec<u16> = table.lines().filter_map(|row| row.split(' ').next()?.parse().ok()).collect();
        assert_eq!(leased, picked, "{stdout}");
        assert_nothing_is_left();
    });
}

/// A command that prints its port, and waits for a line.
struct Job {
    child: Child,
    port: u16,
}

impl Job {
    fn start(options: &[&str], script: &str) -> Self {
        let arguments = [&["--free"], options, &["--", "sh", "-c", script]].concat();
        let mut child = portcheck(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim_end().parse().unwrap() }
    }

    fn end(mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_command_has_its_port_for_its_life() {
    in_namespace(|| {
        let job = Job::start(&[], "echo $PORT; read line");
        let (pid, picked) = (job.child.id(), job.port);
        assert!(!can_bind(Ipv4Addr::LOCALHOST, picked, false) && can_bind(Ipv4Addr::LOCALHOST, picked, true));
        let again = run(&["--free", "--range", &format!("{picked}-{picked}")]);
        assert!(again.code == 1 && again.stderr.contains("1 leased to others"), "{again:?}");

        let answer = json(&[&picked.to_string()]);
        for protocol in ["tcp", "udp"] {
            let element = port(&answer, picked, protocol);
            assert_eq!((&element["status"], codes(element)), (&value!("held"), vec!["leased"]), "{element:#}");
            let finding = &element["findings"][0];
            assert_eq!((numbers(&finding["pids"]), &finding["details"]["kind"]), (vec![pid], &value!("command")));
            let summary = finding["summary"].as_str().unwrap();
            assert!(summary.ends_with(&format!("while sh (pid {pid}) runs")), "{summary}");
        }
        let listing = json(&["--leases"]);
        let lease = &listing["free"]["leases"][0];
        assert_eq!((&lease["kind"], &lease["expires_in_ms"]), (&value!("command"), &value!(null)));
        assert_eq!(numbers(&lease["pids"]), [pid]);
        let released = run(&["--release", &picked.to_string()]);
        assert!(released.code == 1 && released.stderr.contains(&format!("while pid {pid} runs")), "{released:?}");

        job.end();
        assert_nothing_is_left();
        assert_eq!(json(&[&picked.to_string()])["exit_code"], 0);
    });
}

#[test]
fn a_job_that_restarts_its_server_keeps_the_port() {
    in_namespace(|| {
        let Some(python) = program("python3") else { return skip("no python3") };
        // Serves one connection and closes it first, which leaves a TIME_WAIT.
        let server = "import socket, os, sys; s = socket.create_server(('127.0.0.1', int(os.environ['PORT']))); \
                      print('ready', flush=True); s.accept()[0].close()";
        let script = format!("echo $PORT; for run in 1 2 3; do {} -c \"{server}\"; read line; done", python.display());
        let mut child = portcheck(&["--free", "--", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let picked: u16 = lines.next().unwrap().parse().unwrap();
        for _ in 0..3 {
            assert_eq!(lines.next().unwrap(), "ready");
            let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, picked)).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            drop(client);
            // Between two servers nobody else gets it.
            until("the server has ended", || holders(picked).is_empty());
            assert!(!can_bind(Ipv4Addr::LOCALHOST, picked, false));
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, picked)).is_err());
            child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        }
        assert!(child.wait().unwrap().success());
        assert!(leased().is_empty());
    });
}

/// Scripts use the low numbers for themselves: `exec 3>file` must not close what holds the port.
#[test]
fn a_script_may_use_any_descriptor_it_likes() {
    in_namespace(|| {
        let job =
            Job::start(&["2"], "for fd in 3 4 5 6 7 8 9; do eval \"exec $fd>/dev/null\"; done; echo $PORT; read line");
        assert!(!can_bind(Ipv4Addr::LOCALHOST, job.port, false));
        assert_eq!(leased().len(), 2);
        job.end();
        assert_nothing_is_left();
    });
}

#[test]
fn a_server_without_reuse_address_needs_the_hold_released() {
    in_namespace(|| {
        let Some(python) = program("python3") else { return skip("no python3") };
        let script = "import os, socketserver; socketserver.TCPServer(('127.0.0.1', int(os.environ['PORT'])), None)";
        let python = python.to_str().unwrap();
        let held = run(&["--free", "--", python, "-c", script]);
        assert!(held.code == 1 && held.stderr.contains("Address already in use"), "{held:?}");
        let released = run(&["--free", "--release-on-exec", "--", python, "-c", script]);
        assert_eq!(released.code, 0, "{released:?}");
        // The lease is the same as any command's.
        let job = Job::start(&["--release-on-exec"], "echo $PORT; read line");
        assert_eq!(leased(), [job.port]);
        assert!(can_bind(Ipv4Addr::LOCALHOST, job.port, false));
        let answer = json(&[&job.port.to_string()]);
        assert_eq!(codes(port(&answer, job.port, "tcp")), ["leased"]);
        assert_eq!(answer["processes"][0]["pid"], job.child.id(), "the command is told of although it holds no socket");
        job.end();
        assert_nothing_is_left();
    });
}

/// A small server for socket activation as in systemd: it reads the three variables, and opens no
/// socket itself.
const ACTIVATED: &str = r#"
import os, socket
assert int(os.environ["LISTEN_PID"]) == os.getpid(), "not for us"
count = int(os.environ["LISTEN_FDS"])
names = os.environ["LISTEN_FDNAMES"].split(":")
servers = [socket.socket(fileno=3 + index) for index in range(count)]
for server, name in zip(servers, names):
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert str(server.getsockname()[1]) == os.environ[name], (server, name)
print(*(server.getsockname()[1] for server in servers), flush=True)
for server, name in zip(servers, names):
    for _ in range(2):
        client, _ = server.accept()
        client.sendall(name.encode())
        client.close()
"#;

#[test]
fn a_socket_activated_server_serves_what_it_is_passed() {
    in_namespace(|| {
        let Some(python) = program("python3") else { return skip("no python3") };
        let arguments =
            ["--free", "--pass-fds", "--env", "HTTP,ADMIN", "--", python.to_str().unwrap(), "-c", ACTIVATED];
        let mut child = portcheck(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
        for (&port, name) in ports.iter().zip(["HTTP", "ADMIN"]) {
            for address in ["127.0.0.1", "[::1]"] {
                let mut client = TcpStream::connect(format!("{address}:{port}")).unwrap();
                let mut said = String::new();
                client.read_to_string(&mut said).unwrap();
                assert_eq!(said, name);
            }
        }
        assert!(child.wait().unwrap().success());
        assert!(leased().is_empty());

        // Nothing else is left open.
        let said = words(&[
            "--free",
            "3",
            "--pass-fds",
            "--",
            "sh",
            "-c",
            "echo $LISTEN_FDS $LISTEN_FDNAMES; test -e /dev/fd/6 || echo none",
        ]);
        assert_eq!(said, ["3", "PORT:PORT2:PORT3", "none"]);
        // Each socket of a port has its name.
        let two = ["--free", "2", "--env", "A,B", "--addr", "localhost", "--pass-fds", "--"];
        let said = words(&[&two[..], &["sh", "-c", "echo $LISTEN_FDS $LISTEN_FDNAMES"]].concat());
        assert_eq!(said, ["4", "A:A:B:B"]);
        // A datagram socket if that is asked for, and one address.
        let script =
            "import os, socket; s = socket.socket(fileno=3); print(s.type == socket.SOCK_DGRAM, s.getsockname()[0])";
        let python = python.to_str().unwrap();
        let udp = words(&["--free", "--udp", "--addr", "127.0.0.1", "--pass-fds", "--", python, "-c", script]);
        assert_eq!(udp, ["True", "127.0.0.1"]);
    });
}

/// The caller's file gets the lines, even if a command is to be run.
#[test]
fn a_command_and_a_file_get_the_same_ports() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("env");
        let arguments =
            ["--free", "--env", "A,B", "--env-file", file.to_str().unwrap(), "--", "sh", "-c", "echo A=$A; echo B=$B"];
        let Run { stdout, .. } = run(&arguments);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), stdout);
        assert_nothing_is_left();
    });
}
