//! `portcheck identify 8080`: what answers there?

use std::ffi::OsString;

use clap::Args;

use super::common::{self, Narrow, Output};
use super::hosts::{self, Elsewhere, Hosts};
use super::names::{ActionFormats, NativeOnly};
use super::rules::Rule;
use super::{Stop, Wish, help, targets};
use crate::collect::Detail;
use crate::commands::exit::Command;
use crate::commands::identify::{Typed, Urls};
use crate::request::Request;
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(after_help = help::styled(help::IDENTIFY))]
pub struct IdentifyArgs {
    #[arg(value_name = "TARGET", required = true, help = common::TARGET, help_heading = None)]
    targets: Vec<String>,
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
pub const RULES: &[Rule<IdentifyArgs>] = &[Rule {
    example: "identify 8080 --host web1 --format github",
    is_broken: |identify| identify.hosts.has_no_room_in(identify.output.format()),
    message: hosts::FORMATS,
}];

impl IdentifyArgs {
    /// The same as a question to other machines.
    pub fn elsewhere(&self) -> Option<Elsewhere<'_>> {
        self.hosts.are_asked().then(|| Elsewhere {
            command: Command::Identify,
            hosts: &self.hosts,
            targets: &self.targets,
            usual: hosts::LONGER_LIMIT,
            printing: self.output.printing(),
        })
    }

    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let targets = targets::resolve(&self.targets, &self.narrow)?;
        let urls = urls(&self.targets, &self.narrow)?;
        let request = Request {
            // The names of the holders decide what is asked.
            detail: self.output.detail(&targets).max(Detail::Brief),
            probe: false,
            ..common::request(targets, &self.narrow)
        };
        let printing = Printing { style: self.output.style(typed), color: self.output.color() };
        Ok(Wish::Identify(request, urls, printing))
    }
}

/// What was typed as URLs, with the ports that they mean.
fn urls(typed: &[String], narrow: &Narrow) -> Result<Urls, Stop> {
    let mut urls = Urls::new();
    for text in typed {
        if let Some(url) = Typed::read(text) {
            let targets = targets::resolve(std::slice::from_ref(text), narrow)?;
            urls.extend(targets.into_iter().map(|target| (target, url.clone())));
        }
    }
    Ok(urls)
}
