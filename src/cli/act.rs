//! The options of the actions, --kill and --wait, and what they mean.

use std::time::Duration;

use clap::Args;
use portcheck::act::kill;
use portcheck::act::{Signal, parse_duration};

/// Options of --kill.
#[derive(Debug, Args)]
#[command(next_help_heading = "Freeing a port")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct KillArgs {
    /// End whoever holds the port, and verify that it can be bound
    #[arg(long, conflicts_with_all = ["no_probe", "all"])]
    pub kill: bool,
    /// Do not ask
    #[arg(short, long, requires = "kill")]
    pub yes: bool,
    /// Show what would be done, and change nothing
    #[arg(long, requires = "kill")]
    pub dry_run: bool,
    /// The signal to end processes with
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", requires = "kill", value_parser = Signal::parse)]
    pub signal: Signal,
    /// How long they get to end
    #[arg(long, value_name = "DURATION", default_value = "5s", requires = "kill", value_parser = parse_duration)]
    pub grace: Duration,
    /// Then send SIGKILL to those that have not
    #[arg(long, requires = "kill")]
    pub force: bool,
    /// End processes too that hold the port by a connection
    #[arg(long, requires = "kill")]
    pub clients: bool,
    /// Stop units and containers by systemctl, docker or podman, instead of signalling their processes
    #[arg(long, requires = "kill")]
    pub supervisor: bool,
    /// Drop what is left of connections that no process has any more (needs root)
    #[arg(long, requires = "kill")]
    pub remnants: bool,
    /// How long the port has to stay free
    #[arg(long, value_name = "DURATION", default_value = "300ms", requires = "kill", value_parser = parse_duration)]
    pub settle: Duration,
}

/// Whether to ask before something is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// On a terminal; elsewhere it is refused.
    Ask,
    /// It was given on the command line.
    Given,
    /// Nothing is to be changed.
    DryRun,
}

impl KillArgs {
    /// What they mean.
    pub fn options(&self) -> (kill::Options, Consent) {
        let options = kill::Options {
            signal: self.signal,
            grace: self.grace,
            force: self.force,
            clients: self.clients,
            supervisor: self.supervisor,
            remnants: self.remnants,
            settle: self.settle,
        };
        let consent = match (self.dry_run, self.yes) {
            (true, _) => Consent::DryRun,
            (false, true) => Consent::Given,
            (false, false) => Consent::Ask,
        };
        (options, consent)
    }
}
