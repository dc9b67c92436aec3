//! Whatever sockets are mixed on a port, portcheck says what an independent program finds.
//!
//! That program is in Python, and shares no code with this one. It makes every kind of socket, held
//! in every way, binds, and reads /proc. `PORTCHECK_MIXTURES=5000 cargo test --test it mixtures::`
//! plays more mixtures.

mod judge;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::{NOBODY, has, in_namespace, is_root, json_of, readable_copy, skip};
use judge::Judge;

/// What can be played, according to the Python program.
#[derive(Debug, Deserialize)]
struct Repertoire {
    kinds: Vec<String>,
    ways: Vec<String>,
    addresses: Vec<String>,
    users: Vec<u32>,
}

/// Sockets of one kind, and how they are held.
#[derive(Debug, Clone, Serialize)]
struct Part {
    kind: String,
    way: String,
    address: String,
    user: u32,
    v6only: bool,
    reuse_address: bool,
    reuse_port: bool,
}

impl Repertoire {
    fn any_part(&self) -> impl Strategy<Value = Part> + use<> {
        let names = (select(self.kinds.clone()), select(self.ways.clone()), select(self.addresses.clone()));
        let options = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
        (names, select(self.users.clone()), options).prop_map(
            |((kind, way, address), user, (v6only, reuse_address, reuse_port))| Part {
                kind,
                way,
                address,
                user,
                v6only,
                reuse_address,
                reuse_port,
            },
        )
    }

    fn any_mixture(&self) -> impl Strategy<Value = Mixture> + use<> {
        let parts = prop::collection::vec(self.any_part(), 0..4);
        (parts, select(vec![None, Some("-4"), Some("-6")])).prop_map(|(parts, family)| Mixture { parts, family })
    }

    /// The port on every address.
    fn targets(&self, port: u16) -> Vec<String> {
        let (ipv6, ipv4): (Vec<_>, Vec<_>) = self.addresses.iter().partition(|address| address.contains(':'));
        let ipv6 = ipv6.into_iter().map(|address| format!("[{address}]:{port}"));
        ipv6.chain(ipv4.into_iter().map(|address| format!("{address}:{port}"))).collect()
    }
}

/// What is played together, and the family that is asked about.
#[derive(Debug, Clone)]
struct Mixture {
    parts: Vec<Part>,
    family: Option<&'static str>,
}

/// The independent program. When its standard input ends, everything that it plays ends.
struct Stage {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Stage {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mixtures/stage.py");
        let mut command = Command::new("python3");
        let mut child = command.arg("-B").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn read<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> T {
        writeln!(self.child.stdin.as_ref().unwrap(), "{request}").unwrap();
        self.read()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.wait();
    }
}

/// What happened to a part.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Played {
    /// Why it could not be played beside the others, or on this machine.
    failed: Option<String>,
    inodes: Vec<u64>,
    /// The processes with sockets that no descriptor shows.
    beyond_descriptors: BTreeMap<u64, u32>,
}

/// The processes that have sockets open, by inode.
type Holders = BTreeMap<u64, BTreeSet<u32>>;

/// What the independent program knows.
struct Truth {
    played: Vec<Played>,
    /// As each user finds them.
    holders: BTreeMap<u32, Holders>,
}

/// What portcheck answered.
struct Look {
    user: u32,
    options: Vec<&'static str>,
    answer: Value,
}

impl Look {
    /// Runs portcheck as `user`, within the time limit.
    fn take(user: u32, targets: &[String], options: impl IntoIterator<Item = &'static str>) -> Self {
        let options: Vec<&str> = options.into_iter().collect();
        let mut command = Command::new("timeout");
        command.arg("10").arg(readable_copy(Path::new(env!("CARGO_BIN_EXE_portcheck"))));
        command.args(targets).args(&options).arg("--json").current_dir("/").stdin(Stdio::null());
        if user != 0 {
            command.uid(user).gid(user);
        }
        Self { user, options, answer: json_of(command) }
    }

    fn ports(&self) -> &[Value] {
        self.answer["ports"].as_array().unwrap()
    }

    fn inodes(&self) -> impl Iterator<Item = u64> {
        let sockets = self.ports().iter().flat_map(|port| port["sockets"].as_array().unwrap());
        sockets.filter_map(|socket| socket["inode"].as_u64())
    }

