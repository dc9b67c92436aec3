//! Formats that CI systems read: annotations of GitHub, code quality of GitLab, JUnit.
//!
//! They all show the same [`Case`]s: a port that was asked about, or a whole command.

mod github;
mod gitlab;
mod junit;

use std::io::{self, Write};

use super::{Format, Style, escape, preflight};
use crate::answer::Answer;
use crate::commands::exit::Exit;
use crate::commands::preflight::{Fault, Report, Row, Standing};
use crate::diagnose::{PortReport, Status};
use crate::prose;

/// What a command has to say of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// How it went.
    pub result: Outcome,
    /// What kind of answer it is: `held`, `free`, `kill`.
    pub kind: &'static str,
    /// What it comes to: `web 8080/tcp is held`, `portcheck kill`.
    pub title: String,
    /// What it is about: `web 8080/tcp`.
    pub name: String,
    /// What there is to say; may have several lines.
    pub message: String,
    /// The file that it is about, with a line and a column if they are known.
    pub place: Option<(String, usize, usize)>,
    /// What may surprise.
    pub warnings: Vec<String>,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it was asked for.
    Good,
    /// Not so.
    Bad,
    /// It cannot be told.
    Unknown,
}

impl From<Exit> for Outcome {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Yes => Self::Good,
            Exit::Unknown => Self::Unknown,
            _ => Self::Bad,
        }
    }
}

/// What it comes to for a port or a file.
fn title(kind: &str, name: &str) -> String {
    match kind {
        "collision" => format!("{name} is asked for twice"),
        "ours" => format!("{name} is held by this project"),
        kind => format!("{name} is {kind}"),
    }
}

/// Writes an answer in one of these formats.
pub fn write(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let suite = format!("portcheck {}", answer.command().into_str());
    write_cases(&suite, &cases(answer, style)?, style.format, out)
}

/// Writes that a manifest cannot be understood.
pub fn fault(fault: &Fault, format: Format, out: &mut dyn Write) -> io::Result<()> {
    let place = Some((fault.file.to_string_lossy().into_owned(), fault.spot.line, fault.spot.column));
    let case = Case {
        result: Outcome::Bad,
        kind: "malformed",
        title: title("malformed", "manifest"),
        name: "manifest".to_owned(),
        message: fault.message.clone(),
        place,
        warnings: Vec::new(),
    };
    write_cases("portcheck preflight", &[case], format, out)
}

fn write_cases(suite: &str, cases: &[Case], format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Gitlab => gitlab::write(cases, out),
        Format::Junit => junit::write(suite, cases, out),
        _ => github::write(cases, out),
    }
}

fn cases(answer: &Answer, style: &Style) -> io::Result<Vec<Case>> {
    match answer {
        Answer::Preflight(report) => Ok(report.rows.iter().map(|row| row_case(report, row)).collect()),
        Answer::Check(diagnosis) => {
            Ok(diagnosis.ports.iter().map(|port| port_case(port, &diagnosis.processes, true)).collect())
        }
        Answer::List(listing) => Ok(listing
            .diagnosis
            .ports
            .iter()
            .map(|port| port_case(port, &listing.diagnosis.processes, false))
            .collect()),
        other => Ok(vec![whole(other, style)?]),
    }
}

/// A port that a file asks for.
fn row_case(report: &Report, row: &Row) -> Case {
    let result = match row.standing {
        _ if row.is_fine() || row.wanted.is_default => Outcome::Good,
        Standing::Unknown | Standing::Unresolved => Outcome::Unknown,
        _ => Outcome::Bad,
    };
    let todo = if result == Outcome::Good { Vec::new() } else { preflight::what_to_do(report, row) };
    let lines: Vec<String> = preflight::why(report, row).into_iter().chain(todo).collect();
    let spot = row.wanted.spot;
    let (kind, name) = (preflight::status(row), format!("{} {}", row.wanted.service, preflight::port(row)));
    Case {
        result,
        kind,
        title: title(kind, &name),
        name,
        message: lines.join("\n"),
        place: Some((row.wanted.file.to_string_lossy().into_owned(), spot.line, spot.column)),
        warnings: preflight::warnings(report, row),
    }
}

