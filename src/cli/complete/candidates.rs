//! What is there to be named: ports in use, their processes and users, namespaces, verdicts.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use clap::{Arg, Command};
use clap_complete::{ArgValueCompleter, CompletionCandidate};

use crate::collect::{self, Detail};
use crate::commands::diagnosis::Diagnosis;
use crate::commands::free;
use crate::commands::list::list;
use crate::diagnose;
use crate::model::{Lease, Namespace, NamespaceName, Process, find_process};
use crate::platform::Signal;
use crate::port_set::PortSet;
use crate::query;
use crate::render::{self, escape};
use crate::request::{Filter, Order, Request};

/// Lets the arguments of all commands be completed with what is there.
pub fn add_to(definition: Command) -> Command {
    let visible = definition.get_subcommands().filter(|word| !word.is_hide_set());
    let words: Vec<String> = visible.map(|word| word.get_name().to_owned()).collect();
    let definition = definition.mut_subcommand("man", |man| {
        let complete = move |typed: &OsStr| matching(typed, words.iter().map(|word| (word.clone(), None)));
        man.mut_arg("command", |argument| argument.add(ArgValueCompleter::new(complete)))
    });
    definition.mut_subcommands(|command| {
        command.mut_args(|argument| match completer(&argument) {
            Some(complete) => argument.add(ArgValueCompleter::new(complete)),
            None => argument,
        })
    })
}

type Completer = fn(&OsStr) -> Vec<CompletionCandidate>;

/// What completes an argument, by what the help calls its value.
fn completer(argument: &Arg) -> Option<Completer> {
    let value = argument.get_value_names()?.first()?.as_str();
    match (value, argument.get_long()) {
        ("TARGET", _) => Some(ports),
        ("WHERE", _) => Some(places),
        ("PID" | "PID|NAME", _) => Some(pids),
        ("NAME", Some("process")) => Some(names),
        ("NAME", Some("container")) => Some(containers),
        ("USER", _) => Some(users),
        ("CODE", _) => Some(codes),
        ("SIGNAL", _) => Some(signals),
        ("PORT", None) => Some(leases),
        _ => None,
    }
}

/// The candidates that begin with what is typed.
pub fn matching(typed: &OsStr, all: impl IntoIterator<Item = (String, Option<String>)>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fits = |(value, _): &(String, Option<String>)| value.starts_with(&*typed);
    let candidate = |(value, about): (String, Option<String>)| {
        // Before clap sees it: it removes what looks like a colour.
        let about = about.filter(|about| !about.is_empty()).map(|about| escape::terminal(&about).into_owned());
        CompletionCandidate::new(value).help(about.map(Into::into))
    };
    all.into_iter().filter(fits).map(candidate).collect()
}

/// What is in use, with the processes in brief.
fn in_use() -> Option<Diagnosis> {
    let request = Request { detail: Detail::Brief, probe: false, ..query::request(Vec::new()) };
    list(&request, &Filter::default(), Order::default()).ok().map(|listing| listing.diagnosis)
}

/// Only ports: addresses and names of services are too many.
fn ports(typed: &OsStr) -> Vec<CompletionCandidate> {
    // A command or an option is typed.
    if !typed.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
        return Vec::new();
    }
    let Some(diagnosis) = in_use() else { return Vec::new() };
    let mut ports: Vec<(String, Option<String>)> = Vec::new();
    for port in &diagnosis.ports {
        let value = port.observed.port.to_string();
        if ports.last().is_none_or(|(last, _)| *last != value) {
            ports.push((value, Some(render::holder_in_brief(port, &diagnosis.processes))));
        }
    }
    matching(typed, ports)
}

/// The owners of the ports in use.
fn owners(key: impl Fn(&Process) -> Option<String>) -> BTreeMap<String, String> {
    let diagnosis = in_use();
    let processes = diagnosis.iter().flat_map(|diagnosis| {
        let sockets = diagnosis.ports.iter().flat_map(|port| &port.observed.sockets);
        sockets.flat_map(|socket| socket.owners.pids()).filter_map(|&pid| find_process(&diagnosis.processes, pid))
    });
    processes.filter_map(|process| Some((key(process)?, about(process)))).collect()
}

fn about(process: &Process) -> String {
    if process.command.is_empty() { process.name.clone() } else { process.command.join(" ") }
}

fn pids(typed: &OsStr) -> Vec<CompletionCandidate> {
    let owners = owners(|process| Some(process.pid.to_string()));
    matching(typed, owners.into_iter().map(|(pid, about)| (pid, Some(about))))
}

fn names(typed: &OsStr) -> Vec<CompletionCandidate> {
    matching(typed, owners(|process| Some(process.name.clone())).into_iter().map(|(name, about)| (name, Some(about))))
}

fn users(typed: &OsStr) -> Vec<CompletionCandidate> {
    matching(typed, owners(|process| process.user.clone()).into_keys().map(|name| (name, None)))
}

const CONTAINER: &str = "container";

/// The network namespaces that people gave a name, and those of containers.
fn places(typed: &OsStr) -> Vec<CompletionCandidate> {
    matching(typed, named_places().into_iter().map(|(name, kind)| (name, Some(kind.to_owned()))))
}

/// The containers with a network of their own.
fn containers(typed: &OsStr) -> Vec<CompletionCandidate> {
    let places = named_places().into_iter().filter(|(_, kind)| *kind == CONTAINER);
    matching(typed, places.map(|(name, _)| (name, None)))
}

fn named_places() -> Vec<(String, &'static str)> {
    let kind = |namespace: &Namespace| match namespace.name {
        NamespaceName::Netns(_) => "network namespace",
        _ => CONTAINER,
    };
    let namespaces = collect::namespaces();
    let named = namespaces.iter().filter_map(|namespace| Some((namespace.given_name()?.to_owned(), kind(namespace))));
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    named
}

fn codes(typed: &OsStr) -> Vec<CompletionCandidate> {
    matching(typed, diagnose::RULES.iter().map(|rule| (rule.code.to_owned(), Some(rule.explanation.what.to_owned()))))
}

fn signals(typed: &OsStr) -> Vec<CompletionCandidate> {
    matching(typed, Signal::names().map(|name| (name.to_owned(), None)))
}

/// The leased ports.
fn leases(typed: &OsStr) -> Vec<CompletionCandidate> {
    let leases = free::leases(&PortSet::all()).map(|leases| leases.leases).unwrap_or_default();
    let client = |lease: &Lease| lease.client.as_ref().map(|client| format!("for {}", client.name));
    matching(typed, leases.iter().map(|lease| (lease.port.to_string(), client(lease))))
}
