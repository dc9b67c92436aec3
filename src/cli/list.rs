//! `portcheck`, or `portcheck list`: what is in use on this machine?

use std::ffi::OsString;

use clap::Args;
use strum::VariantNames;

use super::columns::Columns;
use super::common::{self, Narrow, Output, Plain, Where};
use super::filters::Filters;
use super::hosts::{self, Elsewhere, Hosts};
use super::names::{PortListFormats, named};
use super::rules::Rule;
use super::{Stop, Wish, help};
use crate::commands::exit::Command;
use crate::model::Backend;
use crate::render::{Format, Style};
use crate::request::{Column, Request};
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(next_help_heading = "Selecting", after_help = help::styled(help::LIST))]
pub struct ListArgs {
    #[command(flatten)]
    narrow: Narrow,
    /// Show connections, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    columns: Columns<Column>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    hosts: Hosts,
    /// Where to read the sockets from: the kernel, or netstat2 and sysinfo
    #[arg(long, value_name = "BACKEND", default_value = "native", value_parser = named::<Backend>(Backend::VARIANTS), help_heading = "How to look")]
    backend: Backend,
    /// A list binds nothing anyway
    #[arg(long, hide = true)]
    no_probe: bool,
    /// Count the sockets by state and by process, and the ports left for outgoing connections
    #[arg(long, conflicts_with_all = ["pids", "count", "sort", "columns", "quiet"], help_heading = "Output")]
    summary: bool,
    #[command(flatten)]
    plain: Plain,
    #[command(flatten)]
    output: Output<PortListFormats>,
}

/// What does not go together.
pub const RULES: &[Rule<ListArgs>] = &[
    Rule {
        example: "list --all-namespaces --backend portable",
        is_broken: |list| list.place.needs_native() && matches!(list.backend, Backend::Portable),
        message: common::NEEDS_NATIVE,
    },
    Rule {
        example: "list --columns port --json",
        is_broken: |list| !list.columns.columns.is_empty() && list.output.format() != Format::Table,
        message: common::COLUMNS_ARE_OF_TABLES,
    },
    Rule {
        example: "list --summary --format csv",
        is_broken: |list| list.summary && !matches!(list.output.format(), Format::Table | Format::Json),
        message: common::SUMMARY_FORMATS,
    },
    Rule {
        example: "list --host web1 --count",
        is_broken: |list| list.hosts.has_no_room_in(list.plain.format().unwrap_or(list.output.format())),
        message: hosts::FORMATS,
    },
    Rule {
        example: "list --host web1 --summary",
        is_broken: |list| list.hosts.are_asked() && (list.summary || !list.columns.columns.is_empty()),
        message: "--host has one table for all hosts: leave --summary and --columns out",
    },
];

impl ListArgs {
    /// The same as a question to other machines.
    pub fn elsewhere(&self) -> Option<Elsewhere<'_>> {
        self.hosts.are_asked().then(|| Elsewhere {
            command: Command::List,
            hosts: &self.hosts,
            targets: &[],
            usual: hosts::USUAL_LIMIT,
            printing: self.output.printing(),
        })
    }

    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let namespaces = self.place.namespaces()?;
        let filter = self.filters.resolve()?;
        let connections = self.all || filter.wants_connections();
        let request = Request {
            connections,
            detail: filter.detail(self.plain.detail().unwrap_or_else(|| self.output.detail(&[]))),
            backend: self.backend,
            probe: !self.no_probe,
            namespaces,
            ..common::request(Vec::new(), &self.narrow)
        };
        let style = self.output.style(typed).map(|style| Style {
            connections,
            columns: self.columns.chosen(),
            order: self.columns.sort,
            ..self.plain.style(style)
        });
        let printing = Printing { style, color: self.output.color() };
        if self.summary {
            return Ok(Wish::Summary(request, Box::new(filter), printing));
        }
        Ok(Wish::List(request, Box::new(filter), self.columns.sort, printing))
    }
}
