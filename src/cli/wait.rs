//! `portcheck wait 8080 --for listening`: until it is so.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use strum::VariantNames;

use super::common::{self, Narrow, Output};
use super::names::{ActionFormats, NativeOnly, named, parse_pid};
use super::rules::Rule;
use super::{Stop, Wish, help, targets};
use crate::commands::identify::Typed;
use crate::commands::wait::{self, Accepted, Awaited, By, Goal, Options, Remote};
use crate::duration::parse_duration;
use crate::model::Protocol;
use crate::render::{Format, Style};
use crate::request::Request;
use crate::target::{Target, path_of};
use crate::terminal::Printing;
use crate::terminal::wait::Waiting;

/// Why a command and JSON do not go together: its exit code would not be the one in the JSON
/// either.
pub const JSON_BESIDE_COMMAND: &str =
    "--json: standard output is the command's own, so leave --json or the command out";

#[derive(Debug, Args)]
#[command(next_help_heading = "What to wait for", after_help = help::styled(help::WAIT))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct WaitArgs {
    #[arg(value_name = "TARGET", required = true, help = common::TARGET, help_heading = None)]
    targets: Vec<String>,
    /// Wait until somebody listens on every port, until every port can be bound, or until every
    /// server answers
    #[arg(long = "for", value_name = "STATE", required = true, value_parser = named::<Awaited>(Awaited::VARIANTS))]
    awaited: Awaited,
    /// One of the ports is enough
    #[arg(long)]
    any: bool,
    /// Wait at most this long, such as 30s, 2m, 1h30m; 0 for no limit
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration, allow_hyphen_values = true)]
    timeout: Duration,
    /// Require this process, or a descendant of it, to listen; fail at once if another one does
    #[arg(long, value_name = "PID|NAME", value_parser = By::parse)]
    by: Option<By>,
    /// Accept these statuses of HTTP only, as in 2xx or 200,301. Default: all below 500
    #[arg(long, value_name = "STATUS", value_parser = str::parse::<Accepted>)]
    status: Option<Accepted>,
    /// Give up when one of these processes ends
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = parse_pid)]
    pid: Vec<u32>,
    /// Keep waiting while the name of another machine does not exist
    #[arg(long)]
    wait_for_dns: bool,
    #[command(flatten)]
    narrow: Narrow,
    /// Show connections, too, if the time runs out
    #[arg(long, help_heading = "Selecting")]
    all: bool,
    /// Assume that your server sets SO_REUSEADDR, as most do: then TIME_WAIT does not block it
    #[arg(long, conflicts_with = "no_probe", help_heading = "How to look")]
    reuse_addr: bool,
    /// Do not try to bind the port; judge by the socket tables alone
    #[arg(long, help_heading = "How to look")]
    no_probe: bool,
    /// Stop at the first holder: faster on busy machines, but others may share the socket
    #[arg(long, help_heading = "How to look")]
    quick: bool,
    #[command(flatten)]
    native: NativeOnly,
    #[command(flatten)]
    output: Output<ActionFormats>,
    /// A command to run on success, in place of portcheck
    #[arg(last = true, value_name = "CMD", help_heading = None)]
    cmd: Vec<OsString>,
}

/// What does not go together.
pub const RULES: &[Rule<WaitArgs>] = &[
    Rule {
        example: "wait 8080 --for free --json -- false",
        is_broken: |wait| !wait.cmd.is_empty() && wait.output.format() == Format::Json,
        message: JSON_BESIDE_COMMAND,
    },
    Rule {
        example: "wait 8080 --for free --no-probe",
        is_broken: |wait| wait.awaited == Awaited::Free && wait.no_probe,
        message: "--for free tries to bind the port, which --no-probe rules out",
    },
    Rule {
        example: "wait 8080 --for free --wait-for-dns",
        is_broken: |wait| wait.awaited == Awaited::Free && wait.wait_for_dns,
        message: "--wait-for-dns is for the names of other machines, so it does not go with --for free",
    },
    Rule {
        example: "wait 8080 --for listening --status 2xx",
        is_broken: |wait| wait.awaited != Awaited::Answering && wait.status.is_some(),
        message: "--status is about answers, so it goes with --for answering only",
    },
    Rule {
        example: "wait 8080 --for free --by node",
        is_broken: |wait| wait.awaited == Awaited::Free && wait.by.is_some(),
        message: "--by names the process that must listen, so it does not go with --for free",
    },
];

