//! The words that options take, and what they stand for.

use clap::{Args, ValueEnum};

use crate::classify::Class;
use crate::model::{Backend, Pid};
use crate::render::Format;
use crate::request::Sort;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ClassName {
    WellKnown,
    Registered,
    Dynamic,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SortName {
    Port,
    Protocol,
    Service,
    Address,
    Exposure,
    Process,
    Pid,
    User,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormatName {
    Table,
    Json,
    Ndjson,
    Csv,
    Markdown,
}

/// The formats of commands that do something: no table of ports has room for what they did.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ActionFormat {
    Table,
    Json,
}

/// The formats of commands that print ports and who has them.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PickingFormat {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum BackendName {
    Native,
    Portable,
}

/// Accepts `--backend native` in commands that need what only the native backend tells.
#[derive(Debug, Args)]
pub struct NativeOnly {
    #[arg(long, hide = true, value_parser = ["native"])]
    backend: Option<String>,
}

/// Reads the id of a process.
pub fn parse_pid(typed: &str) -> Result<Pid, &'static str> {
    typed.parse().map_err(|_| "is not a process id: write a number, such as 4242")
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::WellKnown => Self::WellKnown,
            ClassName::Registered => Self::Registered,
            ClassName::Dynamic => Self::Dynamic,
        }
    }
}

impl From<SortName> for Sort {
    fn from(name: SortName) -> Self {
        match name {
            SortName::Port => Self::Port,
            SortName::Protocol => Self::Protocol,
            SortName::Service => Self::Service,
            SortName::Address => Self::Address,
            SortName::Exposure => Self::Exposure,
            SortName::Process => Self::Process,
            SortName::Pid => Self::Pid,
            SortName::User => Self::User,
        }
    }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Table => Self::Table,
            FormatName::Json => Self::Json,
            FormatName::Ndjson => Self::Ndjson,
            FormatName::Csv => Self::Csv,
            FormatName::Markdown => Self::Markdown,
        }
    }
}

impl From<ActionFormat> for Format {
    fn from(name: ActionFormat) -> Self {
        match name {
            ActionFormat::Table => Self::Table,
            ActionFormat::Json => Self::Json,
        }
    }
}

impl From<PickingFormat> for Format {
    fn from(name: PickingFormat) -> Self {
        match name {
            PickingFormat::Table => Self::Table,
            PickingFormat::Json => Self::Json,
            PickingFormat::Csv => Self::Csv,
        }
    }
}

impl From<BackendName> for Backend {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Native => Self::Native,
            BackendName::Portable => Self::Portable,
        }
    }
}
