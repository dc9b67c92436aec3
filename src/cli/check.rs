//! `portcheck 8080`, or `portcheck check 8080`: who holds it, and can it be bound?

use std::ffi::OsString;

use clap::Args;

use super::common::{self, Look, Narrow, Output};
use super::names::AllFormats;
use super::{Stop, Wish, targets};
use crate::render::Style;
use crate::request::Request;
use crate::terminal::Printing;

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[arg(value_name = "TARGET", required = true, help = common::TARGET)]
    targets: Vec<String>,
    #[command(flatten)]
    narrow: Narrow,
    /// Show connections, too
    #[arg(long, help_heading = "Selecting")]
    all: bool,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    output: Output<AllFormats>,
}

impl CheckArgs {
    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let targets = targets::resolve(&self.targets, &self.narrow)?;
        let request = Request {
            connections: self.all,
            detail: self.output.detail(&targets),
            quick: self.look.quick,
            backend: self.look.backend,
            probe: !self.look.no_probe,
            reuse_address: self.look.reuse_addr,
            ..common::request(targets, &self.narrow)
        };
        let style = self.output.style(typed).map(|style| Style { connections: self.all, ..style });
        Ok(Wish::Check(request, Printing { style, color: self.output.color() }))
    }
}
