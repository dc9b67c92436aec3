//! `portcheck --format prometheus`, as the parser of Prometheus' own Python client reads it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json as value};

use crate::common::server::{Server, program};
use crate::common::{Run, in_namespace, run, skip};

/// Listens on as many TCP ports as its argument says, from 20000 on, and on one that is said to be for UDP clients.
/// Its name has all that has to be escaped.
const SERVER: &str = r#"
import ctypes, resource, signal, socket, sys
ctypes.CDLL(None).prctl(15, b'a"b\\c\nd', 0, 0, 0)
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = [socket.create_server(('127.0.0.1', 20000 + at)) for at in range(int(sys.argv[1]))]
for at in range(3):
    held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    held[-1].bind(('0.0.0.0', 0))
print('ready', flush=True)
signal.pause()
"#;

/// Prints each sample as `[name, labels, value]`. No two may be of the same series.
const PARSER: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
samples = [sample for family in text_string_to_metric_families(sys.stdin.read()) for sample in family.samples]
series = {(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples}
assert len(series) == len(samples), 'a series is there twice'
assert all(sample.timestamp is None for sample in samples)
print(json.dumps([[sample.name, sample.labels, float(sample.value)] for sample in samples]))
";

fn listening(ports: usize) -> Option<Server> {
    let Some(python) = program("python3") else {
        skip("no python3");
        return None;
    };
    let mut command = Command::new(python);
    command.args(["-c", SERVER, &ports.to_string()]);
    Some(Server::start(command, "ready", 1))
}

/// The samples as the official parser has them.
fn parse(text: &str) -> Option<Vec<Value>> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/venv/bin/python");
    let is_there = Command::new(&python).args(["-c", "import prometheus_client"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        skip("no prometheus_client: scripts/test-tools installs it");
        return None;
    }
    let mut command = Command::new(python);
    command.args(["-c", PARSER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = Run::from(child.wait_with_output().unwrap());
    assert_eq!(output.code, 0, "{output:?}");
    Some(serde_json::from_str(&output.stdout).unwrap())
}

#[test]
fn a_thousand_ports_are_read_by_the_official_parser() {
    in_namespace(|| {
        let Some(_server) = listening(1010) else { return };
        let metrics = run(&["--format", "prometheus"]);
        assert_eq!((metrics.code, metrics.stderr.as_str()), (0, ""));
        assert!(metrics.stdout.len() <= 1 << 20, "{} bytes", metrics.stdout.len());
        let Some(samples) = parse(&metrics.stdout) else { return };
        let of = |name: &str| samples.iter().filter(|sample| sample[0] == name).collect::<Vec<_>>();
        let ports = of("portcheck_listening_sockets");
        assert_eq!((ports.len(), &of("portcheck_series_left_out")[0][2]), (1000, &value!(11.0)));
        // The name as a terminal shows it. A backslash is one here.
        let process = "a\"b\\c\\nd";
        let clients = ports.iter().find(|sample| sample[1]["port"] == "ephemeral").unwrap();
        assert_eq!((&clients[1]["protocol"], &clients[2]), (&value!("udp"), &value!(3.0)), "{clients:#}");
        let server = ports.iter().find(|sample| sample[1]["port"] == "20000").unwrap();
        assert_eq!((&server[1]["process"], &server[2]), (&value!(process), &value!(1.0)), "{server:#}");
        assert_eq!((&server[1]["exposure"], &server[1]["owners"]), (&value!("loopback"), &value!("known")));
        assert!(server[1].get("pid").is_none() && of("portcheck_gaps").len() == 3, "{server:#}");
    });
}

/// The script of docs/fleet.md, as it stands there.
#[test]
fn the_recipe_for_the_textfile_collector_replaces_its_file_at_once() {
    in_namespace(|| {
        let Some(_server) = listening(1) else { return };
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet.md")).unwrap();
        let script = text.split("```sh portcheck-metrics\n").nth(1).unwrap().split("```").next().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portcheck"), path("portcheck")).unwrap();
        let others = std::env::var("PATH").unwrap();
        let written = || {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(directory.path()).stdin(Stdio::null());
            command.env("PATH", format!("{}:{others}", directory.path().display()));
            Run::from(command.output().unwrap())
        };
        let first = written();
        assert_eq!((first.code, first.stdout.as_str(), first.stderr.as_str()), (0, "", ""));
        let metrics = std::fs::read_to_string(path("portcheck.prom")).unwrap();
        assert!(metrics.contains("port=\"20000\"") && !path("portcheck.prom.new").exists(), "{metrics}");
        // A failure leaves the last file as it is.
        std::fs::remove_file(path("portcheck")).unwrap();
        std::os::unix::fs::symlink("/bin/false", path("portcheck")).unwrap();
        assert_ne!(written().code, 0);
        assert_eq!(std::fs::read_to_string(path("portcheck.prom")).unwrap(), metrics);
    });
}

#[test]
fn metrics_are_of_the_list_alone() {
    for arguments in [&["8080"][..], &["connections"], &["kill", "8080"], &["free"], &["preflight"]] {
        let refused = run(&[arguments, &["--format", "prometheus"]].concat());
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused:?}");
    }
    assert_eq!(run(&["list", "--summary", "--format", "prometheus"]).code, 2);
}
