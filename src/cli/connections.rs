//! `portcheck connections`: who is connected to whom?

use std::ffi::OsString;

use clap::Args;
use strum::VariantNames;

use super::columns::Columns;
use super::common::{self, Narrow, Output, Plain, Where};
use super::filters::Filters;
use super::names::{ListFormats, NativeOnly, named};
use super::rules::Rule;
use super::{Stop, Wish, help, targets};
use crate::collect::Detail;
use crate::render::{Format, Style};
use crate::request::{Arrangement, By, ConnectionColumn, Request};
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(next_help_heading = "Selecting", after_help = help::styled(help::CONNECTIONS))]
pub struct ConnectionsArgs {
    #[arg(value_name = "TARGET", help = common::TARGET, help_heading = None)]
    targets: Vec<String>,
    #[command(flatten)]
    narrow: Narrow,
    /// Show remnants in TIME_WAIT, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
    /// Count them by this
    #[arg(long, value_name = "WHAT", value_parser = named::<By>(By::VARIANTS), conflicts_with_all = ["pids", "count", "sort", "columns"], help_heading = "Output")]
    by: Option<By>,
    #[command(flatten)]
    columns: Columns<ConnectionColumn>,
    /// Show other machines by name, as far as the name service answers within 2 s
    #[arg(long, help_heading = "Output")]
    resolve: bool,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    native: NativeOnly,
    /// Count the sockets by state and by process, and the ports left for outgoing connections
    #[arg(long, conflicts_with_all = ["by", "pids", "count", "sort", "columns", "resolve", "quiet"], help_heading = "Output")]
    summary: bool,
    #[command(flatten)]
    plain: Plain,
    #[command(flatten)]
    output: Output<ListFormats>,
}

/// What does not go together.
pub const RULES: &[Rule<ConnectionsArgs>] = &[
    Rule {
        example: "connections --columns peer --format csv",
        is_broken: |connections| {
            !connections.columns.columns.is_empty() && connections.output.format() != Format::Table
        },
        message: common::COLUMNS_ARE_OF_TABLES,
    },
    Rule {
        example: "connections --by peer --format csv",
        is_broken: |connections| {
            connections.by.is_some() && !matches!(connections.output.format(), Format::Table | Format::Json)
        },
        message: "--by counts in a table or JSON: leave --format out, or write --format json",
    },
    Rule {
        example: "connections --summary --format csv",
        is_broken: |connections| {
            connections.summary && !matches!(connections.output.format(), Format::Table | Format::Json)
        },
        message: common::SUMMARY_FORMATS,
    },
];

impl ConnectionsArgs {
    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let namespaces = self.place.namespaces()?;
        let filter = self.filters.resolve()?;
        let arrangement = Arrangement { by: self.by, order: self.columns.sort, with_names: self.resolve };
        let targets = targets::resolve(&self.targets, &self.narrow)?;
        let request = Request {
            connections: self.all,
            detail: filter.detail(Detail::Brief),
            namespaces,
            ..common::request(targets, &self.narrow)
        };
        let style = self.output.style(typed).map(|style| Style {
            connections: true,
            connection_columns: self.columns.chosen(),
            ..self.plain.style(style)
        });
        let printing = Printing { style, color: self.output.color() };
        if self.summary {
            return Ok(Wish::Summary(request, Box::new(filter), printing));
        }
        Ok(Wish::Connections(request, Box::new(filter), arrangement, printing))
    }
}
