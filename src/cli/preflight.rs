//! `portcheck preflight`: are the ports available that manifests ask for?

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::common::Output;
use super::names::{AllFormats, NativeOnly};
use super::rules::Rule;
use super::wait::JSON_BESIDE_COMMAND;
use super::{Wish, help};
use crate::collect::Detail;
use crate::commands::preflight::Options;
use crate::model::Protocol;
use crate::query;
use crate::render::Format;
use crate::request::Request;
use crate::terminal::Printing;
use crate::terminal::preflight::Following;

#[derive(Debug, Args)]
#[command(next_help_heading = "Which ports", after_help = help::styled(help::PREFLIGHT))]
pub struct PreflightArgs {
    /// Files that ask for ports [default: what is in this directory]
    #[arg(value_name = "FILE", help_heading = None)]
    files: Vec<PathBuf>,
    /// Also the services with this profile of docker compose
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    profile: Vec<String>,
    /// Append NAME=port lines with free ports for those that are not available, such as WEB_PORT=8090
    #[arg(long, value_name = "FILE", help_heading = "Using others")]
    env_file: Option<PathBuf>,
    #[command(flatten)]
    native: NativeOnly,
    #[command(flatten)]
    output: Output<AllFormats>,
    /// A command to run if all are available, with the variables of --env-file
    #[arg(last = true, value_name = "CMD", help_heading = None)]
    cmd: Vec<OsString>,
}

/// What does not go together.
pub const RULES: &[Rule<PreflightArgs>] = &[Rule {
    example: "preflight --json -- true",
    is_broken: |preflight| preflight.output.format() == Format::Json && !preflight.cmd.is_empty(),
    message: JSON_BESIDE_COMMAND,
}];

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
        let following = Following { env_file: self.env_file, command: self.cmd };
        Wish::Preflight(
            request,
            options,
            following,
            Printing { style: self.output.style(typed), color: self.output.color() },
        )
    }
}
