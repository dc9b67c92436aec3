//! What every scenario uses: asking, comparing, and running the offered commands.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{all_codes, codes, in_namespace_of, is_root, json, json_as_nobody, owners, port, skip};

/// A situation, how to make it, and what it proves.
pub struct Scenario {
    /// The full name of its test.
    pub name: &'static str,
    /// The rows of the catalogue that it covers.
    pub rows: &'static [&'static str],
    /// The verdicts that it must show.
    pub codes: &'static [&'static str],
    /// Makes the situation and compares. The error says why it cannot be made on this machine.
    pub play: fn(&Stage) -> Result<(), String>,
}

/// Plays the scenario of `name`, which is one of `all`.
pub fn run(name: &str, all: &'static [Scenario]) {
    let scenario = all.iter().find(|scenario| scenario.name == name).unwrap();
    // The harness knows tests without the name of their crate.
    let test = name.split_once("::").unwrap().1;
    in_namespace_of(test, || {
        let stage = Stage::default();
        match (scenario.play)(&stage) {
            Err(reason) => skip(&format!("{test}: {reason}")),
            Ok(()) => {
                let shown = stage.shown.borrow();
                let missing: Vec<_> = scenario.codes.iter().filter(|code| !shown.contains(**code)).collect();
                assert!(missing.is_empty(), "not shown: {missing:?} among {shown:?}");
            }
        }
    });
}

/// The verdicts shown so far.
#[derive(Default)]
pub struct Stage {
    shown: RefCell<BTreeSet<String>>,
}

/// A look at one port of one protocol.
#[derive(Debug)]
pub struct Look {
    pub answer: Value,
    pub port: Value,
}

impl Stage {
    /// Asks for one port of one protocol, `8080/tcp`, with an address or options.
    #[track_caller]
    pub fn look(&self, arguments: &[&str]) -> Look {
        self.note(json(arguments))
    }

    /// The same as an ordinary user. Only root can do that.
    #[track_caller]
    pub fn look_as_nobody(&self, arguments: &[&str]) -> Look {
        self.note(json_as_nobody(arguments))
    }

    /// Uses an answer that was obtained in another way.
    #[track_caller]
    pub fn note(&self, answer: Value) -> Look {
        let port = answer["ports"][0].clone();
        assert!(answer["ports"].as_array().unwrap().len() == 1, "one port of one protocol: {answer:#}");
        self.shown.borrow_mut().extend(all_codes(&port).into_iter().map(str::to_owned));
        Look { answer, port }
    }

    /// Uses an answer on several ports.
    pub fn note_all(&self, answer: &Value) {
        for port in answer["ports"].as_array().unwrap() {
            self.shown.borrow_mut().extend(all_codes(port).into_iter().map(str::to_owned));
        }
    }

    /// Asks as the user who runs the tests, and compares status, verdicts and the named processes.
    #[track_caller]
    pub fn expect(&self, target: &str, status: &str, expected: &[&str], pids: &[u32]) -> Look {
        let look = self.look(&[target]);
        look.is(status, expected, pids);
        look
    }

    /// Asks as an ordinary user if root runs the tests, and compares status and verdicts. Which
    /// processes can be deduced depends on the cgroup of the tests.
    #[track_caller]
    pub fn expect_as_nobody(&self, target: &str, status: &str, expected: &[&str]) {
        if is_root() {
            self.look_as_nobody(&[target]).says(status, expected);
        }
    }
}

impl Look {
    /// Compares status, exit code, verdicts and the processes that are named as owners.
    #[track_caller]
    pub fn is(&self, status: &str, expected: &[&str], pids: &[u32]) {
        self.says(status, expected);
        let mut pids = pids.to_vec();
        pids.sort_unstable();
        assert_eq!(owners(&self.port), pids, "{:#}", self.answer);
    }

    /// Compares status, exit code and verdicts.
    #[track_caller]
    pub fn says(&self, status: &str, expected: &[&str]) {
        let Self { answer, port } = self;
        assert_eq!(port["status"], status, "{answer:#}");
        let exit = match status {
            "free" => 0,
            "unknown" => 3,
            _ => 1,
        };
        assert_eq!(answer["exit_code"], exit, "{answer:#}");
        assert_eq!(codes(port), expected, "{answer:#}");
    }

