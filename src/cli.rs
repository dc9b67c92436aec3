//! The command line, in two steps: [`parse`] turns what was typed into an [`Action`] and asks the
//! machine nothing; [`resolve`] turns names, interfaces and addresses into facts. Nothing after
//! these files knows clap.
//!
//! A command is a file here: its options, the rules between them, and what they ask for.

mod ansible;
mod caller;
mod check;
mod columns;
mod common;
mod complete;
mod connections;
mod explain;
mod filters;
mod free;
mod habits;
mod help;
mod hosts;
mod identify;
mod kill;
mod leases;
mod list;
mod manual;
mod mistake;
mod names;
mod preflight;
mod reach;
mod rules;
mod suggest;
mod targets;
mod wait;
mod watch;
mod words;

use std::ffi::OsString;
use std::net::IpAddr;

pub use ansible::Module;
pub use complete::{answer as complete, asking_shell};

use clap::builder::styling::{AnsiColor, Style, Styles};
use clap::error::ErrorKind;
use clap::{ColorChoice, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::hosts::Question;
use crate::commands::identify::Urls;
use crate::commands::kill::Options;
use crate::commands::preflight as preflight_command;
use crate::diagnose::Rule;
use crate::request::{Arrangement, Column, Filter, Order, Request};
use crate::terminal::Printing;
use crate::terminal::free::Picking;
use crate::terminal::preflight::Following;
use crate::terminal::wait::Waiting;
use crate::terminal::watch::Watching;

/// How headings of help look.
const HEADING: Style = AnsiColor::Yellow.on_default().bold();

#[derive(Debug, Parser)]
#[command(
    name = "portcheck",
    version,
    about = "Tells who holds a port, why it cannot be bound, and which port is really free.",
    help_template = help::template(),
    after_help = help::styled(help::AFTER),
    styles = Styles::styled().header(HEADING).usage(HEADING).literal(AnsiColor::Green.on_default()),
    max_term_width = 100,
)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

/// The commands, in the order of the help. Each is defined when it is needed: to define all of them
/// takes half as long as to answer for a port.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Action {
    /// Tell who holds a port: the same as 'portcheck TARGET'
    Check(Box<check::CheckArgs>),
    /// List what is in use: the same as 'portcheck'
    List(Box<list::ListArgs>),
    /// List who is connected to whom, with both ends named
    Connections(Box<connections::ConnectionsArgs>),
    /// End what holds a port, and verify that it is free
    Kill(Box<kill::KillArgs>),
    /// Pick a free port, and keep it from other callers for a while
    Free(Box<free::FreeArgs>),
    /// Wait until a port is free, or until a server listens or answers
    Wait(Box<wait::WaitArgs>),
    /// Tell what opens, closes and changes hands, as it happens
    Watch(Box<watch::WatchArgs>),
    /// Tell who can reach a port, and what stops the others
    Reach(reach::ReachArgs),
    /// Tell what answers on a port: protocol, server, certificate
    Identify(identify::IdentifyArgs),
    /// Tell whether the ports that compose files and the like ask for are available
    Preflight(preflight::PreflightArgs),
    /// List the ports that 'portcheck free' keeps for its callers
    Leases(leases::LeasesArgs),
    /// Release a leased port
    Release(leases::ReleaseArgs),
    /// Explain a verdict by its code, or list all of them
    Explain(explain::ExplainArgs),
    /// Print what a shell needs to complete the words of portcheck
    Completions(complete::CompletionsArgs),
    /// Print the manual page of portcheck, or that of a command
    Man(manual::ManArgs),
    /// Keep leases in the background; not for people
    #[command(hide = true)]
    KeepLeases,
    /// Do a task of Ansible; not for people
    #[command(hide = true)]
    Ansible(ansible::AnsibleArgs),
}

