//! Leases, holds and commands on Linux.
//!
//! A lease is an abstract unix socket named after the port (unix(7)). The kernel lets nobody else have the name, whatever
//! user they are and whatever files they see; it is known in one network namespace, as the port itself; and it is gone
//! with the last process that has it open, so nothing is ever left behind.

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

/// Whether a bound socket can keep a port for a server that binds it too.
pub const CAN_HOLD: bool = true;

/// Whether a server on one address and one on all can have the same port: never without being seen by an exclusive bind.
pub const LETS_COEXIST: bool = false;
