//! The commands, a room each, with everything that a command does except its words.
//!
//! [`kill`] and [`wait`] begin and end with the ordinary diagnosis, so they say of a port what
//! `portcheck PORT` says. Process ids are only for people. What is signalled or watched is a
//! [`Handle`](crate::platform::process::Handle), which stays with its process even if the id is
//! reused.

#[cfg(feature = "cli")]
pub mod ansible;
pub mod check;
#[cfg(feature = "cli")]
pub mod connections;
pub mod diagnosis;
pub mod exit;
pub mod free;
pub mod hint;
#[cfg(feature = "cli")]
pub mod hosts;
#[cfg(feature = "cli")]
pub mod identify;
#[cfg(feature = "cli")]
pub mod kill;
pub mod list;
#[cfg(feature = "cli")]
pub mod preflight;
#[cfg(feature = "cli")]
pub mod reach;
#[cfg(feature = "cli")]
pub mod summary;
pub mod unseen;
#[cfg(feature = "cli")]
pub mod wait;
#[cfg(feature = "cli")]
pub mod watch;
