//! The words that options take, and what they stand for.

use clap::ValueEnum;
use portcheck::classify::Class;
use portcheck::model::Backend;
use portcheck::render::Format;
use portcheck::request::Sort;

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

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum BackendName {
    /// The kernel's own interfaces
    Native,
    /// netstat2 and sysinfo, as on other platforms
    Portable,
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

impl From<BackendName> for Backend {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Native => Self::Native,
            BackendName::Portable => Self::Portable,
        }
    }
}
