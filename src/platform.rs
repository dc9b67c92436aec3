//! What this process was started with, and becoming another program with all of it.

mod exec;
mod startup;

pub use exec::exec;
#[cfg(target_os = "linux")]
pub(crate) use exec::place;
pub use startup::is_stdout_closed;
