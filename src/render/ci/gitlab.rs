//! The report on code quality that GitLab shows in a merge request: a JSON list of issues.

use std::io::{self, Write};

use serde::Serialize;

use super::{Case, Outcome, harmless};

#[derive(Serialize)]
struct Issue {
    description: String,
    check_name: String,
    /// Tells issues apart, and knows one again in the next run.
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: usize,
}

/// Writes an issue for each case that is not as it should be, and for each warning.
pub fn write(cases: &[Case], out: &mut dyn Write) -> io::Result<()> {
    let mut issues = Vec::new();
    for case in cases {
        match case.result {
            Outcome::Bad => issues.push(issue(case, case.kind, "major", &case.message)),
            Outcome::Unknown => issues.push(issue(case, case.kind, "minor", &case.message)),
            Outcome::Good => {}
        }
        issues.extend(case.warnings.iter().map(|warning| issue(case, "warning", "info", warning)));
    }
    serde_json::to_writer_pretty(&mut *out, &issues)?;
    writeln!(out)
}

fn issue(case: &Case, kind: &str, severity: &'static str, message: &str) -> Issue {
    // An issue needs a file. A command without one is about the machine.
    let (path, line) = case.place.as_ref().map_or(("portcheck", 1), |(file, line, _)| (&**file, *line));
    let path = path.strip_prefix("./").unwrap_or(path);
    let warned = if kind == "warning" { message } else { "" };
    Issue {
        description: harmless(&format!("{}: {message}", case.title)).replace('\n', "; "),
        check_name: format!("portcheck-{kind}"),
        fingerprint: fingerprint(&[path, &line.to_string(), &case.name, kind, warned]),
        severity,
        location: Location { path: harmless(path), lines: Lines { begin: line.max(1) } },
    }
}

/// FNV-1a, twice with different starts. It has to be the same in each version.
fn fingerprint(parts: &[&str]) -> String {
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = || parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = |start: u64| bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{:016x}{:016x}", hash(0xcbf2_9ce4_8422_2325), hash(0x6c62_272e_07bb_0142))
}
