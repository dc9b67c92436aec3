//! Runs the shipped binary and reads its output, on every system.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The output and exit code of a run.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            // A panic aborts with a signal, which no test expects.
            code: output.status.code().unwrap_or_else(|| panic!("killed: {output:?}")),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The binary with these arguments, independent of the caller's terminal.
pub fn portcheck(arguments: &[&str]) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_portcheck")), arguments)
}

pub fn command_of(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

pub fn run(arguments: &[&str]) -> Run {
    portcheck(arguments).output().unwrap().into()
}

/// Runs with `--json`, and checks every such output: it fits the schema, and has the exit code.
pub fn json(arguments: &[&str]) -> Value {
    json_of(portcheck(&[arguments, &["--json"]].concat()))
}

#[track_caller]
pub fn json_of(mut command: Command) -> Value {
    let run = Run::from(command.output().unwrap());
    assert_eq!(run.stderr, "", "{command:?}");
    let value: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error} in {run:?}"));
    require_schema(&value);
    assert_eq!(value["exit_code"], run.code, "{command:?}");
    value
}

/// Requires a document to be as it is published.
#[track_caller]
pub fn require_schema(value: &Value) {
    let errors: Vec<String> = schema().iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value}");
}

fn schema() -> &'static jsonschema::Validator {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| jsonschema::validator_for(&serde_json::from_str(&schema_text()).unwrap()).unwrap())
}

/// The schema of the JSON, as it is published.
pub fn schema_text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/portcheck-v1.schema.json");
    std::fs::read_to_string(path).unwrap()
}

/// The element of `ports` for a port and protocol.
#[track_caller]
pub fn port<'a>(answer: &'a Value, port: u16, protocol: &str) -> &'a Value {
    let ports = answer["ports"].as_array().unwrap();
    let found = ports.iter().find(|element| element["port"] == port && element["protocol"] == protocol);
    found.unwrap_or_else(|| panic!("no {port}/{protocol} in {answer:#}"))
}

/// The codes of the findings on a port, without those that come with nearly every server: who can
/// reach it, and that the other protocol is free.
#[track_caller]
pub fn codes(port: &Value) -> Vec<&str> {
    let usual = ["loopback-only", "exposed", "tcp-only", "udp-only"];
    all_codes(port).into_iter().filter(|code| !usual.contains(code)).collect()
}

/// The codes of all findings on a port.
#[track_caller]
pub fn all_codes(port: &Value) -> Vec<&str> {
    port["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// Every pid that is named as owner of a socket on a port, ascending.
#[track_caller]
pub fn owners(port: &Value) -> Vec<u32> {
    let sockets = port["sockets"].as_array().unwrap();
    let mut pids: Vec<u32> = sockets.iter().flat_map(|socket| numbers(&socket["owners"]["pids"])).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[track_caller]
pub fn numbers(list: &Value) -> Vec<u32> {
    list.as_array().unwrap().iter().map(|number| number.as_u64().unwrap().try_into().unwrap()).collect()
}
