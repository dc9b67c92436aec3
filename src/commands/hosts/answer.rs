//! What portcheck said on another machine: its JSON, as far as it is understood here.
//!
//! Everything in it is another machine's word, and its size is limited before it is read.

use serde::Deserialize;

use super::Keep;
use crate::commands::exit::Exit;

/// The version of the JSON that is understood.
const SCHEMA_VERSION: u32 = 1;

/// How many values the JSON of a host may have. A list of 1000 ports has some 100,000.
const MOST_VALUES: usize = 2_000_000;

/// The JSON of a host. Keys that are not needed here are skipped.
#[derive(Debug, Clone, Deserialize)]
pub struct Answered {
    schema_version: u32,
    version: String,
    exit_code: u8,
    /// The ports.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// The processes that the ports name.
    #[serde(default)]
    pub processes: Vec<Process>,
    /// What could not be seen.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// What `kill` did.
    pub kill: Option<Kill>,
    /// Set if it failed there.
    pub error: Option<Message>,
    /// The JSON itself, if it was to be kept.
    #[serde(skip)]
    pub text: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Port {
    pub port: u16,
    pub protocol: String,
    pub status: String,
    pub namespace: Option<Named>,
    #[serde(default)]
    pub findings: Vec<Summary>,
    #[serde(default)]
    pub sockets: Vec<Socket>,
    /// What answered, of `identify`.
    pub identified: Option<Identified>,
    /// Who can reach it, of `reach`.
    #[serde(default)]
    pub reach: Vec<Reach>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Identified {
    pub protocol: Option<String>,
    pub server: Option<String>,
    pub note: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Reach {
    pub from: String,
    pub result: String,
}

/// Something with a name, if it has one.
#[derive(Debug, Clone, Deserialize)]
pub struct Named {
    pub name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Summary {
    pub summary: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Socket {
    pub exposure: String,
    pub user: Option<String>,
    pub owners: Owners,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Owners {
    pub kind: String,
    pub pids: Vec<u32>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub name: String,
    pub user: Option<String>,
    pub unit: Option<Unit>,
    pub container: Option<Container>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Unit {
    pub name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Container {
    pub name: Option<String>,
    pub id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Gap {
    pub hides: String,
    pub summary: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    pub message: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Kill {
    pub outcome: String,
    pub objection: Option<String>,
    #[serde(default)]
    pub refused: Vec<Refused>,
    #[serde(default)]
    pub steps: Vec<Step>,
    #[serde(default)]
    pub holders: Vec<Holder>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Refused {
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    pub name: Option<String>,
    pub pid: Option<u32>,
    pub result: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Holder {
    pub name: String,
    pub pid: u32,
}

/// Why an answer is no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not the JSON of portcheck, or of a version that is not understood.
    Foreign,
    /// It has too many values.
    Large,
    /// An older or newer portcheck does not know what it was told.
    OtherVersion,
}

/// Reads what portcheck printed.
pub fn read(bytes: &[u8], keep: Keep) -> Result<Answered, Fault> {
    if bytes.iter().filter(|byte| b",[{".contains(byte)).count() > MOST_VALUES {
        return Err(Fault::Large);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Foreign)?;
    // serde would take a list for an object whose keys are in order.
    if !text.trim_start().starts_with('{') {
        return Err(Fault::Foreign);
    }
    let mut answered: Answered = serde_json::from_str(text).map_err(|_| Fault::Foreign)?;
    if answered.schema_version != SCHEMA_VERSION {
        return Err(Fault::Foreign);
    }
    if answered.exit() == Exit::Usage && answered.version != env!("CARGO_PKG_VERSION") {
        return Err(Fault::OtherVersion);
    }
    answered.text = (keep == Keep::Text).then(|| text.to_owned());
    Ok(answered)
}

impl Answered {
    /// What it comes to. An error is never an answer, whatever code stands beside it.
    pub fn exit(&self) -> Exit {
        match (self.exit_code, &self.error) {
            (2, _) => Exit::Usage,
            (0, None) => Exit::Yes,
            (1, None) => Exit::No,
            (3, None) => Exit::Unknown,
            (124, None) => Exit::Timeout,
            _ => Exit::Failure,
        }
    }

    /// The exit code that it named.
    pub fn exit_code(&self) -> u8 {
        self.exit().code()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &str = r#"{"schema_version": 1, "version": "0.0.1", "exit_code": 1, "host": {"os": "linux"},
        "ports": [{"port": 22, "protocol": "tcp", "status": "held", "later": [1],
                   "findings": [{"code": "listener", "summary": "sshd (pid 7) listens"}],
                   "sockets": [{"exposure": "all", "user": "root", "owners": {"kind": "known", "pids": [7]}}]}],
        "processes": [{"pid": 7, "name": "sshd", "user": "root", "unit": {"name": "ssh.service"}, "container": null}],
        "gaps": [], "kill": null, "error": null}"#;

    #[test]
    fn what_is_known_is_read_and_the_rest_skipped() {
        let answered = read(ANSWER.as_bytes(), Keep::Text).unwrap();
        assert_eq!((answered.exit(), answered.ports[0].port, answered.text.as_deref()), (Exit::No, 22, Some(ANSWER)));
        assert_eq!(answered.processes[0].unit.as_ref().unwrap().name, "ssh.service");
        assert!(read(ANSWER.as_bytes(), Keep::Facts).unwrap().text.is_none());
    }

    #[test]
    fn what_is_not_understood_is_no_answer() {
        let with = |from: &str, to: &str| read(ANSWER.replace(from, to).as_bytes(), Keep::Facts);
        assert_eq!(with("\"schema_version\": 1", "\"schema_version\": 2").unwrap_err(), Fault::Foreign);
        assert_eq!(with("\"exit_code\": 1", "\"exit_code\": 2").unwrap_err(), Fault::OtherVersion);
        assert_eq!(read(b"", Keep::Facts).unwrap_err(), Fault::Foreign);
        assert_eq!(read(b"[1, \"0.0.1\", 0]", Keep::Facts).unwrap_err(), Fault::Foreign);
        assert_eq!(read(b"\xff", Keep::Facts).unwrap_err(), Fault::Foreign);
        assert_eq!(read(&b"[".repeat(3_000_000), Keep::Facts).unwrap_err(), Fault::Large);
        assert_eq!(read(&b"[".repeat(1_000_000), Keep::Facts).unwrap_err(), Fault::Foreign);
        // An error that claims to be a success.
        let error = with("\"error\": null", "\"error\": {\"kind\": \"failure\", \"message\": \"x\"}").unwrap();
        assert_eq!(error.exit(), Exit::Failure);
        assert_eq!(with("\"exit_code\": 1", "\"exit_code\": 77").unwrap().exit(), Exit::Failure);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(at in 0..ANSWER.len(), byte in any::<u8>()) {
            let mut bytes = ANSWER.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = read(&bytes, Keep::Text);
        }
    }
}
