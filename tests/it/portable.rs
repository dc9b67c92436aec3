//! What has to be true on every system: run on Linux, and on Windows under wine. There are no
//! namespaces, so every port is one that the system gave, or that portcheck picked.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use crate::program::{Run, codes, json, json_of, owners, port, portcheck, run};
use serde_json::Value;

/// Set for a process that plays a part instead of being a test.
const PART: &str = "PORTCHECK_TEST_PART";

/// The exit code of the part `command`.
const COMMAND_CODE: i32 = 7;

/// Plays the part that this process was started for, if there is one. Returns whether it did.
fn has_played() -> bool {
    match std::env::var(PART).as_deref() {
        Ok("server") => {
            let mut told = String::new();
            // Not before it is told to.
            std::io::stdin().read_line(&mut told).unwrap();
            let listener = listener(told.trim().parse().unwrap());
            say(&format!("port {}", listener.local_addr().unwrap().port()));
            // Until the test hangs up, or ends it.
            let _ = std::io::stdin().read_to_string(&mut told);
            true
        }
        Ok("command") => {
            say(&format!("port {}", std::env::var("PORT").unwrap()));
            std::process::exit(COMMAND_CODE)
        }
        _ => false,
    }
}

/// Prints past the harness, which captures `println!`.
fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

/// wine names the process of a listener only after it was asked for something.
fn listener(port: u16) -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let _ = listener.ttl();
    listener
}

/// This test binary in another part, for the test `name`.
fn part(part: &str, name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("portable::{name}"), "--nocapture"])
        .env(PART, part)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// A server in a process of its own. It ends with the test.
struct Server {
    child: Child,
    stdin: ChildStdin,
}

impl Server {
    fn start(name: &str) -> Self {
        let mut child = part("server", name).spawn().unwrap();
        Self { stdin: child.stdin.take().unwrap(), child }
    }

