//! The answer of each command, a variant of its own.

use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::{Command, Exit};
use crate::commands::{connections, free, hint, hosts, identify, kill, list, preflight, reach, summary, wait};

/// What a command has to say.
#[derive(Debug)]
pub enum Answer {
    /// Of ports that were asked about.
    Check(Diagnosis),
    /// Of what is in use.
    List(list::Listing),
    /// Of who is connected to whom.
    Connections(Box<connections::Report>),
    /// Of how many sockets there are.
    Summary(Box<summary::Summary>),
    /// Of ports that were picked, leased or released.
    Free(free::Report),
    /// Of ports that were to be freed.
    Kill(Box<kill::Report>),
    /// Of ports that were waited for.
    Wait(Box<wait::Report>),
    /// Of who can reach ports.
    Reach(reach::Report),
    /// Of what answers on ports.
    Identify(identify::Report),
    /// Of ports that manifests ask for.
    Preflight(Box<preflight::Report>),
    /// Of other machines.
    Hosts(Box<hosts::Report>),
}

impl Answer {
    /// What it says of ports.
    pub fn diagnosis(&self) -> &Diagnosis {
        match self {
            Self::Check(diagnosis) => diagnosis,
            Self::List(listing) => &listing.diagnosis,
            Self::Connections(report) => &report.diagnosis,
            Self::Summary(summary) => &summary.diagnosis,
            Self::Free(free) => &free.diagnosis,
            Self::Kill(report) => &report.diagnosis,
            Self::Wait(report) => &report.diagnosis,
            Self::Reach(report) => &report.diagnosis,
            Self::Identify(report) => &report.diagnosis,
            Self::Preflight(report) => &report.diagnosis,
            Self::Hosts(report) => &report.diagnosis,
        }
    }

    /// What there is besides an empty list.
    pub fn hint(&self) -> Option<&hint::Hint> {
        match self {
            Self::List(listing) => listing.hint.as_ref(),
            Self::Connections(report) => report.hint.as_ref(),
            _ => None,
        }
    }

    /// The command.
    pub const fn command(&self) -> Command {
        match self {
            Self::Check(_) => Command::Check,
            Self::List(_) | Self::Summary(_) => Command::List,
            Self::Connections(_) => Command::Connections,
            Self::Free(_) => Command::Free,
            Self::Kill(_) => Command::Kill,
            Self::Wait(_) => Command::Wait,
            Self::Reach(_) => Command::Reach,
            Self::Identify(_) => Command::Identify,
            Self::Preflight(_) => Command::Preflight,
            Self::Hosts(report) => report.command,
        }
    }

    /// The exit code. It is known before anything is written, so a reader who hangs up changes
    /// nothing.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Check(diagnosis) => diagnosis.exit(),
            Self::List(_) | Self::Connections(_) | Self::Summary(_) => Exit::Yes,
            Self::Free(free) if free.is_done => Exit::Yes,
            Self::Free(_) => Exit::No,
            Self::Kill(report) => report.exit(),
            Self::Wait(report) => report.exit(),
            Self::Reach(report) => report.exit(),
            Self::Identify(report) => report.exit(),
            Self::Preflight(report) => report.exit(),
            Self::Hosts(report) => report.exit(),
        }
    }

    /// Whether something failed that is not part of the answer.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, Self::Hosts(report) if report.is_incomplete())
    }
}
