//! `portcheck reach 8080`: who can reach it?

use std::ffi::OsString;
use std::net::IpAddr;

use clap::Args;

use super::common::{self, Narrow, Output};
use super::hosts::{self, Elsewhere, Hosts};
use super::names::{ActionFormats, NativeOnly};
use super::rules::Rule;
use super::{Stop, Wish, help, targets};
use crate::collect::Detail;
use crate::commands::exit::Command;
use crate::request::Request;
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(next_help_heading = "From where", after_help = help::styled(help::REACH))]
pub struct ReachArgs {
    #[arg(value_name = "TARGET", help = common::TARGET, help_heading = None)]
    targets: Vec<String>,
    /// Who connects: addresses. Default: this machine, each connected network, and elsewhere
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    from: Vec<IpAddr>,
    #[command(flatten)]
    narrow: Narrow,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    native: NativeOnly,
    #[command(flatten)]
    output: Output<ActionFormats>,
}

/// What does not go together.
pub const RULES: &[Rule<ReachArgs>] = &[Rule {
    example: "reach 8080 --host web1 --format github",
    is_broken: |reach| reach.hosts.has_no_room_in(reach.output.format()),
    message: hosts::FORMATS,
}];

impl ReachArgs {
    /// The same as a question to other machines.
    pub fn elsewhere(&self) -> Option<Elsewhere<'_>> {
        self.hosts.are_asked().then(|| Elsewhere {
            command: Command::Reach,
            hosts: &self.hosts,
            targets: &self.targets,
            usual: hosts::LONGER_LIMIT,
            printing: self.output.printing(),
        })
    }

    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let targets = targets::resolve(&self.targets, &self.narrow)?;
        let request = Request {
            detail: self.output.detail(&targets).max(Detail::Brief),
            probe: false,
            ..common::request(targets, &self.narrow)
        };
        let printing = Printing { style: self.output.style(typed), color: self.output.color() };
        Ok(Wish::Reach(request, self.from, printing))
    }
}