    /// Compares with the truth.
    fn judge(&self, stage: &mut Stage, truth: &Truth) -> Result<(), TestCaseError> {
        let Truth { played, holders } = truth;
        for port in self.ports() {
            let binds: Vec<String> = stage.ask(&json!({"bind": port}));
            let judge = Judge {
                port,
                binds: &binds,
                reuse_address: self.options.contains(&"--reuse-addr"),
                visible: &holders[&self.user],
                all: &holders[&0],
                played,
            };
            judge.owners_are_true()?;
            if !self.options.contains(&"--no-probe") {
                judge.binds_are_true()?;
                judge.status_is_true()?;
            }
        }
        if self.options.contains(&"--all") {
            let shown: BTreeSet<u64> = self.inodes().collect();
            let missing = played.iter().flat_map(|played| &played.inodes).find(|inode| !shown.contains(inode));
            prop_assert_eq!(missing, None, "{:#}", self.answer);
        }
        Ok(())
    }
}

/// Asks about what was played in every way, and compares.
fn play(
    stage: &mut Stage,
    repertoire: &Repertoire,
    mixture: &Mixture,
    number: u16,
    tally: &mut Tally,
) -> Result<(), TestCaseError> {
    let played: Vec<Played> = stage.ask(&json!({"play": {"port": number, "parts": mixture.parts}}));
    tally.count(&mixture.parts, &played);
    let (everywhere, anywhere) = ([number.to_string()], repertoire.targets(number));
    let asked = Look::take(0, &anywhere, []);
    let unasked = Look::take(0, &anywhere, ["--no-probe"]);
    for (asked, unasked) in asked.ports().iter().zip(unasked.ports()) {
        let is_false = asked["status"] == "held" && unasked["status"] == "free";
        prop_assert!(!is_false, "free without asking bind: {unasked:#}");
    }
    let mut looks = vec![asked, unasked, Look::take(0, &everywhere, mixture.family)];
    looks.push(Look::take(0, &everywhere, ["--reuse-addr", "--all"]));
    if is_root() {
        looks.push(Look::take(NOBODY, &everywhere, ["--all"]));
    }
    let inodes: BTreeSet<u64> = looks.iter().flat_map(Look::inodes).collect();
    let users: BTreeSet<u32> = looks.iter().map(|look| look.user).collect();
    let truth = Truth { played, holders: stage.ask(&json!({"holders": {"inodes": inodes, "users": users}})) };
    looks.iter().try_for_each(|look| look.judge(stage, &truth))
}

/// How often each kind and way was played, and why it was not.
#[derive(Debug, Default)]
struct Tally {
    played: BTreeSet<String>,
    failed: BTreeMap<String, String>,
}

impl Tally {
    fn count(&mut self, parts: &[Part], played: &[Played]) {
        for (part, played) in parts.iter().zip(played) {
            for name in [&part.kind, &part.way] {
                match &played.failed {
                    None => _ = self.played.insert(name.clone()),
                    Some(reason) => _ = self.failed.insert(name.clone(), reason.clone()),
                }
            }
        }
    }

    /// Reports what could never be played.
    fn report(&self, repertoire: &Repertoire) {
        for name in repertoire.kinds.iter().chain(&repertoire.ways).filter(|name| !self.played.contains(*name)) {
            skip(&format!("never played: {name}, {}", self.failed.get(name).map_or("not drawn", String::as_str)));
        }
    }
}

#[test]
fn whatever_is_mixed_on_a_port_portcheck_says_what_is_true() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3 to find out independently");
        }
        let stage = RefCell::new(Stage::start());
        let repertoire: Repertoire = stage.borrow_mut().read();
        let cases = std::env::var("PORTCHECK_MIXTURES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
        let config = Config { cases, max_shrink_iters: 100, failure_persistence: None, ..Config::default() };
        let (last, tally) = (Cell::new(9_999), RefCell::new(Tally::default()));
        let outcome = TestRunner::new(config).run(&repertoire.any_mixture(), |mixture| {
            // A port for each mixture, since remnants outlive it, and another one for servers
            // elsewhere.
            last.set(if last.get() == 19_999 { 10_000 } else { last.get() + 1 });
            play(&mut stage.borrow_mut(), &repertoire, &mixture, last.get(), &mut tally.borrow_mut())
        });
        tally.borrow().report(&repertoire);
        if let Err(error) = outcome {
            panic!("{error}");
        }
    });
}
