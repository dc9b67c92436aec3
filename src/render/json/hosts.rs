//! What other machines said, as JSON: the types, and how they are made.

use std::io::{self, Write};

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::line;
use crate::commands::hosts::{Host, Report};

/// A machine that was asked.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "HostAnswer"))]
pub struct WireHostAnswer<'a> {
    /// Its name, as it was typed.
    pub name: &'a str,
    /// What portcheck came to there; 3 if it could not be reached or asked.
    pub exit_code: u8,
    /// Why it could not be reached or asked; null if it answered.
    pub error: Option<WireHostError<'a>>,
    /// The document that portcheck printed there: the same format, perhaps of another version. Null
    /// if there is none.
    #[cfg_attr(test, schemars(with = "Option<Map<String, Value>>"))]
    pub answer: Option<Value>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "HostError"))]
pub struct WireHostError<'a> {
    #[cfg_attr(test, schemars(extend("const" = "unreachable")))]
    pub kind: &'static str,
    /// One line, often the last words of ssh.
    pub message: &'a str,
}

/// A list of [`WireHostAnswer`], each made when it is written: together they may be large.
#[derive(Debug)]
pub struct Hosts<'a>(pub &'a [Host]);

impl Serialize for Hosts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(host))
    }
}

fn host(host: &Host) -> WireHostAnswer<'_> {
    WireHostAnswer {
        name: &host.name,
        exit_code: host.exit().code(),
        error: host.answer.as_ref().err().map(|lost| WireHostError { kind: UNREACHABLE, message: &lost.reason }),
        answer: document(host),
    }
}

const UNREACHABLE: &str = "unreachable";

/// What it printed. It was read once already, so it can be read again.
fn document(host: &Host) -> Option<Value> {
    serde_json::from_str(host.answer.as_ref().ok()?.text.as_deref()?).ok()
}

/// A line for each host and port, and for each host without an answer.
pub fn lines(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for host in &report.hosts {
        let mut document = document(host).unwrap_or_default();
        let error = match &host.answer {
            Err(lost) => Some(serde_json::json!({ "kind": UNREACHABLE, "message": lost.reason })),
            Ok(_) => Some(taken(&mut document, "error")).filter(|error| !error.is_null()),
        };
        if let Some(error) = error {
            let status = if host.answer.is_err() { UNREACHABLE } else { "failed" };
            line(&serde_json::json!({ "host": host.name, "status": status, "error": error }), out)?;
            continue;
        }
        let Value::Array(ports) = taken(&mut document, "ports") else { continue };
        let Value::Array(processes) = taken(&mut document, "processes") else { continue };
        for port in ports {
            let Value::Object(mut port) = port else { continue };
            let own = processes_of(&port, &processes);
            port.insert("processes".to_owned(), own);
            // Whatever stands there, it is of this host.
            port.insert("host".to_owned(), Value::String(host.name.clone()));
            line(&port, out)?;
        }
    }
    Ok(())
}

/// The value of a key; null if there is none.
fn taken(document: &mut Value, key: &str) -> Value {
    document.get_mut(key).map(Value::take).unwrap_or_default()
}

/// The processes that the sockets of a port name.
fn processes_of(port: &Map<String, Value>, processes: &[Value]) -> Value {
    let sockets = port.get("sockets").and_then(Value::as_array).into_iter().flatten();
    let pids: Vec<&Value> = sockets.filter_map(|socket| socket["owners"]["pids"].as_array()).flatten().collect();
    processes.iter().filter(|process| pids.contains(&&process["pid"])).cloned().collect()
}