impl WaitArgs {
    /// What it asks for.
    pub fn resolve(self) -> Result<Wish, Stop> {
        let (here, goals) = self.goals()?;
        let options = self.options();
        let request = Request {
            connections: self.all,
            detail: self.output.detail(&here),
            // The first holder alone does not tell whether the right one listens.
            quick: self.quick && options.by.is_none(),
            probe: !self.no_probe,
            reuse_address: self.reuse_addr,
            ..common::request(here, &self.narrow)
        };
        let same: Vec<OsString> = self.targets.iter().map(OsString::from).collect();
        let style = self.output.style(&same).map(|style| Style { connections: self.all, ..style });
        let printing = Printing { style, color: self.output.color() };
        let (notes, is_verbose) = (self.notes(), self.output.verbose);
        Ok(Wish::Wait(request, Waiting { options, goals, command: self.cmd, is_verbose, notes }, printing))
    }

    /// The ports on this machine, and all that is waited for.
    fn goals(&self) -> Result<(Vec<Target>, Vec<Goal>), Stop> {
        // A URL is part of what is asked, so each target keeps its own.
        let parts: Vec<&[String]> = match self.awaited {
            Awaited::Answering => self.targets.chunks(1).collect(),
            Awaited::Free | Awaited::Listening => vec![&self.targets],
        };
        let (mut all, mut goals) = (Vec::new(), Vec::new());
        for part in parts {
            let (here, remotes) = self.places(part)?;
            self.require_this_machine_alone(&remotes)?;
            let here = wait::awaited_targets(self.awaited, &self.narrow.protocols(), here);
            let typed = if self.awaited == Awaited::Answering {
                part.first().and_then(|typed| Typed::read(typed))
            } else {
                None
            };
            goals.extend(Goal::all(&here, remotes).into_iter().map(|goal| Goal { typed: typed.clone(), ..goal }));
            all.extend(here);
        }
        Ok((all, goals))
    }

    /// The ports on this machine, and those on others.
    fn places(&self, typed: &[String]) -> Result<(Vec<Target>, Vec<Remote>), Stop> {
        match self.awaited {
            Awaited::Free => Ok((targets::resolve(typed, &self.narrow)?, Vec::new())),
            Awaited::Listening | Awaited::Answering => targets::resolve_with_remotes(typed, &self.narrow),
        }
    }

    /// What cannot be known about another machine is not asked for.
    fn require_this_machine_alone(&self, remotes: &[Remote]) -> Result<(), Stop> {
        let mistake = match remotes {
            [] => return Ok(()),
            _ if self.narrow.protocol() == Some(Protocol::Udp) => {
                "--udp leaves out other machines, which can be tried over TCP only"
            }
            _ if self.by.is_some() => "--by is for this machine only: who listens on another one cannot be seen",
            _ => return Ok(()),
        };
        Err(Stop::Usage(mistake.to_owned()))
    }

    /// Nobody may take a wait for the port for one for an answer.
    fn notes(&self) -> Vec<String> {
        let note =
            |typed: &String| Some(format!("waits for the port of '{typed}'; {} is not requested", path_of(typed)?));
        let is_asked = self.awaited == Awaited::Answering;
        self.targets.iter().filter(|_| !is_asked).filter_map(note).collect()
    }

    fn options(&self) -> Options {
        Options {
            awaited: self.awaited,
            timeout: (!self.timeout.is_zero()).then_some(self.timeout),
            any: self.any,
            by: self.by.clone(),
            pids: self.pid.clone(),
            wait_for_dns: self.wait_for_dns,
            status: self.status.clone(),
        }
    }
}
