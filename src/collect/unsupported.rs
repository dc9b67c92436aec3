//! Systems whose sockets neither netstat2 nor this crate can list: it builds there, and says so in one line.

use super::{Detail, Scope};
use crate::error::Error;
use crate::model::{Backend, Circumstances, Host, InterfaceAddress, Pid, Process, Snapshot};
use crate::port_set::PortSet;

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
    Host {
        os: std::env::consts::OS,
        release: sysinfo::System::kernel_version().ok(),
        backend: Backend::Portable,
        euid: None,
        ephemeral_range: None,
        reserved_ports: PortSet::default(),
        unprivileged_start: None,
    }
}
