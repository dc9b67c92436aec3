//! What other machines said, in one table.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::paper::Paper;
use super::table::with_status;
use super::{Style, escape};
use crate::commands::exit::Command;
use crate::commands::hosts::{Answered, Host, Identified, Kill, Port, Process, Report};
use crate::diagnose::Status;

/// The longest reason, and the longest name, that a host gets into the table.
const LONGEST_REASON: usize = 400;
const LONGEST_NAME: usize = 60;

/// How many reasons of a host for not seeing something are told.
const MOST_GAPS: usize = 5;

/// Writes a row for each host and port, and one for each host without an answer.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if report.command == Command::List {
        let rows: Vec<_> = report.hosts.iter().flat_map(listed).collect();
        let heading = ["HOST", "STATUS", "PORT", "EXPOSED", "PROCESS", "PID", "USER", "UNIT/CONTAINER", "WHY"];
        with_status(heading, &rows, style, out)?;
    } else {
        let rows: Vec<_> = report.hosts.iter().flat_map(verdicts).collect();
        with_status(["HOST", "STATUS", "PORT", "WHY"], &rows, style, out)?;
    }
    notes(report, style, out)
}

/// Text of another machine in a cell.
fn cell(text: &str, most: usize) -> String {
    escape::shorten(&escape::terminal(text), most).into_owned()
}

/// Why a host has no ports to show; `None` if it has some.
fn without_ports(host: &Host) -> Option<(&'static str, String)> {
    match &host.answer {
        Err(lost) => Some(("unreachable", cell(&lost.reason, LONGEST_REASON))),
        Ok(Answered { error: Some(error), .. }) => Some(("failed", cell(&error.message, LONGEST_REASON))),
        Ok(answered) if answered.ports.is_empty() && answered.kill.is_none() => {
            Some(("none", "nothing to show: no port matches".to_owned()))
        }
        Ok(_) => None,
    }
}

fn verdicts(host: &Host) -> Vec<(Status, [String; 4])> {
    let name = cell(&host.name, LONGEST_NAME);
    let row = |status: Status, word: &str, port: String, why: String| {
        (status, [name.clone(), cell(word, LONGEST_NAME), port, why])
    };
    if let Some((word, why)) = without_ports(host) {
        return vec![row(Status::Unknown, word, String::new(), why)];
    }
    let Ok(answered) = &host.answer else { return Vec::new() };
    let mut rows = Vec::new();
    if let Some(kill) = &answered.kill {
        let status = if answered.exit_code() == 0 { Status::Free } else { Status::Held };
        rows.push(row(status, &kill.outcome, String::new(), cell(&done(kill), LONGEST_REASON)));
    }
    for run in runs(&answered.ports) {
        let [first, ..] = run else { continue };
        rows.push(row(status(&first.status), &first.status, range(run), cell(&why(first), LONGEST_REASON)));
    }
    rows
}

/// What there is to say of a port: what answered, who can reach it, or the first finding.
fn why(port: &Port) -> String {
    let reached: Vec<String> = port.reach.iter().map(|reach| format!("{} from {}", reach.result, reach.from)).collect();
    match &port.identified {
        Some(Identified { protocol: Some(protocol), server, .. }) => {
            let server = server.as_ref().map(|server| format!(": {server}")).unwrap_or_default();
            format!("answers {protocol}{server}")
        }
        Some(Identified { note: Some(note), .. }) => note.clone(),
        _ if !reached.is_empty() => reached.join(", "),
        _ if port.status == "free" => String::new(),
        _ => port.findings.first().map(|finding| finding.summary.clone()).unwrap_or_default(),
    }
}

