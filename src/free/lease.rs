//! Leases: how a port that was picked stays its caller's.
//!
//! On Linux nothing of it is written anywhere (`linux`); elsewhere leases are files (`files`), and there are no holds.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(not(target_os = "linux"))]
mod files;
#[cfg(not(target_os = "linux"))]
pub use files::*;
