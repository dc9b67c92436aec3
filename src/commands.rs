//! The commands, a room each: everything that one does, but its words.
//!
//! Both [`kill`] and [`wait`] begin with the ordinary diagnosis and end with it, so that what they say of a port is what
//! `portcheck PORT` says. A process is named by its id for people only: what is signalled or watched is a
//! [`Handle`](crate::platform::process::Handle), which stays the same process whatever becomes of its id.

pub mod check;
pub mod diagnosis;
pub mod exit;
pub mod free;
#[cfg(feature = "cli")]
pub mod kill;
pub mod list;
#[cfg(feature = "cli")]
pub mod wait;
