//! Systems whose sockets neither netstat2 nor this crate can list. portcheck builds there, and says
//! so in one line.

use super::{Detail, Scope};
use crate::error::Error;
use crate::model::{Host, Pid, Process, Snapshot};

pub use super::common::{
    Follower, Watch, circumstances, diversions, drop_remnants, enter, is_container, namespaces, owners_of, places,
    replay, started_at, supervisor_of, waiting,
};

/// See [`super::snapshot`].
pub fn snapshot(_scope: &Scope) -> Result<Snapshot, Error> {
    Err(Error::Unsupported(std::env::consts::OS))
}

/// See [`super::describe`].
pub fn describe(_pids: Vec<Pid>, _detail: Detail) -> Result<Vec<Process>, Error> {
    Err(Error::Unsupported(std::env::consts::OS))
}

/// See [`super::is_process`]. Listing the sockets will say what is wrong.
pub fn is_process(_pid: Pid) -> bool {
    true
}

/// See [`super::is_user`].
pub fn is_user(_name: &str) -> bool {
    true
}

/// See [`super::host`].
pub fn host() -> Host {
    super::bare_host()
}
