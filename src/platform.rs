//! The operating system: processes by handles, signals, becoming another program, the name and
//! interfaces of the machine, limits. Besides `collect`, only this module asks which system this
//! is.

pub mod ends;
mod exec;
#[cfg(target_os = "linux")]
pub mod foreign;
pub mod limits;
pub mod machine;
#[cfg(feature = "cli")]
pub mod memory;
#[cfg(feature = "cli")]
pub mod named;
#[cfg(target_os = "linux")]
pub mod proc;
pub mod process;
mod signal;
mod startup;
pub mod threads;
pub mod tool;
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub mod users;

pub use exec::exec;
#[cfg(target_os = "linux")]
pub use exec::place;
pub use signal::Signal;
pub use startup::is_stdout_closed;
