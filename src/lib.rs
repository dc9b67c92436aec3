//! Who holds a port, why can it not be bound, and which one is really free?
//!
//! [`check`] asks about a port, [`list`] about all that are in use, and [`Query`] narrows a
//! question. The answer is a [`Diagnosis`]: what was observed of each port, and the verdict on it.
//! A [`Picker`] finds free ports and keeps them in a [`Reservation`].
//!
//! ```
//! use portcheck::Status;
//!
//! let diagnosis = portcheck::check(8080)?;
//! if diagnosis.ports.iter().any(|port| port.verdict.status == Status::Held) {
//!     let holders: Vec<&str> = diagnosis.processes.iter().map(|process| &*process.name).collect();
//!     println!("8080 is in use by {}", holders.join(", "));
//! }
//! # Ok::<(), portcheck::Error>(())
//! ```
//!
//! The library never prints and never exits. The command `portcheck` is built with the feature
//! `cli`, which is on by default and which a program that uses the library can leave out.
//!
//! Inside, `collect` takes a snapshot of the machine, `diagnose` turns facts into findings by pure
//! rules, `commands` has a room for each command, and `render` writes what came out.
//! docs/architecture.md follows a question through them.

// What must never happen in the program itself, though tests do it.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports, reason = "only the commands use it"))]

#[cfg(feature = "cli")]
mod answer;
mod classify;
#[cfg(feature = "cli")]
mod cli;
mod collect;
mod commands;
mod diagnose;
#[cfg(feature = "cli")]
mod duration;
mod error;
pub mod model;
mod picker;
mod platform;
mod port_set;
mod probe;
mod prose;
mod query;
#[cfg(feature = "cli")]
mod render;
mod request;
#[cfg(feature = "cli")]
mod run;
mod supervisor;
mod target;
#[cfg(feature = "cli")]
mod terminal;

pub use classify::Class;
pub use commands::diagnosis::Diagnosis;
pub use diagnose::{Finding, Observed, PortReport, Remedy, RemedyKind, Severity, Status, Verdict};
pub use error::Error;
pub use model::{Family, Protocol};
pub use picker::{Picker, Reservation};
pub use query::{Query, check, list};
pub use request::Filter;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use run::run;

/// What the fuzzers and the benchmarks of parsers call.
#[cfg(all(fuzzing, target_os = "linux"))]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::classify::services::Services;
    pub use crate::collect::fuzzing::*;
    pub use crate::commands::preflight::read_as_each as manifest;
    pub use crate::render::escape;
    pub use crate::target::{Names, parse};
}

#[cfg(test)]
mod testing;
