//! `portcheck reach 8080`: who can reach it?

use std::ffi::OsString;
use std::net::IpAddr;

use clap::Args;

use super::common::{self, Narrow, Output};
use super::names::{ActionFormats, NativeOnly};
use super::{Stop, Wish, help, targets};
use crate::collect::Detail;
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
    native: NativeOnly,
    #[command(flatten)]
    output: Output<ActionFormats>,
}

impl ReachArgs {
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
