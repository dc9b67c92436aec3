//! `portcheck 8080`, or `portcheck check 8080`: who holds it, and can it be bound?

use std::ffi::OsString;

use clap::Args;

use super::common::{self, Look, Narrow, Output, Plain, Where};
use super::hosts::{self, Elsewhere, Hosts};
use super::names::AllFormats;
use super::rules::Rule;
use super::{Stop, Wish, help, targets};
use crate::commands::exit::Command;
use crate::model::Backend;
use crate::render::Style;
use crate::request::Request;
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(after_help = help::styled(help::CHECK))]
pub struct CheckArgs {
    #[arg(value_name = "TARGET", required = true, help = common::TARGET)]
    targets: Vec<String>,
    #[command(flatten)]
    narrow: Narrow,
    /// Show connections, too
    #[arg(long, help_heading = "Selecting")]
    all: bool,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    plain: Plain,
    #[command(flatten)]
    output: Output<AllFormats>,
}

/// What does not go together.
pub const RULES: &[Rule<CheckArgs>] = &[
    Rule {
        example: "8080 --in blue --backend portable",
        is_broken: |check| check.place.needs_native() && matches!(check.look.backend, Backend::Portable),
        message: common::NEEDS_NATIVE,
    },
    Rule {
        example: "8080 --host web1 --format csv",
        is_broken: |check| check.hosts.has_no_room_in(check.plain.format().unwrap_or(check.output.format())),
        message: hosts::FORMATS,
    },
];

impl CheckArgs {
    /// The same as a question to other machines.
    pub fn elsewhere(&self) -> Option<Elsewhere<'_>> {
        self.hosts.are_asked().then(|| Elsewhere {
            command: Command::Check,
            hosts: &self.hosts,
            targets: &self.targets,
            usual: hosts::USUAL_LIMIT,
            printing: self.output.printing(),
        })
    }

    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let namespaces = self.place.namespaces()?;
        let targets = targets::resolve(&self.targets, &self.narrow)?;
        let request = Request {
            connections: self.all,
            detail: self.plain.detail().unwrap_or_else(|| self.output.detail(&targets)),
            quick: self.look.quick,
            backend: self.look.backend,
            probe: !self.look.no_probe && namespaces.can_be_asked(),
            reuse_address: self.look.reuse_addr,
            namespaces,
            ..common::request(targets, &self.narrow)
        };
        let style = self.output.style(typed).map(|style| Style { connections: self.all, ..self.plain.style(style) });
        Ok(Wish::Check(request, Printing { style, color: self.output.color() }))
    }
}
