//! Writes an [`Answer`] in one of the output formats, a file each.

pub mod escape;

mod also;
mod ansible;
mod ci;
pub mod columns;
mod connections;
mod csv;
mod explain;
mod free;
mod hint;
mod home;
mod hosts;
mod identify;
mod json;
pub mod kill;
mod markdown;
mod paper;
mod plain;
mod preflight;
mod prometheus;
mod reach;
mod report;
pub mod rows;
mod summary;
mod table;
mod wait;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::answer::Answer;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::Exit;
use crate::diagnose::Rule;
use crate::request::{Column, ConnectionColumn, Order};
pub use ansible::{error as write_task_error, write as write_task};
pub use ci::fault as write_fault;
pub use connections::bytes;
pub use free::choice as write_choice;
pub use json::{ErrorKind, error as write_error, event as write_event_line};
pub use kill::plan as write_plan;
pub use plain::asides;
pub use rows::holder_in_brief;
pub use wait::now as write_waiting;
pub use watch::event as write_event;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    /// For people: a report in words, or a table where there are several lines to compare.
    #[default]
    Table,
    /// One JSON document, see docs/json.md.
    Json,
    /// One line of JSON for each port.
    Ndjson,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// A table in Markdown.
    Markdown,
    /// Annotations for a workflow of GitHub Actions.
    Github,
    /// Code quality of GitLab, in JSON.
    Gitlab,
    /// Tests in the XML of JUnit.
    Junit,
    /// Metrics for the textfile collector of Prometheus' node_exporter.
    Prometheus,
    /// The ids of processes alone, one a line.
    Pids,
    /// How many there are.
    Count,
}

/// How to write.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// The format.
    pub format: Format,
    /// The width of the terminal in columns; unlimited if `None`.
    pub width: Option<u16>,
    /// Show the raw facts behind each verdict.
    pub verbose: bool,
    /// Exit with 0 whatever the answer is.
    pub exit_zero: bool,
    /// Show connections as well.
    pub connections: bool,
    /// The order of a list of ports.
    pub order: Order<Column>,
    /// The columns of a table of ports; the usual ones if empty.
    pub columns: Vec<Column>,
    /// The columns of a table of connections; the usual ones if empty.
    pub connection_columns: Vec<ConnectionColumn>,
    /// The command that asks the same as root.
    pub as_root: String,
    /// Seconds since 1970-01-01 UTC, from which ages are counted.
    pub now: u64,
    /// The home directory of the reader.
    pub home: Option<PathBuf>,
}

impl Style {
    /// The exit code for an answer.
    pub fn exit(&self, answer: &Answer) -> Exit {
        match answer.exit() {
            Exit::No | Exit::Unknown | Exit::Timeout if self.exit_zero && !answer.is_incomplete() => Exit::Yes,
            exit => exit,
        }
    }
}

impl Style {
    /// The present, as [`now`](Self::now) counts it.
    pub fn present() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
    }
}

/// Writes `answer`. Of the formats only [`Format::Table`] has colours. They are always written: the
/// writer strips them where they are not wanted.
pub fn write(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let diagnosis = answer.diagnosis();
    match (style.format, answer) {
        (Format::Json, _) => json::document(answer, style, out),
        (Format::Github | Format::Gitlab | Format::Junit, _) => ci::write(answer, style, out),
        (Format::Ndjson, Answer::Hosts(report)) => json::host_lines(report, out),
        (_, Answer::Hosts(report)) => hosts::write(report, style, out),
        (_, Answer::Kill(report)) => kill::report(report, style, out),
        (_, Answer::Wait(report)) => wait::report(report, style, out),
        (Format::Ndjson, Answer::Preflight(report)) => json::preflight_lines(report, out),
        (Format::Csv, Answer::Preflight(report)) => csv::preflight(report, out),
        (Format::Markdown, Answer::Preflight(report)) => markdown::preflight(report, out),
        (_, Answer::Preflight(report)) => preflight::write(report, style, out),
        (Format::Pids, _) => plain::pids(answer, out),
        (Format::Count, _) => plain::count(answer, out),
        (Format::Ndjson, Answer::Connections(report)) => json::connection_lines(report, out),
        (Format::Csv, Answer::Connections(report)) => csv::connections(report, out),
        (_, Answer::Connections(report)) => connections::write(report, style, out),
        (_, Answer::Summary(counted)) => summary::write(counted, style, out),
        (Format::Table, Answer::Reach(report)) => reach::write(report, style, out),
        (Format::Table, Answer::Identify(report)) => identify::write(report, style, out),
        (Format::Ndjson, _) => json::lines(diagnosis, out),
        (Format::Csv, Answer::Free(report)) => csv::leases(report, out),
        (Format::Csv, _) => csv::write(diagnosis, style, out),
        (Format::Prometheus, _) => prometheus::write(diagnosis, out),
        (Format::Markdown, _) => markdown::write(diagnosis, style, out),
        (Format::Table, Answer::Free(report)) => free::write(report, out),
        (Format::Table, Answer::List(listing)) => table::list(listing, style, out),
        (Format::Table, Answer::Check(_)) => ports(diagnosis, style, out),
    }
}

/// The ports of a diagnosis, for people: one in words, several in a table.
fn ports(diagnosis: &Diagnosis, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    if is_one_port(diagnosis) { report::write(diagnosis, style, out) } else { table::verdicts(diagnosis, style, out) }
}

/// Writes what the rules are about: one in full, several a line each.
pub fn write_explanation(rules: &[&Rule], out: &mut dyn Write) -> io::Result<()> {
    match rules {
        [rule] => explain::one(rule, out),
        rules => explain::list(rules, out),
    }
}

fn is_one_port(diagnosis: &Diagnosis) -> bool {
    diagnosis
        .ports
        .first()
        .is_some_and(|first| diagnosis.ports.iter().all(|port| port.observed.port == first.observed.port))
}

/// The colours of the program. Meaning never rests on them alone.
mod colour {
    use anstyle::{AnsiColor, Style};

    use crate::diagnose::Status;

    pub const STRONG: Style = Style::new().bold();
    pub const FAINT: Style = Style::new().dimmed();

    pub const fn of(status: Status) -> Style {
        let style = Style::new().bold();
        match status {
            Status::Held | Status::Blocked => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red))),
            Status::Unknown => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow))),
            Status::Free => style.fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green))),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
pub mod pictures;
#[cfg(test)]
mod tests;