fn listed(host: &Host) -> Vec<(Status, [String; 9])> {
    let name = cell(&host.name, LONGEST_NAME);
    if let Some((word, why)) = without_ports(host) {
        let mut cells: [String; 9] = Default::default();
        (cells[0], cells[1], cells[8]) = (name, word.to_owned(), why);
        return vec![(Status::Unknown, cells)];
    }
    let Ok(answered) = &host.answer else { return Vec::new() };
    let row = |port: &Port| {
        let short = |text: Option<&str>| cell(text.unwrap_or_default(), LONGEST_NAME);
        let socket = port.sockets.first();
        let pid = socket.and_then(|socket| socket.owners.pids.first());
        let process = pid.and_then(|pid| answered.processes.iter().find(|process| process.pid == *pid));
        let user = process.and_then(|process| process.user.as_deref());
        let why = port.findings.first().map(|finding| cell(&finding.summary, LONGEST_REASON));
        let cells = [
            name.clone(),
            cell(&port.status, LONGEST_NAME),
            range(std::slice::from_ref(port)),
            short(socket.map(|socket| &*socket.exposure)),
            short(process.map(|process| &*process.name).or(socket.and_then(|socket| stand_in(&socket.owners.kind)))),
            pid.map(u32::to_string).unwrap_or_default(),
            short(user.or(socket.and_then(|socket| socket.user.as_deref()))),
            short(process.and_then(supervisor)),
            why.unwrap_or_default(),
        ];
        (status(&port.status), cells)
    };
    answered.ports.iter().map(row).collect()
}

/// What stands in the column of processes if none is known.
fn stand_in(owners: &str) -> Option<&'static str> {
    match owners {
        "kernel" => Some("(kernel)"),
        "hidden" => Some("(hidden)"),
        "none" => Some("(none)"),
        _ => None,
    }
}

fn supervisor(process: &Process) -> Option<&str> {
    let container =
        process.container.as_ref().and_then(|container| container.name.as_deref().or(container.id.as_deref()));
    container.or_else(|| process.unit.as_ref().map(|unit| &*unit.name))
}

fn status(word: &str) -> Status {
    match word {
        "free" => Status::Free,
        "held" => Status::Held,
        "blocked" => Status::Blocked,
        _ => Status::Unknown,
    }
}

/// What `kill` did, in one line.
fn done(kill: &Kill) -> String {
    let ended = kill.steps.iter().filter(|step| step.result == "done").filter_map(|step| {
        let name = step.name.as_deref()?;
        Some(format!("ended {name} (pid {})", step.pid?))
    });
    let refused = kill.refused.iter().map(|refused| refused.reason.clone());
    let holders: Vec<String> =
        kill.holders.iter().map(|holder| format!("{} (pid {})", holder.name, holder.pid)).collect();
    let is_untouched = kill.steps.is_empty() && !holders.is_empty();
    let holders = is_untouched.then(|| format!("held by {}", holders.join(", ")));
    let all: Vec<String> = kill.objection.iter().cloned().chain(ended).chain(refused).chain(holders).collect();
    all.join("; ")
}

/// Ports that are told in one row: free ones next to each other, of the same protocols.
fn runs(ports: &[Port]) -> Vec<&[Port]> {
    let mut runs: Vec<&[Port]> = Vec::new();
    let mut end = 0;
    for group in ports.chunk_by(|a, b| a.port == b.port && is_free(a) && is_free(b)) {
        let start = end;
        end += group.len();
        let goes_on = |run: &&[Port]| {
            let (Some(last), Some(next)) = (run.last(), group.first()) else { return false };
            is_free(last)
                && is_free(next)
                && last.port.checked_add(1) == Some(next.port)
                && protocols(run.chunk_by(|a, b| a.port == b.port).next().unwrap_or_default()) == protocols(group)
        };
        match runs.last_mut() {
            Some(run) if goes_on(run) => *run = &ports[start - run.len()..end],
            _ => runs.push(group),
        }
    }
    runs
}

/// Whether there is nothing to say of a port, but that it is free.
fn is_free(port: &Port) -> bool {
    port.status == "free" && port.namespace.is_none() && why(port).is_empty()
}

fn protocols(ports: &[Port]) -> Vec<&str> {
    ports.iter().map(|port| &*port.protocol).collect()
}

