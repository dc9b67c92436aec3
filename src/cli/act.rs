//! The options of the actions, --kill and --wait, and what they mean.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};
use portcheck::act::kill;
use portcheck::act::wait::{self, Awaited, By, Goal, Remote};
use portcheck::act::{Signal, parse_duration};
use portcheck::model::{Backend, Pid, Protocol};
use portcheck::render::Format;
use portcheck::request::{Question, Request};

use super::{Invocation, Stop, Wish};

/// Why a command and JSON do not go together: its exit code would not be the one in the JSON either.
pub const JSON_BESIDE_COMMAND: &str =
    "--json: standard output is the command's own, so leave --json or the command out";

/// Options of --kill. That they go with it is checked by hand, as clap does not always.
#[derive(Debug, Args)]
#[command(next_help_heading = "Freeing a port")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct KillArgs {
    /// End whoever holds the port, and verify that it can be bound
    #[arg(long, conflicts_with_all = ["no_probe", "all", "quick"])]
    pub kill: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The signal to end processes with
    #[arg(long, value_name = "SIGNAL", default_value = Signal::USUAL, value_parser = Signal::parse)]
    pub signal: Signal,
    /// How long they get to end
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub grace: Duration,
    /// Then send SIGKILL to those that have not
    #[arg(long)]
    pub force: bool,
    /// End processes too that hold the port by a connection
    #[arg(long)]
    pub clients: bool,
    /// Stop units and containers by systemctl, docker or podman, instead of signalling their processes
    #[arg(long)]
    pub supervisor: bool,
    /// Drop what is left of connections that no process has any more (needs root)
    #[arg(long)]
    pub remnants: bool,
    /// How long the port has to stay free
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = parse_duration, allow_hyphen_values = true)]
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

/// Options of --wait. That they go with it is checked by hand, as clap does not always.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct WaitArgs {
    /// Wait until every port listens, or is free to be bound
    #[arg(long, value_enum, value_name = "STATE", conflicts_with = "kill")]
    pub wait: Option<AwaitedName>,
    /// How long at most, such as 30s, 2m, 1h30m; 0 is for ever
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub timeout: Duration,
    /// One of the ports is enough
    #[arg(long)]
    pub any: bool,
    /// With --wait listening: who has to, a process or its descendants, or a name. Anybody else there is a failure at once
    #[arg(long, value_name = "PID|NAME", value_parser = By::parse)]
    pub by: Option<By>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AwaitedName {
    /// Something listens there
    Listening,
    /// It can be bound
    Free,
}

impl WaitArgs {
    /// What they mean, if a wait is asked for. `pids` are the processes whose end ends it.
    pub fn options(&self, pids: &[Pid]) -> Option<wait::Options> {
        Some(wait::Options {
            awaited: match self.wait? {
                AwaitedName::Listening => Awaited::Listening,
                AwaitedName::Free => Awaited::Free,
            },
            timeout: (!self.timeout.is_zero()).then_some(self.timeout),
            any: self.any,
            by: self.by.clone(),
            pids: pids.to_vec(),
        })
    }
}

/// A wait, and what comes after it.
#[derive(Debug)]
pub struct Waiting {
    /// What is waited for.
    pub options: wait::Options,
    /// Where.
    pub goals: Vec<Goal>,
    /// The command to become on success; none if empty.
    pub command: Vec<OsString>,
    /// Whether to tell what is going on although nobody may be at a terminal.
    pub is_verbose: bool,
}

/// What a command line asks to wait for.
pub fn waiting(
    mut invocation: Invocation,
    options: wait::Options,
    remotes: Vec<Remote>,
    command: Vec<OsString>,
    is_verbose: bool,
) -> Result<Wish, Stop> {
    require_words_or_json("--wait", &invocation)?;
    if !command.is_empty() && format_of(&invocation) == Format::Json {
        return Err(Stop::Usage(JSON_BESIDE_COMMAND.to_owned()));
    }
    let Request { question, protocols, quick, .. } = &mut invocation.request;
    // Whether it is the right one who listens, the first owner alone does not tell.
    *quick &= options.by.is_none();
    if let Question::Check(targets) = question {
        *targets = wait::awaited_targets(options.awaited, protocols, std::mem::take(targets));
    }
    if options.awaited == Awaited::Free && !invocation.request.probe {
        return Err(Stop::Usage("--wait free asks bind(2), which --no-probe rules out".to_owned()));
    }
    if options.awaited == Awaited::Free && options.by.is_some() {
        return Err(Stop::Usage("--by says who has to listen, so it goes with --wait listening only".to_owned()));
    }
    if !remotes.is_empty() && invocation.request.protocols == [Protocol::Udp] {
        return Err(Stop::Usage("--udp leaves out other machines, which can be tried over TCP only".to_owned()));
    }
    if !remotes.is_empty() && options.by.is_some() {
        return Err(Stop::Usage("--by is for this machine: who listens on another one cannot be told".to_owned()));
    }
    let here = match &invocation.request.question {
        Question::Check(targets) => &targets[..],
        Question::List(..) => &[],
    };
    let goals = Goal::all(here, remotes);
    Ok(Wish::Wait(invocation, Waiting { options, goals, command, is_verbose }))
}

/// The actions tell what they did, which no table of ports has room for, and rest on what only the kernel tells.
pub fn require_words_or_json(option: &str, invocation: &Invocation) -> Result<(), Stop> {
    if !matches!(format_of(invocation), Format::Table | Format::Json) {
        return Err(Stop::Usage(format!("{option} prints words or --json, and no other format")));
    }
    if invocation.request.backend != Backend::Native {
        return Err(Stop::Usage(format!("{option} needs the native backend")));
    }
    Ok(())
}

fn format_of(invocation: &Invocation) -> Format {
    invocation.style.as_ref().map_or(Format::Table, |style| style.format)
}
