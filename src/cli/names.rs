//! The words that options take, and what they stand for.

use std::error::Error;
use std::fmt::Debug;
use std::str::FromStr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::model::Pid;

/// Reads one of the `names` of a type.
pub fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: Error + Send + Sync> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

/// The formats that a command has.
pub trait Formats: Debug {
    const NAMES: &'static [&'static str];
}

/// All formats.
#[derive(Debug)]
pub struct AllFormats;

impl Formats for AllFormats {
    const NAMES: &'static [&'static str] = &["table", "json", "ndjson", "csv", "markdown", "github", "gitlab", "junit"];
}

/// The formats of the list of ports: all, and metrics.
#[derive(Debug)]
pub struct PortListFormats;

impl Formats for PortListFormats {
    const NAMES: &'static [&'static str] =
        &["table", "json", "ndjson", "csv", "markdown", "github", "gitlab", "junit", "prometheus"];
}

/// The formats of lists of something else than ports.
#[derive(Debug)]
pub struct ListFormats;

impl Formats for ListFormats {
    const NAMES: &'static [&'static str] = &["table", "json", "ndjson", "csv", "github", "gitlab", "junit"];
}

/// The formats of commands that do something: no table of ports has room for what they did.
#[derive(Debug)]
pub struct ActionFormats;

impl Formats for ActionFormats {
    const NAMES: &'static [&'static str] = &["table", "json", "github", "gitlab", "junit"];
}

/// The formats of commands that print ports and who has them.
#[derive(Debug)]
pub struct PickingFormats;

impl Formats for PickingFormats {
    const NAMES: &'static [&'static str] = &["table", "json", "csv", "github", "gitlab", "junit"];
}

/// The formats of events, which have no end.
#[derive(Debug)]
pub struct EventFormats;

impl Formats for EventFormats {
    const NAMES: &'static [&'static str] = &["table", "ndjson"];
}

/// Accepts `--backend native` in commands that need what only the native backend tells.
#[derive(Debug, Args)]
pub struct NativeOnly {
    #[arg(long, hide = true, value_parser = ["native"])]
    backend: Option<String>,
}

/// Reads a name, or a part of one. An empty one is a part of every name.
pub fn parse_name(typed: &str) -> Result<String, &'static str> {
    if typed.trim().is_empty() { Err("is no name: write one, or a part of one") } else { Ok(typed.to_owned()) }
}

/// Reads the id of a process.
pub fn parse_pid(typed: &str) -> Result<Pid, &'static str> {
    typed.parse().map_err(|_| "is not a process id: write a number, such as 4242")
}