/// `8080/tcp`, `8080` for both protocols, `8080-8090`; with the network namespace if it is another.
fn range(run: &[Port]) -> String {
    let [first, .., last] = run else {
        let [only] = run else { return String::new() };
        let name = format!("{}/{}", only.port, cell(&only.protocol, LONGEST_NAME));
        return match only.namespace.as_ref().and_then(|namespace| namespace.name.as_deref()) {
            Some(namespace) => format!("{name} in {}", cell(namespace, LONGEST_NAME)),
            None => name,
        };
    };
    let is_both = run.iter().any(|port| port.protocol != first.protocol);
    let protocol = if is_both { String::new() } else { format!("/{}", cell(&first.protocol, LONGEST_NAME)) };
    let last = if first.port == last.port { String::new() } else { format!("-{}", last.port) };
    format!("{}{last}{protocol}", first.port)
}

/// What could not be seen where it matters, each once.
fn notes(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for host in &report.hosts {
        let Ok(answered) = &host.answer else { continue };
        let sockets = || answered.ports.iter().flat_map(|port| &port.sockets);
        let is_unsure = sockets().any(|socket| matches!(&*socket.owners.kind, "hidden" | "likely" | "partial"));
        let matters = |hides: &str| style.verbose || hides == "sockets" || (hides == "owners" && is_unsure);
        for gap in answered.gaps.iter().filter(|gap| matters(&gap.hides)).take(MOST_GAPS) {
            told.entry(cell(&gap.summary, LONGEST_REASON)).or_default().push(cell(&host.name, LONGEST_NAME));
        }
    }
    let paper = &mut Paper::new(style.width, out);
    told.iter().try_for_each(|(summary, hosts)| paper.sentence(&format!("{}: {summary}", hosts.join(", "))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ports(words: &[(u16, &str, &str)]) -> Vec<Port> {
        let port = |&(port, protocol, status): &(u16, &str, &str)| {
            let findings = json!([{ "summary": "x listens" }]);
            serde_json::from_value(
                json!({ "port": port, "protocol": protocol, "status": status, "findings": findings }),
            )
        };
        words.iter().map(|words| port(words).unwrap()).collect()
    }

    #[test]
    fn free_neighbours_are_one_row() {
        for (given, rows) in [
            (&[(80, "tcp", "free"), (80, "udp", "free"), (81, "tcp", "free"), (81, "udp", "free")][..], &["80-81"][..]),
            (&[(80, "tcp", "free"), (81, "tcp", "free"), (83, "tcp", "free")], &["80-81/tcp", "83/tcp"]),
            (&[(80, "tcp", "held"), (80, "udp", "free"), (81, "tcp", "free")], &["80/tcp", "80/udp", "81/tcp"]),
            (&[(80, "tcp", "free"), (80, "udp", "free"), (81, "tcp", "free")], &["80", "81/tcp"]),
            (&[(65535, "tcp", "free"), (0, "tcp", "free")], &["65535/tcp", "0/tcp"]),
            (&[(80, "tcp", "held"), (80, "tcp", "held")], &["80/tcp", "80/tcp"]),
            (&[], &[]),
        ] {
            let ports = ports(given);
            assert_eq!(runs(&ports).into_iter().map(range).collect::<Vec<_>>(), rows, "{given:?}");
        }
    }

    #[test]
    fn each_command_says_what_it_has_found() {
        let said = |more: serde_json::Value| {
            let mut port =
                json!({ "port": 80, "protocol": "tcp", "status": "held", "findings": [{ "summary": "x listens" }] });
            port.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            why(&serde_json::from_value(port).unwrap())
        };
        assert_eq!(said(json!({})), "x listens");
        assert_eq!(said(json!({ "identified": { "protocol": "http", "server": "nginx" } })), "answers http: nginx");
        assert_eq!(said(json!({ "identified": { "note": "silent" } })), "silent");
        let reach = json!([{ "from": "10.0.0.1", "result": "open" }, { "from": "203.0.113.1", "result": "dropped" }]);
        assert_eq!(said(json!({ "reach": reach })), "open from 10.0.0.1, dropped from 203.0.113.1");
    }
}
