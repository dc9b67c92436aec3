//! Becomes another program, as each system does that.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::{exec, place};

#[cfg(all(unix, not(target_os = "linux")))]
mod unix;
#[cfg(all(unix, not(target_os = "linux")))]
pub use unix::exec;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::exec;