    /// Whether there is a gap with this code.
    pub fn misses(&self, code: &str) -> bool {
        self.answer["gaps"].as_array().unwrap().iter().any(|gap| gap["code"] == code)
    }

    /// The finding with this code.
    #[track_caller]
    pub fn finding(&self, code: &str) -> &Value {
        let findings = self.port["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("no {code}: {:#}", self.port))
    }

    /// What bind said on an address without SO_REUSEADDR. `[::] v6only` is a different address from
    /// `[::]`.
    #[track_caller]
    pub fn bind(&self, place: &str) -> &str {
        self.bind_with(place, false)
    }

    /// The same with SO_REUSEADDR or without.
    #[track_caller]
    pub fn bind_with(&self, place: &str, reuse_address: bool) -> &str {
        let (address, v6only) = match place.split_once(' ') {
            Some((address, _)) => (address, true),
            None => (place, place == "::1"),
        };
        let is_it = |attempt: &&Value| {
            attempt["address"] == address
                && attempt["v6only"].as_bool().unwrap_or_default() == v6only
                && attempt["reuse_address"] == reuse_address
        };
        let attempts = self.port["bind"].as_array().unwrap();
        let attempt = attempts.iter().find(is_it).unwrap_or_else(|| panic!("no {place}: {:#}", self.port));
        attempt["result"].as_str().unwrap()
    }

    /// The commands offered by the finding with this code.
    #[track_caller]
    pub fn commands(&self, code: &str) -> Vec<&str> {
        let remedies = self.finding(code)["remedies"].as_array().unwrap();
        remedies.iter().filter_map(|remedy| remedy["command"].as_str()).collect()
    }

    /// Runs the only command that the finding offers.
    #[track_caller]
    pub fn cure(&self, code: &str) {
        let commands = self.commands(code);
        let [command] = commands[..] else { panic!("not one command: {commands:?}") };
        run_command(command);
    }
}

/// Runs a command as a reader would paste it, and expects success.
#[track_caller]
pub fn run_command(command: &str) {
    let output = paste(command);
    assert!(output.status.success(), "{command}: {output:?}");
}

/// Runs a command as a reader would paste it. We are root, so `sudo` is left out. There is no
/// terminal on which to confirm a kill.
#[track_caller]
pub fn paste(command: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let sudo = directory.path().join("sudo");
    std::fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n").unwrap();
    std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}:/usr/sbin:/sbin", directory.path().display(), std::env::var("PATH").unwrap());
    let consent = if command.contains("portcheck kill ") { " --yes" } else { "" };
    Command::new("sh").args(["-c", &format!("{command}{consent}")]).env("PATH", path).output().unwrap()
}

/// Waits until every socket on the port is in this state. Closing a connection takes packets, which
/// the kernel may deliver a moment later.
#[track_caller]
pub fn settles(target: &str, state: &str) {
    wait_until(state, || {
        let answer = json(&[target]);
        let sockets = answer["ports"][0]["sockets"].as_array().unwrap().clone();
        !sockets.is_empty() && sockets.iter().all(|socket| socket["state"] == state)
    });
}

/// Asks again until the port is free. A signal takes effect when the process is next scheduled.
#[track_caller]
pub fn becomes_free(target: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = json(&[target]);
        if answer["exit_code"] == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "still not free: {answer:#}");
        std::thread::yield_now();
    }
}

/// Waits for what becomes true by itself.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// Runs a program that sets something up, as `ip` does.
pub fn set_up(command: &str) -> Result<(), String> {
    let output = Command::new("sh").args(["-c", command]).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Why a scenario that needs root cannot be set up.
pub fn need_root() -> Result<(), String> {
    if is_root() { Ok(()) } else { Err("needs root".to_owned()) }
}

/// The element of the answer for one of several ports.
#[track_caller]
pub fn part(answer: &Value, number: u16, protocol: &str) -> Look {
    Look { answer: answer.clone(), port: port(answer, number, protocol).clone() }
}