/// What was typed, and the command line itself.
#[derive(Debug)]
pub struct Typed {
    action: Action,
    arguments: Vec<OsString>,
    /// The same question for other machines.
    words: Vec<String>,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Wish {
    /// What there is to say of ports.
    Check(Request, Printing),
    /// What is in use.
    List(Request, Box<Filter>, Order<Column>, Printing),
    /// Who is connected to whom.
    Connections(Request, Box<Filter>, Arrangement, Printing),
    /// How many sockets there are.
    Summary(Request, Box<Filter>, Printing),
    /// Ports that are to be freed.
    Kill(Request, Options, Printing),
    /// Ports that are waited for.
    Wait(Request, Waiting, Printing),
    /// Ports that are watched.
    Watch(Request, Box<Watching>, Printing),
    /// Who can reach ports, from these addresses.
    Reach(Request, Vec<IpAddr>, Printing),
    /// What answers on ports, some of them typed as URLs.
    Identify(Request, Urls, Printing),
    /// Whether the ports that manifests ask for are available.
    Preflight(Request, preflight_command::Options, Following, Printing),
    /// What other machines say.
    Hosts(Box<Question>, Printing),
    /// Ports that are free.
    Pick(Box<Picking>, Printing),
    /// The leases.
    Leases(Printing),
    /// To end the leases on these ports.
    Release(Vec<u16>, Printing),
    /// A text of the program's own, to be printed as it is.
    Page(String),
    /// To be the process in the background that keeps leases.
    KeepLeases,
    /// A task of Ansible.
    Module(Module),
    /// The text of these rules, with colour or without.
    Explanation(Vec<&'static Rule>, anstream::ColorChoice),
}

/// A command line that asks for nothing that could be answered.
#[derive(Debug)]
pub enum Stop {
    /// Help or version was asked for: the text.
    Text(clap::Error),
    /// It is wrong: one line on what would be right.
    Usage(String),
}

/// The answer to `portcheck --version`, before all commands are defined: that would take longer than
/// all else.
pub fn version(arguments: &[OsString]) -> Option<Wish> {
    let [_, only] = arguments else { return None };
    let text = concat!("portcheck ", env!("CARGO_PKG_VERSION"), "\n");
    (only == "--version" || only == "-V").then(|| Wish::Page(text.to_owned()))
}

/// Reads a command line. Asks the machine nothing.
pub fn parse(arguments: &[OsString]) -> Result<Typed, Stop> {
    let typed = arguments.get(1..).unwrap_or_default();
    let mut definition = Cli::command();
    let line = words::Line::read(typed, &mut definition);
    if let Some(hint) = habits::hint(&line, line.command_word(&definition), &words::commands(&definition)) {
        return Err(Stop::Usage(hint));
    }
    let words = line.with_command_first(&mut definition).map_err(Stop::Usage)?;
    let command = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    // Help calls the program by its name, whatever the file is called.
    let program = OsString::from(definition.get_name());
    let read = |definition: &mut Command| {
        let matches = definition.try_get_matches_from_mut([&program].into_iter().chain(&words))?;
        Ok((Cli::from_arg_matches(&matches)?, matches))
    };
    let read = read(&mut definition).or_else(|_: clap::Error| {
        // Help, and what is said of a mistake, know all commands.
        definition = self::definition().color(color_of_help(arguments));
        read(&mut definition)
    });
    let (action, matches) = match read {
        Ok((Cli { action }, matches)) => (action, matches),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Err(Stop::Text(error));
        }
        Err(error) => return Err(Stop::Usage(mistake::message(&error, &command, &definition))),
    };
    action.obey_rules()?;
    let words = if action.elsewhere().is_some() { hosts::words(&matches, &definition)? } else { Vec::new() };
    Ok(Typed { action, arguments: typed.to_vec(), words })
}

/// Turns names into facts about this machine.
pub fn resolve(typed: Typed) -> Result<Wish, Stop> {
    let Typed { action, arguments, words } = typed;
    if let Some(elsewhere) = action.elsewhere() {
        return elsewhere.resolve(words);
    }
    match action {
        Action::Check(check) => {
            check.resolve(&arguments).or_else(|stop| ansible::called_as_module(&arguments).ok_or(stop))
        }
        Action::List(list) => list.resolve(&arguments),
        Action::Connections(connections) => connections.resolve(&arguments),
        Action::Kill(kill) => kill.resolve(),
        Action::Free(free) => free.resolve(),
        Action::Wait(wait) => wait.resolve(),
        Action::Watch(watch) => watch.resolve(&arguments),
        Action::Reach(reach) => reach.resolve(&arguments),
        Action::Identify(identify) => identify.resolve(&arguments),
        Action::Preflight(preflight) => Ok(preflight.resolve(&arguments)),
        Action::Leases(leases) => Ok(leases.resolve()),
        Action::Release(release) => release.resolve(),
        Action::Explain(explain) => Ok(explain.resolve()),
        Action::Completions(completions) => Ok(completions.resolve()),
        Action::Man(man) => man.resolve(),
        Action::KeepLeases => Ok(Wish::KeepLeases),
        Action::Ansible(ansible) => Ok(ansible.resolve()),
    }
}

impl Action {
    /// The question, if it is for other machines.
    fn elsewhere(&self) -> Option<hosts::Elsewhere<'_>> {
        match self {
            Self::Check(check) => check.elsewhere(),
            Self::List(list) => list.elsewhere(),
            Self::Kill(kill) => kill.elsewhere(),
            Self::Reach(reach) => reach.elsewhere(),
            Self::Identify(identify) => identify.elsewhere(),
            _ => None,
        }
    }

