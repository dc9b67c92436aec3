//! What manifests ask for, as JSON: the types, and how they are made.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use crate::commands::preflight::{Asked, Report, Row};
#[cfg(test)]
use crate::commands::preflight::{Kind, Standing};
#[cfg(test)]
use crate::model::Protocol;
use crate::render::preflight::{holder, warnings, why};

/// A port that a line of a file asks for.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Preflight"))]
pub struct WirePreflight<'a> {
    pub file: String,
    /// Counted from one; null if it is not known.
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// What kind of file it is.
    #[cfg_attr(test, schemars(extend("enum" = Kind::VARIANTS)))]
    pub kind: &'static str,
    /// The service, unit, process or script that asks.
    pub service: &'a str,
    /// The address that it is to be bound on; null for every one.
    pub address: Option<String>,
    /// Null if it cannot be told. Of a range of which any will do, the one to be taken.
    pub port: Option<u16>,
    /// First and last port, if any of them will do.
    pub range: Option<(u16, u16)>,
    #[cfg_attr(test, schemars(extend("enum" = Protocol::VARIANTS)))]
    pub protocol: &'static str,
    /// As in `ports`; `collision` if the files ask for it twice, `unresolved` if a variable has no
    /// value.
    #[cfg_attr(test, schemars(extend("enum" = Standing::VARIANTS)))]
    pub status: &'static str,
    /// Whether it is held, by a container or unit of this project.
    pub held_by_this_project: bool,
    /// Whether no file names it: the program takes it by itself. It does not count for the exit
    /// code.
    pub default: bool,
    /// The variable that stands for the port in the file.
    pub variable: Option<&'a str>,
    /// Who holds it, in words.
    pub holder: Option<String>,
    /// Why it is not available, in words.
    pub reason: Option<String>,
    /// What may surprise, a sentence each.
    pub warnings: Vec<String>,
    /// The nearest free port.
    pub suggestion: Option<u16>,
    /// The variable under which --env-file has that port.
    pub substitute: Option<&'a str>,
}

pub fn rows(report: &Report) -> Vec<WirePreflight<'_>> {
    report.rows.iter().map(|one| row(report, one)).collect()
}

pub fn row<'a>(report: &'a Report, row: &'a Row) -> WirePreflight<'a> {
    let wanted = &row.wanted;
    WirePreflight {
        file: wanted.file.to_string_lossy().into_owned(),
        line: Some(wanted.spot.line).filter(|&line| line > 0),
        column: Some(wanted.spot.column).filter(|&column| column > 0),
        kind: wanted.kind.into_str(),
        service: &wanted.service,
        address: wanted.address.map(|address| address.to_string()),
        port: row.port,
        range: if let Asked::AnyOf(first, last) = wanted.port { Some((first, last)) } else { None },
        protocol: wanted.protocol.into_str(),
        status: row.standing.into_str(),
        held_by_this_project: row.is_own,
        default: wanted.is_default,
        variable: wanted.variable.as_deref(),
        holder: holder(report, row),
        reason: why(report, row),
        warnings: warnings(report, row),
        suggestion: row.suggestion,
        substitute: row.substitute.as_deref(),
    }
}
