//! Metrics in the text format of Prometheus, for the textfile collector of node_exporter.
//!
//! The number of series is bounded, as each one costs the server of Prometheus memory for good:
//! docs/fleet.md says how.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Style;
use super::escape;
use super::rows::{Row, rows_of};
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::PortReport;
use crate::model::{Container, Gap, Hides, Host, Owners, Process, Protocol, Unit, find_process};
use crate::supervisor::{self, Supervisor};

/// How many series there are for ports. What is beyond is counted.
const MOST: usize = 1000;

/// How many bytes a value of a label has. A cut is marked by `…`.
const LONGEST: usize = 80;

/// The labels of a series, by their names.
const LABELS: [&str; 9] =
    ["port", "protocol", "exposure", "owners", "process", "user", "unit", "container", "namespace"];

type Labels = [String; LABELS.len()];

/// Writes a gauge for each port and holder, and what is missing.
pub fn write(diagnosis: &Diagnosis, out: &mut dyn Write) -> io::Result<()> {
    let series = series(diagnosis);
    let name = "portcheck_listening_sockets";
    heading(name, "Sockets that wait for peers, by port and holder.", out)?;
    for (labels, count) in series.iter().take(MOST) {
        let pairs = LABELS.iter().zip(labels).filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = pairs.map(|(label, value)| format!("{label}=\"{}\"", quoted(value))).collect();
        writeln!(out, "{name}{{{}}} {count}", pairs.join(","))?;
    }
    let name = "portcheck_series_left_out";
    heading(name, "Ports and holders beyond the 1000 that are shown.", out)?;
    writeln!(out, "{name} {}", series.len().saturating_sub(MOST))?;
    let name = "portcheck_gaps";
    heading(name, "Reasons why something could not be seen, by what they hide.", out)?;
    for hides in [Hides::Sockets, Hides::Owners, Hides::Details] {
        let count = diagnosis.gaps.iter().filter(|gap: &&Gap| gap.kind.hides == hides).count();
        writeln!(out, "{name}{{hides=\"{}\"}} {count}", hides.into_str())?;
    }
    let name = "portcheck_info";
    heading(name, "The version of portcheck.", out)?;
    writeln!(out, "{name}{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))
}

fn heading(name: &str, help: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge")
}

/// The series with their values, by port: those that other machines can reach first, so that they
/// are not the ones that are left out.
fn series(diagnosis: &Diagnosis) -> Vec<(Labels, usize)> {
    let mut counted: BTreeMap<(bool, u16, Labels), usize> = BTreeMap::new();
    for port in &diagnosis.ports {
        for row in rows_of(port, &diagnosis.processes, &Style::default()) {
            let sockets = row.sockets.iter().filter(|socket| socket.state.is_listening()).count();
            if sockets > 0 {
                let is_inner = matches!(row.exposure.into_str(), "loopback" | "namespace");
                let number = number(port, &row, &diagnosis.host);
                let key = (is_inner, number.unwrap_or(u16::MAX), labels(number, &row, diagnosis));
                *counted.entry(key).or_default() += sockets;
            }
        }
    }
    counted.into_iter().map(|((_, _, labels), count)| (labels, count)).collect()
}

fn labels(number: Option<u16>, row: &Row<'_>, diagnosis: &Diagnosis) -> Labels {
    let leader = row.owners.pids().first().and_then(|&pid| find_process(&diagnosis.processes, pid));
    let (unit, container) = supervisor(leader, row);
    [
        number.map_or_else(|| "ephemeral".to_owned(), |number| number.to_string()),
        row.port.observed.protocol.to_string(),
        row.exposure.into_str().to_owned(),
        row.owners.kind().to_owned(),
        value(row.process.as_deref()),
        value(row.user.as_deref()),
        value(unit.as_deref()),
        value(container.as_deref()),
        value(row.namespace.as_deref()),
    ]
}

/// The number of a port; `None` if the kernel has picked it for a UDP client, which gets another one
/// each time.
fn number(port: &PortReport, row: &Row<'_>, host: &Host) -> Option<u16> {
    let number = port.observed.port;
    let is_picked = host.ephemeral_range.is_some_and(|(first, last)| (first..=last).contains(&number));
    let is_client = is_picked && port.observed.protocol == Protocol::Udp && !matches!(*row.owners, Owners::Kernel);
    (!is_client).then_some(number)
}

/// The unit and the container.
fn supervisor(leader: Option<&Process>, row: &Row<'_>) -> (Option<String>, Option<String>) {
    let first = row.sockets[0];
    if let Some(container) = first.forward.as_ref().and_then(|forward| forward.container.as_ref()) {
        return (leader.and_then(|process| lasting(process.unit.as_ref())), Some(container.title().to_owned()));
    }
    if let Some(process) = leader {
        let named = process.engine_container.as_ref().map(|container| container.title().to_owned());
        return (lasting(process.unit.as_ref()), named.or_else(|| short_id(process.container.as_ref())));
    }
    let Some(cgroup) = first.cgroup.as_deref() else { return (None, None) };
    let Supervisor { unit, container } = supervisor::of_cgroup(cgroup);
    (lasting(unit.as_ref()), short_id(container.as_ref()))
}

fn short_id(container: Option<&Container>) -> Option<String> {
    container.map(|container| container.short_id().to_owned())
}

/// The name of a unit that is the same after the next login. Scopes and what systemd-run starts
/// have a new one each time.
fn lasting(unit: Option<&Unit>) -> Option<String> {
    let name = &unit?.name;
    let is_passing = name.strip_suffix(".scope").is_some() || name.starts_with("run-");
    (!is_passing).then(|| name.clone())
}

/// A foreign text as the value of a label: harmless on a terminal, and not too long.
fn value(text: Option<&str>) -> String {
    let text = escape::terminal(text.unwrap_or_default());
    if text.len() <= LONGEST {
        return text.into_owned();
    }
    let most = LONGEST - "…".len();
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// A value within its quotes, as the format has it: no other character is escaped.
fn quoted(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Facts, Observed, diagnose};
    use crate::model::{Manager, Socket, State};
    use crate::testing::{host, listener, owned, process};

    fn text(sockets: Vec<(u16, Protocol, Socket)>, processes: Vec<Process>) -> String {
        let judge = |(port, protocol, socket): (u16, Protocol, Socket)| {
            let observed = Observed { sockets: vec![socket], ..Observed::of(port, protocol) };
            let findings = diagnose(&Facts { processes: &processes, ..Facts::of(&observed, &host()) });
            PortReport { observed, verdict: findings.into() }
        };
        let ports = sockets.into_iter().map(judge).collect();
        let diagnosis = Diagnosis { ports, processes, ..Diagnosis::of_no_ports(host()) };
        let mut out = Vec::new();
        write(&diagnosis, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn series_in(text: &str) -> Vec<&str> {
        text.lines().filter(|line| line.starts_with("portcheck_listening_sockets{")).collect()
    }

    #[test]
    fn a_series_for_each_port_and_holder() {
        let mut hostile = process(7, 1, "a\"b\\c\nd");
        hostile.unit = Some(Unit::new("web.service", Manager::System, None));
        let mut passing = process(8, 1, "node");
        passing.unit = Some(Unit::new("session-4.scope", Manager::System, None));
        let udp = |local: &str, pid: u32| Socket {
            protocol: Protocol::Udp,
            state: State::Unconnected,
            ..owned(local, &[pid])
        };
        let bound = Socket { state: State::Bound, ..owned("0.0.0.0:81", &[8]) };
        let text = text(
            vec![
                (80, Protocol::Tcp, owned("0.0.0.0:80", &[7])),
                (81, Protocol::Tcp, bound),
                (3000, Protocol::Tcp, owned("127.0.0.1:3000", &[8])),
                (40000, Protocol::Udp, udp("0.0.0.0:40000", 8)),
                (40001, Protocol::Udp, udp("0.0.0.0:40001", 8)),
            ],
            vec![hostile, passing],
        );
        assert_eq!(
            series_in(&text),
            [
                "portcheck_listening_sockets{port=\"80\",protocol=\"tcp\",exposure=\"all\",owners=\"known\",\
                 process=\"a\\\"b\\\\c\\\\nd\",user=\"ada\",unit=\"web.service\"} 1",
                "portcheck_listening_sockets{port=\"ephemeral\",protocol=\"udp\",exposure=\"all\",owners=\"known\",\
                 process=\"node\",user=\"ada\"} 2",
                "portcheck_listening_sockets{port=\"3000\",protocol=\"tcp\",exposure=\"loopback\",owners=\"known\",\
                 process=\"node\",user=\"ada\"} 1",
            ]
        );
        assert!(text.contains("\nportcheck_series_left_out 0\n"), "{text}");
        assert!(text.contains("\nportcheck_gaps{hides=\"sockets\"} 0\n"), "{text}");
    }

    /// The longest that a thousand ports can become, whatever their holders are called.
    #[test]
    fn what_is_too_much_is_counted_and_never_more_than_a_mebibyte() {
        let mut hostile = process(7, 1, &"\\".repeat(300));
        hostile.user = Some("\"".repeat(300));
        hostile.unit = Some(Unit::new("\\".repeat(300), Manager::System, None));
        let container = crate::testing::engine_container(&"\"".repeat(300));
        hostile.engine_container = Some(Box::new(container));
        let namespace = Some(Box::new(crate::testing::namespace(&"\\".repeat(300))));
        let socket = |port: u16| Socket {
            namespace: namespace.clone(),
            owners: Owners::Known(vec![7]),
            ..listener(&format!("127.0.0.1:{port}"))
        };
        let text = text((1..=1200).map(|port| (port, Protocol::Tcp, socket(port))).collect(), vec![hostile]);
        assert_eq!(series_in(&text).len(), 1000);
        assert!(text.contains("\nportcheck_series_left_out 200\n"));
        assert!(text.len() <= 1 << 20, "{}", text.len());
    }
}
