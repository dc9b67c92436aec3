//! Processes by handles. A handle stays with its process, even if the id is reused. Also signals,
//! ends and sessions.

#[cfg(target_os = "linux")]
mod jobs;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as system;

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod unix;

#[cfg(not(target_os = "linux"))]
mod not_linux;

#[cfg(any(target_os = "macos", target_os = "windows"))]
mod polling;

#[cfg(target_os = "windows")]
mod windows;
#[cfg(target_os = "windows")]
use windows as system;

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
mod unsupported;
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "windows")))]
use unsupported as system;

#[cfg(not(target_os = "linux"))]
pub use not_linux::wait_for_exits_or;
#[cfg(target_os = "linux")]
pub use system::wait_for_exits_or;
pub use system::{Handle, allow_descriptors, ids_are_ours, may_signal, seat, stop_command, wait_for_exits};

use crate::model::Pid;

/// Whether a program of this name is a shell.
pub fn is_shell(name: &str) -> bool {
    matches!(name, "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "busybox" | "fish" | "csh" | "tcsh")
}

/// Where a process sits in its session (credentials(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Whether it opened the session.
    pub is_leader: bool,
    /// Its process group.
    pub group: Pid,
    /// The process group in the foreground of its terminal; `None` without one.
    pub foreground: Option<Pid>,
}