/// A port that was asked about, or is listed. Nothing is wrong with one that is listed.
fn port_case(port: &PortReport, processes: &[crate::model::Process], is_asked: bool) -> Case {
    let result = match port.verdict.status {
        _ if !is_asked => Outcome::Good,
        Status::Held | Status::Blocked => Outcome::Bad,
        Status::Unknown => Outcome::Unknown,
        Status::Free => Outcome::Good,
    };
    let first = port.verdict.findings.first();
    let reason = first.map(|finding| prose::sentence(finding, processes)).unwrap_or_default();
    let remedy = first.and_then(|finding| finding.remedies.iter().find_map(|remedy| remedy.command.as_deref()));
    let is_free = port.verdict.status == Status::Free;
    let lines = [Some(reason).filter(|_| !is_free), remedy.filter(|_| is_asked && !is_free).map(escape::typed)];
    let (kind, name) = (port.verdict.status.into_str(), super::rows::name(port));
    Case {
        result,
        kind,
        title: title(kind, &name),
        name,
        message: lines.into_iter().flatten().collect::<Vec<_>>().join("\n"),
        place: None,
        warnings: Vec::new(),
    }
}

/// A whole command, with its report as text.
fn whole(answer: &Answer, style: &Style) -> io::Result<Case> {
    let mut text = Vec::new();
    super::write(answer, &Style { format: Format::Table, width: None, ..style.clone() }, &mut text)?;
    let text = anstream::adapter::strip_bytes(&text).into_vec();
    let command = answer.command().into_str();
    let name = format!("portcheck {command}");
    Ok(Case {
        result: answer.exit().into(),
        kind: command,
        title: name.clone(),
        name,
        message: String::from_utf8_lossy(&text).trim_end().to_owned(),
        place: None,
        warnings: Vec::new(),
    })
}

/// Text without anything that a terminal or a log would act upon.
fn harmless(text: &str) -> String {
    text.split('\n').map(escape::terminal).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Vec<Case> {
        let bad = Case {
            result: Outcome::Bad,
            kind: "held",
            title: title("held", "web 8080/tcp"),
            name: "web 8080/tcp".to_owned(),
            message: "a,b: 100 %\r\n::error::<x> & \"y\"".to_owned(),
            place: Some(("a,b:c.yaml".to_owned(), 12, 9)),
            warnings: vec!["mind this".to_owned()],
        };
        let good = Case {
            result: Outcome::Good,
            kind: "free",
            title: title("free", "web 8080/tcp"),
            message: String::new(),
            place: None,
            warnings: Vec::new(),
            ..bad.clone()
        };
        let title = title("unresolved", "web 8080/tcp");
        let unknown = Case { result: Outcome::Unknown, kind: "unresolved", title, warnings: Vec::new(), ..bad.clone() };
        vec![bad, good, unknown]
    }

    fn text(format: Format) -> String {
        let mut out = Vec::new();
        write_cases("portcheck preflight", &cases(), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What GitHub takes apart (`toolkit`, packages/core/src/command.ts).
    #[test]
    fn annotations_of_github() {
        let text = text(Format::Github);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "::error file=a%2Cb%3Ac.yaml,line=12,col=9,title=web 8080/tcp is held::a,b: 100 %25\\r%0A::error::<x> & \"y\""
        );
        assert_eq!(lines[1], "::warning file=a%2Cb%3Ac.yaml,line=12,col=9,title=web 8080/tcp::mind this");
        assert_eq!((lines[2], lines.len()), ("::notice title=web 8080/tcp is free::web 8080/tcp is free", 4));
        assert!(lines[3].starts_with("::error file=a%2Cb%3Ac.yaml,line=12,col=9,title=web 8080/tcp is unresolved::"));
    }

    #[test]
    fn code_quality_of_gitlab() {
        let found: Vec<serde_json::Value> = serde_json::from_str(&text(Format::Gitlab)).unwrap();
        assert_eq!(found.len(), 3, "what is as it should be is no issue");
        assert_eq!(found[0]["location"], serde_json::json!({"path": "a,b:c.yaml", "lines": {"begin": 12}}));
        assert_eq!((&found[0]["severity"], &found[0]["check_name"]), (&"major".into(), &"portcheck-held".into()));
        assert_eq!((&found[1]["severity"], &found[2]["severity"]), (&"info".into(), &"minor".into()));
        let prints: std::collections::BTreeSet<String> =
            found.iter().map(|one| one["fingerprint"].to_string()).collect();
        assert_eq!(prints.len(), 3);
    }

    #[test]
    fn tests_of_junit() {
        let text = text(Format::Junit);
        assert!(
            text.contains("<testsuite name=\"portcheck preflight\" tests=\"3\" failures=\"1\" errors=\"1\">"),
            "{text}"
        );
        assert!(
            text.contains("classname=\"a,b:c.yaml\" name=\"web 8080/tcp\" file=\"a,b:c.yaml\" line=\"12\""),
            "{text}"
        );
        assert!(text.contains("::error::&lt;x&gt; &amp; &quot;y&quot;"), "{text}");
    }
}
