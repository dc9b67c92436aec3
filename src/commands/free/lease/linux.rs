//! Leases, holds and commands on Linux.
//!
//! A lease is an abstract unix socket named after the port (unix(7)). Only one process can have the
//! name, whatever its user, and whatever files it can see. The name is limited to one network
//! namespace, as the port is. It disappears with the last process that has it open, so nothing is
//! ever left behind.

mod ask;
mod caller;
mod command;
mod daemon;
mod lock;
mod packets;
mod protocol;
mod registry;
mod start;
mod users;

pub use ask::Patience;
pub use caller::{Watched, watch, watch_caller};
pub use command::{Inheritance, become_command};
pub use daemon::serve;
pub use lock::{Lock, lock};
pub use registry::{leases, reclaim, release, take_over};
pub use start::{Keeping, Kept, keep};

/// Whether a server can bind a port that another bound socket keeps.
pub const CAN_HOLD: bool = true;

/// Whether one server on a single address and one on all addresses can share a port. On Linux an
/// exclusive bind always notices them.
pub const LETS_COEXIST: bool = false;
