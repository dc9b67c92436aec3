//! Systems whose sockets neither netstat2 nor this crate can list: it builds there, and says so in one line.

use super::{Detail, Scope};
use crate::error::Error;
use crate::model::{Circumstances, Host, InterfaceAddress, Pid, Process, Snapshot};

pub use super::common::{Watch, drop_remnants, owners_of, supervisor_of, waiting};

/// See [`super::snapshot`].
pub fn snapshot(_scope: &Scope) -> Result<Snapshot, Error> {
    Err(Error::Unsupported(std::env::consts::OS))
}

/// See [`super::circumstances`].
pub fn circumstances(_is_refused: bool, addresses: Vec<InterfaceAddress>) -> Circumstances {
    Circumstances { addresses, ..Circumstances::default() }
}

/// See [`super::describe`].
pub fn describe(_pids: Vec<Pid>, _detail: Detail) -> Result<Vec<Process>, Error> {
    Err(Error::Unsupported(std::env::consts::OS))
}

/// See [`super::host`].
pub fn host() -> Host {
    super::bare_host()
}