    /// Makes it listen on `port`, or on any port if that is 0. Returns the port.
    fn listen(&mut self, port: u16) -> u16 {
        writeln!(self.stdin, "{port}").unwrap();
        let mut lines = BufReader::new(self.child.stdout.as_mut().unwrap()).lines();
        lines.find_map(|line| line.unwrap().strip_prefix("port ")?.parse().ok()).expect("the server says its port")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `127.0.0.1:PORT/tcp`.
fn local(port: u16) -> String {
    format!("127.0.0.1:{port}/tcp")
}

fn bind_results(port: &Value) -> Vec<&str> {
    port["bind"].as_array().unwrap().iter().map(|attempt| attempt["result"].as_str().unwrap()).collect()
}

/// Whether this process is one of the owners. A child that another test is just starting has its
/// descriptors, too, between fork and exec.
fn is_ours(port: &Value) -> bool {
    owners(port).contains(&std::process::id())
}

/// A port that nobody else picks meanwhile, as it is leased.
fn free_port() -> u16 {
    let free = run(&["--free"]);
    assert_eq!(free.code, 0, "{free:?}");
    free.stdout.trim().parse().unwrap()
}

#[test]
fn a_listener_is_found_with_its_pid_and_name() {
    let listener = listener(0);
    let number = listener.local_addr().unwrap().port();
    let answer = json(&[&local(number)]);
    let found = port(&answer, number, "tcp");
    assert_eq!((&answer["exit_code"], &found["status"]), (&1.into(), &"held".into()), "{answer:#}");
    assert!(codes(found)[0] == "listener" && is_ours(found), "{answer:#}");
    let own = std::env::current_exe().unwrap();
    let expected = own.file_name().unwrap().to_str().unwrap();
    let process = &answer["processes"][0];
    let name = process["name"].as_str().unwrap();
    // Linux cuts it after 15 bytes.
    assert!(!name.is_empty() && expected.starts_with(name), "{name} is not {expected}");
    assert_eq!(answer["host"]["os"], std::env::consts::OS);
}

#[test]
fn bind_is_asked_and_tells_a_held_port_from_a_free_one() {
    let listener = listener(0);
    let number = listener.local_addr().unwrap().port();
    let held = json(&[&local(number)]);
    assert!(bind_results(port(&held, number, "tcp")).iter().all(|result| *result == "in-use"), "{held:#}");
    drop(listener);
    // This time on every address, and for a port that portcheck picks.
    let number = free_port();
    let release = run(&["--release", &number.to_string()]);
    assert_eq!(release.code, 0, "{release:?}");
    let free = json(&[&format!("{number}/tcp")]);
    let found = port(&free, number, "tcp");
    assert_eq!((&free["exit_code"], &found["status"]), (&0.into(), &"free".into()), "{free:#}");
    assert!(bind_results(found).contains(&"ok"), "{free:#}");
}

#[test]
fn a_udp_socket_holds_its_port() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let number = socket.local_addr().unwrap().port();
    let answer = json(&[&format!("127.0.0.1:{number}/udp")]);
    assert_eq!(port(&answer, number, "udp")["status"], "held", "{answer:#}");
}

#[test]
fn what_listens_is_listed() {
    let listener = listener(0);
    let number = listener.local_addr().unwrap().port();
    let answer = json(&["--tcp"]);
    assert_eq!(answer["exit_code"], 0);
    assert!(is_ours(port(&answer, number, "tcp")), "{answer:#}");
    let table = run(&["--tcp"]);
    let is_row = |line: &str| line.split_whitespace().next() == Some(&number.to_string());
    assert!(table.code == 0 && table.stdout.lines().any(is_row), "{table:?}");
}

#[test]
fn bad_input_is_2_and_one_line() {
    for wrong in [&["99999"][..], &["--no-such-option"], &["8080", "--wait", "sometime"], &["80-70"]] {
        let said = run(wrong);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
        assert!(said.stderr.starts_with("portcheck: ") && said.stderr.trim_end().lines().count() == 1, "{said:?}");
        let answer = json(wrong);
        assert_eq!((&answer["exit_code"], &answer["error"]["kind"]), (&2.into(), &"usage".into()));
    }
}

#[test]
fn twenty_callers_at_once_get_twenty_ports() {
    let callers: Vec<_> = (0..20).map(|_| thread::spawn(free_port)).collect();
    let ports: BTreeSet<u16> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    assert_eq!(ports.len(), 20, "{ports:?}");
    for &number in &ports {
        TcpListener::bind(("0.0.0.0", number)).unwrap();
    }
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    assert_eq!(run(&["--release", &ports.join(",")]).code, 0);
}

#[test]
fn a_lease_is_known_until_it_is_released() {
    let number = free_port();
    let listed = json(&["--leases"]);
    assert!(listed["free"]["leases"].as_array().unwrap().iter().any(|lease| lease["port"] == number), "{listed:#}");
    let answer = json(&[&local(number)]);
    assert_eq!(codes(port(&answer, number, "tcp"))[0], "leased", "{answer:#}");
    assert_eq!(run(&["--release", &number.to_string()]).code, 0);
    let again = run(&["--release", &number.to_string()]);
    assert_eq!(again.code, 1, "{again:?}");
    // Nobody has it now, so whoever prefers it gets it.
    assert_eq!(run(&["--free", "--prefer", &number.to_string(), "--ttl", "0"]).stdout.trim(), number.to_string());
}

#[test]
fn a_command_gets_a_port_and_its_exit_code_is_passed_on() {
    if has_played() {
        return;
    }
    let own = std::env::current_exe().unwrap();
    let name = "portable::a_command_gets_a_port_and_its_exit_code_is_passed_on";
    let mut command = portcheck(&["--free", "--", own.to_str().unwrap(), "--exact", name, "--nocapture"]);
    let ran = Run::from(command.env(PART, "command").output().unwrap());
    assert_eq!(ran.code, COMMAND_CODE, "{ran:?}");
    let number = ran.stdout.lines().find_map(|line| line.strip_prefix("port ")).expect("it says its port");
    assert!(number.parse::<u16>().is_ok_and(|number| number != 0), "{ran:?}");
    let missing = run(&["--free", "--", "no-such-command-at-all"]);
    assert_eq!(missing.code, 127, "{missing:?}");
}

/// As npm is on Windows, where only shells try other suffixes than `.exe`.
#[test]
#[cfg(windows)]
fn a_script_is_found_by_its_name_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("portcheck-tool.cmd"), "@exit /b 7\r\n").unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(directory.path().to_owned()).chain(std::env::split_paths(&path));
    let mut command = portcheck(&["--free", "--", "portcheck-tool"]);
    command.env("PATH", std::env::join_paths(path).unwrap()).env("PATHEXT", ".COM;.EXE;.BAT;.CMD");
    let ran = Run::from(command.output().unwrap());
    assert_eq!(ran.code, 7, "{ran:?}");
}

#[test]
fn a_holder_is_ended_and_the_port_is_free() {
    if has_played() {
        return;
    }
    let mut server = Server::start("a_holder_is_ended_and_the_port_is_free");
    let number = server.listen(0);
    let dry = json(&[&local(number), "--kill", "--dry-run"]);
    assert_eq!((&dry["exit_code"], &dry["command"]), (&0.into(), &"kill".into()), "{dry:#}");
    assert!(server.child.try_wait().unwrap().is_none(), "a dry run ends nobody");
    let killed = json_of(portcheck(&[&local(number), "--kill", "--yes", "--json"]));
    assert_eq!(killed["exit_code"], 0, "{killed:#}");
    server.child.wait().unwrap();
    assert_eq!(json(&[&local(number), "--kill", "--yes"])["exit_code"], 0, "there is nothing left to do");
}

#[test]
fn waiting_ends_when_a_server_listens_and_when_time_is_over() {
    if has_played() {
        return;
    }
    let number = free_port();
    assert_eq!(run(&["--release", &number.to_string()]).code, 0);
    let mut server = Server::start("waiting_ends_when_a_server_listens_and_when_time_is_over");
    let late = json(&[&local(number), "--wait", "listening", "--timeout", "200ms"]);
    assert_eq!((&late["exit_code"], &late["command"]), (&124.into(), &"wait".into()), "{late:#}");
    let mut waiting = portcheck(&[&local(number), "--wait", "listening", "--timeout", "30s"]).spawn().unwrap();
    assert_eq!(server.listen(number), number);
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
    let held = json(&[&local(number), "--wait", "free", "--timeout", "200ms"]);
    assert_eq!(held["exit_code"], 124, "{held:#}");
    drop(server);
    assert_eq!(run(&[&local(number), "--wait", "free", "--timeout", "30s"]).code, 0);
}
