//! `portcheck watch`: each thing that happens is told once, in order, and what was missed is said.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;

use crate::common::role::{Role, listening};
use crate::common::server::{children, until};
use crate::common::{NOBODY, in_namespace, is_root, portcheck, portcheck_as_nobody, run, skip};

/// A running watch that has had its first look.
struct Watch {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// Was there before, so that the first look shows something.
    _marker: TcpListener,
}

const MARKER: u16 = 9;

impl Watch {
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(portcheck(&[&["watch", "--format", "ndjson"], arguments].concat()))
    }

    fn spawn(mut command: Command) -> Self {
        let marker = TcpListener::bind(("127.0.0.1", MARKER)).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut watch = Self { child, lines, _marker: marker };
        watch.until(|event| event["event"] == "present" && number(event) == u64::from(MARKER));
        watch
    }

    /// The next event. It fails if the watch ends.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the watch ended");
        serde_json::from_str(&line).unwrap()
    }

    /// The events up to one that is such.
    fn until(&mut self, is_such: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            events.push(self.next());
            if is_such(&events[events.len() - 1]) {
                return events;
            }
        }
    }

    /// The one event of this kind about a port, skipping others.
    fn event(&mut self, kind: &str, port: u16) -> Value {
        self.until(|event| event["event"] == kind && number(event) == u64::from(port)).pop().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it exits with, and says on standard error.
    fn end(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (code, said)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(event: &Value) -> u64 {
    event["port"]["port"].as_u64().unwrap_or(0)
}

fn pids(port: &Value) -> BTreeSet<u64> {
    let sockets = port["sockets"].as_array().into_iter().flatten();
    sockets.flat_map(|socket| socket["owners"]["pids"].as_array().unwrap()).map(|pid| pid.as_u64().unwrap()).collect()
}

fn listener(port: u16) -> TcpListener {
    listening(SocketAddr::from(([127, 0, 0, 1], port)), &["reuse-address"]).into()
}

/// Four processes have 250 ports each, several at a time. Only if this machine has so much else to do that
/// the watch did not get a processor for 250 ms may it miss some. Then it has to say how many.
#[test]
fn each_of_1000_ports_is_opened_once_and_closed_once_by_the_right_process() {
    in_namespace(|| {
        let told: Vec<usize> = (0..3).map(|_| told_of_1000()).take_while(|&told| told < 1000).collect();
        assert!(told.len() < 3, "{told:?}");
        if !told.is_empty() {
            skip(&format!("busy machine: of 1000 ports, the watch was told of {told:?} before it was told of all"));
        }
    });
}

/// Opens and closes 1000 ports. Returns how many were told of.
fn told_of_1000() -> usize {
    // Other tests run at the same time, on few processors. Not everybody may go before them.
    let mut command = Command::new("nice");
    let binary = env!("CARGO_BIN_EXE_portcheck");
    command.args(["-n", "-19", binary, "watch", "--format", "ndjson", "--timeout", "60s"]);
    let mut watch = Watch::spawn(command);
    let mut roles = [20_000_u16, 21_000, 22_000, 23_000].map(|first| (first, Role::start(&format!("blink {first}"))));
    let owners: BTreeMap<u64, u64> = roles.iter().map(|(first, role)| (u64::from(*first), role.pid().into())).collect();
    std::thread::scope(|scope| {
        for (_, role) in &mut roles {
            scope.spawn(|| role.go());
        }
    });
    let _last = listener(24_000);
    let mut told: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    let mut lost = 0;
    let mut events = watch.until(|event| number(event) == 24_000);
    loop {
        for event in events.drain(..) {
            let port = number(&event);
            lost += event["missed"].as_u64().unwrap_or(0);
            if (20_000..24_000).contains(&port) {
                let owner = owners[&(port / 1000 * 1000)];
                assert_eq!(pids(&event["port"]), [owner].into(), "{event}");
                assert_eq!(event["processes"][0]["pid"], owner);
                if starts_to_listen(&event) {
                    continue;
                }
                told.entry(port).or_default().push(event["event"].clone());
            }
        }
        if told.len() as u64 + lost >= 1000 {
            break;
        }
        events = vec![watch.next()];
    }
    assert_eq!(told.len() as u64 + lost, 1000);
    assert!(told.values().all(|kinds| kinds[..] == ["opened", "closed"]), "{told:?}");
    told.len()
}

/// Whether the watch looked just between bind(2) and listen(2), and now tells the latter.
fn starts_to_listen(event: &Value) -> bool {
    let states = |port: &str| match event[port]["sockets"].as_array().map(Vec::as_slice) {
        Some([socket]) => socket["state"].clone(),
        _ => Value::Null,
    };
    event["event"] == "changed" && states("before") == "bound" && states("port") == "listen"
}

#[test]
fn a_flood_is_said_to_be_lost_and_what_lasts_is_told_all_the_same() {
    in_namespace(|| {
        let mut watch = Watch::start(&[]);
        let start = Instant::now();
        for _ in 0..10_000 {
            drop(TcpListener::bind("127.0.0.1:0").unwrap());
        }
        println!("10,000 closes took {:?}", start.elapsed());
        let lost = watch.until(|event| event["event"] == "lost").pop().unwrap();
        assert!(lost["port"].is_null() && lost["processes"] == Value::Array(Vec::new()), "{lost}");
        assert!(lost["missed"].as_u64().is_none_or(|missed| missed > 0), "{lost}");
        let _server = listener(8080);
        assert_eq!(pids(&watch.event("opened", 8080)["port"]), [u64::from(std::process::id())].into());
    });
}

/// Of 16,001 sockets, a quarter were lost when the watch began: 10,000 events wait at most.
#[test]
fn what_is_there_at_the_start_is_told_however_much_it_is() {
    const MANY: u16 = 11_000;
    in_namespace(|| {
        let limit = getrlimit(Resource::Nofile);
        if limit.maximum.is_some_and(|most| most < u64::from(MANY) + 100) {
            return skip("what_is_there_at_the_start_is_told_however_much_it_is: too few descriptors");
        }
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
        let ports = 20_000..20_000 + MANY;
        let _sockets: Vec<UdpSocket> =
            ports.clone().map(|port| UdpSocket::bind(("127.0.0.1", port)).unwrap()).collect();
        let mut watch = Watch::spawn(portcheck(&["watch", "--format", "ndjson"]));
        let mut told: BTreeSet<u64> = BTreeSet::new();
        while told.len() < usize::from(MANY) {
            let event = watch.next();
            assert_eq!(event["event"], "present", "{event}");
            assert!(told.insert(number(&event)), "{event}");
        }
        assert!(told.into_iter().eq(ports.map(u64::from)));
        watch.signal(Signal::TERM);
        assert_eq!(watch.end(), (0, String::new()));
    });
}

#[test]
fn another_holder_is_a_change_with_both_told() {
    in_namespace(|| {
        let mut watch = Watch::start(&["8080", "9"]);
        let (family, _) = Role::playing("family 127.0.0.1:8080");
        let parent = u64::from(family.pid());
        let all = |event: &Value| pids(&event["port"]).len() == 8;
        let seen = watch.until(all).pop().unwrap();
        assert!(pids(&seen["port"]).contains(&parent), "{seen}");
        kill_process(Pid::from_raw(family.pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
        let changed = watch.event("changed", 8080);
        let (before, now) = (pids(&changed["before"]), pids(&changed["port"]));
        assert!(before.contains(&parent) && now.len() == 7 && !now.contains(&parent), "{changed}");
        drop(family);
        watch.event("closed", 8080);
    });
}

#[test]
fn connections_and_filters() {
    in_namespace(|| {
        let server = listener(8080);
        let mut watch = Watch::start(&["--all", "--tcp", "--event", "present,opened,closed"]);
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let accepted = server.accept().unwrap();
        let port = client.local_addr().unwrap().port();
        let opened = watch.event("opened", port);
        assert_eq!(opened["port"]["sockets"][0]["remote"]["port"], 8080);
        // The end that is closed last has no remnant.
        drop(accepted);
        drop(client);
        watch.event("closed", port);
        drop(watch);

        let mut watch = Watch::start(&["--local", "127.0.0.1", "--event", "present,opened"]);
        let _others =
            [listening("127.0.0.2:8081".parse().unwrap(), &[]), listening("127.0.0.1:8082".parse().unwrap(), &[])];
        drop(server);
        let events = watch.until(|event| number(event) == 8082);
        assert!(events.iter().all(|event| number(event) != 8081 && event["event"] != "closed"), "{events:?}");
    });
}

#[test]
fn a_command_gets_each_event_on_its_standard_input() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        let (script, log) = (directory.path().join("a script"), directory.path().join("log"));
        let text = format!("#!/bin/sh\ncat >>'{}'\ntest \"$1\" = 'two words'\n", log.display());
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let command = format!("'{}' 'two words'", script.display());
        let mut watch = Watch::start(&["--exec", &command]);
        let server = listener(8080);
        watch.event("opened", 8080);
        drop(server);
        watch.event("closed", 8080);
        let logged = || -> Vec<String> {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            events.map(|event| format!("{} {}", event["event"].as_str().unwrap(), number(&event))).collect()
        };
        until("all was logged", || logged() == ["present 9", "opened 8080", "closed 8080"]);
        until("no zombie is left", || children(watch.child.id()).is_empty());
        watch.signal(Signal::TERM);
        assert_eq!(watch.end(), (0, String::new()));
        let failing = run(&["watch", "--exec", "false", "--timeout", "300ms", "--quiet"]);
        assert_eq!((failing.code, failing.stdout.as_str()), (0, ""));
        let missing = run(&["watch", "--exec", "no-such-command"]);
        assert_eq!(missing.code, 127, "{missing:?}");
        assert_eq!(run(&["watch", "--exec", "'open"]).code, 2);
    });
}

#[test]
fn a_command_that_fails_or_is_too_slow_is_told_of() {
    in_namespace(|| {
        let mut watch = Watch::start(&["--exec", "false"]);
        let _server = listener(8080);
        watch.event("opened", 8080);
        watch.signal(Signal::TERM);
        let (code, said) = watch.end();
        assert_eq!(code, 0);
        assert!(said.contains("--exec: false failed for 'opened 8080/tcp': exit status: 1"), "{said}");

        let watch = Watch::start(&["--exec", "sleep 5"]);
        let _other = listener(8081);
        watch.signal(Signal::TERM);
        let (code, said) = watch.end();
        assert_eq!(code, 0);
        assert!(said.contains("--exec: sleep has not finished with "), "{said}");
    });
}

#[test]
fn signals_and_a_reader_that_hangs_up_end_it_with_0() {
    in_namespace(|| {
        for signal in [Signal::TERM, Signal::INT] {
            let watch = Watch::start(&[]);
            watch.signal(signal);
            assert_eq!(watch.end(), (0, String::new()), "{signal:?}");
        }
        let mut watch = Watch::start(&[]);
        // Nothing happens any more, so it has to notice by itself.
        let (nothing, _) = std::io::pipe().unwrap();
        watch.lines = BufReader::new(ChildStdout::from(OwnedFd::from(nothing)));
        assert_eq!(watch.child.wait().unwrap().code(), Some(0));
        let start = Instant::now();
        let ended = run(&["watch", "--timeout", "300ms"]);
        assert!(start.elapsed() >= Duration::from_millis(300) && ended.code == 0, "{ended:?}");
    });
}

#[test]
fn an_ordinary_user_is_told_the_same_of_their_own() {
    in_namespace(|| {
        if !is_root() {
            return skip("an_ordinary_user_is_told_the_same_of_their_own: not root");
        }
        let mut watch = Watch::spawn(portcheck_as_nobody(&["watch", "--format", "ndjson"]));
        let (role, _) = Role::playing_as_user(NOBODY, "listen 127.0.0.1:8080");
        let opened = watch.event("opened", 8080);
        assert_eq!(pids(&opened["port"]), [u64::from(role.pid())].into());
        drop(role);
        let closed = watch.event("closed", 8080);
        assert_eq!(closed["processes"][0]["user"], "nobody");
    });
}

#[test]
fn text_is_a_line_for_each_event_and_json_has_to_be_ndjson() {
    in_namespace(|| {
        let _server = listener(8080);
        let shown = run(&["watch", "--timeout", "200ms"]);
        let line = shown.first_line();
        let me = std::process::id().to_string();
        assert!(line.contains("Z  present  8080/tcp  127.0.0.1  ") && line.contains(&me), "{shown:?}");
        let refused = run(&["watch", "--json"]);
        assert_eq!(refused.code, 2, "{refused:?}");
        // These had no effect, and nobody was told.
        for options in [&["--columns", "port"][..], &["--sort", "pid"], &["--columns", "port", "--timeout", "1s"]] {
            let refused = run(&[&["watch"], options].concat());
            assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused:?}");
            assert!(refused.stderr.contains("live view"), "{refused:?}");
        }
    });
}

/// Looks at so many ports take long, so they are rare. Only a report of the kernel makes it quicker.
#[test]
fn a_wait_for_a_free_port_ends_when_the_port_is_closed() {
    in_namespace(|| {
        let mut reactions = Vec::new();
        for _ in 0..3 {
            let server = listener(20_500);
            let mut wait = portcheck(&["wait", "20000-20999", "--for", "free", "--timeout", "0", "-q"])
                .stdin(Stdio::null())
                .process_group(0)
                .spawn()
                .unwrap();
            let state = || std::fs::read_to_string(format!("/proc/{}/wchan", wait.id())).unwrap_or_default();
            until("it waits", || state().contains("poll"));
            let start = Instant::now();
            drop(server);
            assert_eq!(wait.wait().unwrap().code(), Some(0));
            reactions.push(start.elapsed());
        }
        reactions.sort_unstable();
        println!("{reactions:?}");
        assert!(reactions[1] < Duration::from_millis(900), "{reactions:?}");
    });
}
