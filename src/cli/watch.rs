//! `portcheck watch`: what opens, closes and changes hands?

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use strum::VariantNames;

use super::columns::Columns;
use super::common::{self, Narrow, Output, Where};
use super::filters::Filters;
use super::names::{EventFormats, NativeOnly, named};
use super::rules::Rule;
use super::{Stop, Wish, help, targets};
use crate::collect::Detail;
use crate::commands::watch::Kind;
use crate::duration::parse_duration;
use crate::render::{Format, Style};
use crate::request::{Column, Order, Request};
use crate::terminal::Printing;
use crate::terminal::watch::Watching;

#[derive(Debug, Args)]
// A stream of events is no JSON document, and no answer that has an exit code.
#[command(mut_arg("json", |json| json.hide(true)))]
#[command(mut_arg("exit_zero", |exit| exit.hide(true)))]
#[command(mut_arg("quiet", |quiet| quiet.help("Print no events: for --exec")))]
#[command(mut_arg("sort", |sort| sort.help("In the live view: sort by one of the columns below; -COLUMN for the reverse")))]
#[command(mut_arg("columns", |columns| columns.help("In the live view: show these columns, joined by commas")))]
#[command(next_help_heading = "Selecting", after_help = help::styled(help::WATCH))]
pub struct WatchArgs {
    #[arg(value_name = "TARGET", help = common::TARGET, help_heading = None)]
    targets: Vec<String>,
    #[command(flatten)]
    narrow: Narrow,
    /// Watch connections, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
    /// Tell only these events, joined by commas
    #[arg(long, value_name = "EVENT", value_delimiter = ',', value_parser = named::<Kind>(Kind::VARIANTS), help_heading = "Events")]
    event: Vec<Kind>,
    /// Run CMD for each event, with the event as JSON on its standard input
    #[arg(long, value_name = "CMD", value_parser = words, help_heading = "Events")]
    exec: Option<Words>,
    /// Look at least this often: 100ms by default, and 1s in the live view
    #[arg(long, value_name = "DURATION", value_parser = interval, allow_hyphen_values = true, help_heading = "Events")]
    interval: Option<Duration>,
    /// End after this time, such as 30s, 2m, 1h30m; 0 for no limit
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0",
        value_parser = parse_duration,
        allow_hyphen_values = true,
        help_heading = "Events"
    )]
    timeout: Duration,
    #[command(flatten)]
    columns: Columns<Column>,
    /// Panic in the live view, so that a test sees what becomes of the terminal
    #[arg(long, hide = true)]
    panic_for_test: bool,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    native: NativeOnly,
    #[command(flatten)]
    output: Output<EventFormats>,
}

/// What does not go together.
pub const RULES: &[Rule<WatchArgs>] = &[
    Rule {
        example: "watch --json",
        is_broken: |watch| watch.output.format() == Format::Json,
        message: "watch has no --json: use --format ndjson, which prints a line of JSON for each event",
    },
    Rule {
        example: "watch --columns port --timeout 1s",
        is_broken: |watch| !watch.columns.columns.is_empty() && watch.prints_events(),
        message: "--columns is for the live view: with --format ndjson, --event, --exec or --timeout there is none",
    },
    Rule {
        example: "watch --sort pid --event opened",
        is_broken: |watch| watch.columns.sort != Order::default() && watch.prints_events(),
        message: "--sort is for the live view: with --format ndjson, --event, --exec or --timeout there is none",
    },
];

impl WatchArgs {
    /// Whether there is no live view, not even on a terminal.
    fn prints_events(&self) -> bool {
        let is_asked = !self.event.is_empty() || self.exec.is_some() || !self.timeout.is_zero();
        is_asked || self.output.format() != Format::Table
    }

    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let namespaces = self.place.namespaces()?;
        let filter = self.filters.resolve()?;
        let targets = targets::resolve(&self.targets, &self.narrow)?;
        let request = Request {
            connections: self.all || filter.wants_connections(),
            detail: Detail::Full,
            probe: false,
            namespaces,
            ..common::request(targets, &self.narrow)
        };
        let watching = Watching {
            filter,
            interval: self.interval,
            order: self.columns.sort,
            has_to_panic: self.panic_for_test,
            timeout: (!self.timeout.is_zero()).then_some(self.timeout),
            kinds: self.event,
            command: self.exec.unwrap_or_default().0,
        };
        let connections = request.connections;
        let style = self.output.style(typed);
        let style = style.map(|style| Style { connections, columns: self.columns.chosen(), ..style });
        let printing = Printing { style, color: self.output.color() };
        Ok(Wish::Watch(request, Box::new(watching), printing))
    }
}

/// A command and its arguments.
#[derive(Debug, Clone, Default)]
struct Words(Vec<OsString>);

/// Splits a command as a shell does. Nothing in it is expanded.
fn words(typed: &str) -> Result<Words, String> {
    match shlex::split(typed) {
        Some(words) if !words.is_empty() => Ok(Words(words.into_iter().map(OsString::from).collect())),
        Some(_) => Err("is empty: write a command".to_owned()),
        None => Err("has a quote that is not closed".to_owned()),
    }
}

/// Reads the time between two looks.
fn interval(typed: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_millis(10);
    let interval = parse_duration(typed)?;
    if interval < SHORTEST { Err("is too short: write 10ms or more".to_owned()) } else { Ok(interval) }
}
