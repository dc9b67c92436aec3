//! Who holds a port, and why can it not be bound?
//!
//! The story of `portcheck 62893`: the command line becomes a [`request::Request`], whose targets were read by
//! [`target`]. [`collect`] takes a [`model::Snapshot`] of the machine: the sockets of that port, their owners, the
//! host, and as gaps all that could not be looked at. [`diagnose`] turns these facts into findings by pure rules,
//! from which status and exit code follow. [`answer`] runs this pipeline, and [`render`] writes what came out.
//!
//! Which port is really free is [`free`]'s story: it picks ports that stay free until they are used.
//!
//! The library does no output of its own and never exits; colours, terminals and exit codes are the binary's.

// What must never happen in the program itself, though tests do it.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

pub mod answer;
pub mod classify;
mod cli;
pub mod collect;
pub mod commands;
pub mod diagnose;
pub mod duration;
pub mod error;
pub mod model;
pub mod platform;
pub mod port_set;
pub mod probe;
pub mod render;
pub mod request;
mod run;
pub mod supervisor;
pub mod target;
mod terminal;

pub use run::run;

#[cfg(test)]
mod testing;
