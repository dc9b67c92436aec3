//! The two actions: [`kill`] frees a port, [`wait`] waits until one listens or is free. Everything else in this crate only looks.
//!
//! Both begin with the ordinary diagnosis and end with it, so that what they say of a port is what `portcheck PORT` says.
//! A process is named by its id for people only: what is signalled or watched is a [`Handle`], which stays the same
//! process whatever becomes of its id.

pub mod kill;
pub mod wait;

mod command;
mod duration;
mod signal;
mod system;

pub use command::find_on_path;
pub use duration::{milliseconds, parse_duration, words};
pub use signal::Signal;
pub use system::{Handle, Surroundings};
