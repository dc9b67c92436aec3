//! macOS: the portable backend, with what sysctl(3) tells of ports.

use sysctl::Sysctl;
use sysinfo::Uid;

use super::{Detail, Scope, bare_host, portable, processes};
use crate::error::Error;
use crate::model::{Gap, Hides, Host, Pid, Process, ShownBy, Snapshot};

pub use super::common::{Watch, circumstances, drop_remnants, owners_of, supervisor_of, waiting};

/// See [`super::snapshot`].
pub fn snapshot(scope: &Scope) -> Result<Snapshot, Error> {
    let mut snapshot = portable::snapshot(scope, user_name)?;
    snapshot.gaps.push(unlisted(rustix::process::geteuid().is_root()));
    Ok(Snapshot { host: host(), ..snapshot })
}

/// netstat2 finds sockets by the descriptors of processes (proc_pidfdinfo, libproc.h): those of others only as root, and none that
/// no process has any more.
fn unlisted(is_root: bool) -> Gap {
    let (summary, shown_by) = if is_root {
        ("sockets that no process has a descriptor of, such as those in TIME_WAIT, are not listed", ShownBy::Nothing)
    } else {
        ("sockets of other users' processes are not listed", ShownBy::Root)
    };
    Gap {
        code: "sockets-of-others-unlisted",
        hides: Hides::Sockets,
        protocol: None,
        summary: summary.to_owned(),
        shown_by,
    }
}

/// See [`super::describe`].
pub fn describe(pids: Vec<Pid>, detail: Detail) -> Result<Vec<Process>, Error> {
    processes::details(pids, detail, user_name)
}

/// See [`super::host`].
pub fn host() -> Host {
    /// `IPPORT_RESERVED` (netinet/in.h). Since macOS 10.14 everybody may bind the wildcard address below it, but no other.
    const RESERVED: u16 = 1024;
    Host {
        euid: Some(rustix::process::geteuid().as_raw()),
        ephemeral_range: port("net.inet.ip.portrange.first").zip(port("net.inet.ip.portrange.last")),
        unprivileged_start: Some(RESERVED),
        ..bare_host()
    }
}

fn port(setting: &str) -> Option<u16> {
    let text = sysctl::Ctl::new(setting).ok()?.value_string().ok()?;
    text.trim().parse().ok()
}

fn user_name(uid: &Uid) -> Option<String> {
    uzers::get_user_by_uid(**uid).map(|user| user.name().to_string_lossy().into_owned())
}
