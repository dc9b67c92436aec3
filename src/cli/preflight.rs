//! `portcheck preflight`: can the ports be had that manifests ask for?

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::common::Output;
use super::names::{AllFormats, NativeOnly};
use super::{Wish, help};
use crate::collect::Detail;
use crate::commands::preflight::Options;
use crate::model::Protocol;
use crate::query;
use crate::request::Request;
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(next_help_heading = "Which ports", after_help = help::styled(help::PREFLIGHT))]
pub struct PreflightArgs {
    /// Files that ask for ports [default: what is in this directory]
    #[arg(value_name = "FILE", help_heading = None)]
    files: Vec<PathBuf>,
    /// Also the services with this profile of docker compose
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    profile: Vec<String>,
    #[command(flatten)]
    native: NativeOnly,
    #[command(flatten)]
    output: Output<AllFormats>,
}

impl PreflightArgs {
    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Wish {
        let request = Request {
            protocols: Protocol::ALL.to_vec(),
            // Whose containers hold a port decides.
            detail: self.output.detail(&[]).max(Detail::Brief),
            program: super::caller::program(),
            ..query::request(Vec::new())
        };
        let options = Options { files: self.files, profiles: self.profile };
        Wish::Preflight(request, options, Printing { style: self.output.style(typed), color: self.output.color() })
    }
}