    /// Requires what clap has no words for.
    fn obey_rules(&self) -> Result<(), Stop> {
        match self {
            Self::Check(check) => rules::obey(check::RULES, &**check),
            Self::List(list) => rules::obey(list::RULES, &**list),
            Self::Connections(connections) => rules::obey(connections::RULES, &**connections),
            Self::Kill(kill) => rules::obey(kill::RULES, &**kill),
            Self::Reach(reach) => rules::obey(reach::RULES, reach),
            Self::Identify(identify) => rules::obey(identify::RULES, identify),
            Self::Free(free) => rules::obey(free::RULES, &**free),
            Self::Wait(wait) => rules::obey(wait::RULES, &**wait),
            Self::Preflight(preflight) => rules::obey(preflight::RULES, preflight),
            Self::Watch(watch) => rules::obey(watch::RULES, &**watch),
            _ => Ok(()),
        }
    }
}

/// All commands and options.
fn definition() -> Command {
    let mut definition = Cli::command();
    let abouts: Vec<_> =
        definition.get_subcommands().map(|known| (known.get_name().to_owned(), about(known))).collect();
    definition.build();
    // Options that commands share have brought their own text.
    for (name, about) in abouts {
        definition = definition.mut_subcommand(name, |known| known.about(about).long_about(None));
    }
    definition.mut_subcommand("help", |help| help.about("Print this page, or that of a command"))
}

/// What a command does, in a line.
fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// Whether a command line that may be wrong asks for the JSON envelope.
pub fn wants_json(arguments: &[OsString]) -> bool {
    options(arguments).any(|option| option == "--json") || values_of("--format", arguments).contains(&"json")
}

/// What a command line says of colour. Help stands in for the rest of it, so clap has to be told
/// before.
fn color_of_help(arguments: &[OsString]) -> ColorChoice {
    values_of("--color", arguments).into_iter().find_map(|choice| choice.parse().ok()).unwrap_or_default()
}

/// What is typed for `option`, behind it or joined to it, before the command line is understood.
fn values_of<'a>(option: &str, arguments: &'a [OsString]) -> Vec<&'a str> {
    let options: Vec<&str> = options(arguments).collect();
    let apart = options.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1]);
    let joined = options.iter().filter_map(|typed| typed.strip_prefix(option)?.strip_prefix('='));
    apart.chain(joined).collect()
}

/// What is typed before the command behind `--`.
fn options(arguments: &[OsString]) -> impl Iterator<Item = &str> {
    let typed = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    typed.map(|argument| argument.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests;
