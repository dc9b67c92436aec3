//! `portcheck kill 8080`: end whoever holds it.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::common::{self, Narrow, Output};
use super::hosts::{self, Elsewhere, Hosts};
use super::names::{ActionFormats, NativeOnly};
use super::rules::Rule;
use super::{Stop, Wish, help, targets};
use crate::commands::exit::Command;
use crate::commands::kill::{Consent, Options};
use crate::duration::parse_duration;
use crate::platform::Signal;
use crate::request::Request;
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(next_help_heading = "What to do", after_help = help::styled(help::KILL))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct KillArgs {
    #[arg(value_name = "TARGET", required = true, help = common::TARGET, help_heading = None)]
    targets: Vec<String>,
    /// Do not ask; with N, end exactly N processes or none
    #[arg(short, long, value_name = "N", num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "not given, given, given with a number")]
    yes: Option<Option<usize>>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The signal to send
    #[arg(long, value_name = "SIGNAL", default_value = Signal::USUAL, value_parser = Signal::parse)]
    signal: Signal,
    /// How long to wait for processes to end
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration, allow_hyphen_values = true)]
    grace: Duration,
    /// Send SIGKILL to processes that have not ended by then
    #[arg(long)]
    force: bool,
    /// Also end processes that use the port for an outgoing connection, if nobody listens there
    #[arg(long)]
    clients: bool,
    /// Let supervisors stop the holders they run: systemctl, docker, podman, supervisorctl, pm2
    #[arg(long)]
    supervisor: bool,
    /// Drop what is left of connections without a process (needs root)
    #[arg(long)]
    remnants: bool,
    /// How long the port must stay free; 5s if the program that started a holder still runs
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = parse_duration, allow_hyphen_values = true)]
    settle: Duration,
    /// Fail if nobody holds the port
    #[arg(long)]
    expect_held: bool,
    #[command(flatten)]
    narrow: Narrow,
    /// Assume that your server sets SO_REUSEADDR, as most do: then TIME_WAIT does not block it
    #[arg(long, help_heading = "How to look")]
    reuse_addr: bool,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    native: NativeOnly,
    #[command(flatten)]
    output: Output<ActionFormats>,
}

/// What does not go together.
pub const RULES: &[Rule<KillArgs>] = &[
    Rule {
        example: "kill 8080 --host web1 --yes --format github",
        is_broken: |kill| kill.hosts.has_no_room_in(kill.output.format()),
        message: hosts::FORMATS,
    },
    Rule {
        example: "kill 8080 --host web1",
        is_broken: |kill| kill.hosts.are_asked() && kill.consent() == Consent::Ask,
        message: "another machine cannot ask you: add --dry-run to see what would be ended there, or --yes",
    },
];

impl KillArgs {
    /// The same as a wish for another machine.
    pub fn elsewhere(&self) -> Option<Elsewhere<'_>> {
        const MORE: Duration = Duration::from_secs(30);
        self.hosts.are_asked().then(|| Elsewhere {
            command: Command::Kill,
            hosts: &self.hosts,
            targets: &self.targets,
            usual: MORE.saturating_add(self.grace).saturating_add(self.settle),
            printing: self.output.printing(),
        })
    }

    /// What it asks for.
    pub fn resolve(self) -> Result<Wish, Stop> {
        let targets = targets::resolve(&self.targets, &self.narrow)?;
        // Who holds the port is needed in full, whatever is printed.
        let request = Request {
            connections: self.clients,
            reuse_address: self.reuse_addr,
            ..common::request(targets, &self.narrow)
        };
        let same: Vec<OsString> = self.targets.iter().map(OsString::from).collect();
        let (style, color) = (self.output.style(&same), self.output.color());
        let printing = Printing { style, color };
        Ok(Wish::Kill(request, self.options(), printing))
    }

    const fn options(&self) -> Options {
        Options {
            signal: self.signal,
            grace: self.grace,
            force: self.force,
            clients: self.clients,
            supervisor: self.supervisor,
            remnants: self.remnants,
            settle: self.settle,
            consent: self.consent(),
            expect_held: self.expect_held,
        }
    }

    const fn consent(&self) -> Consent {
        match (self.dry_run, self.yes) {
            (true, _) => Consent::DryRun,
            (false, Some(count)) => Consent::Given(count),
            (false, None) => Consent::Ask,
        }
    }
}
