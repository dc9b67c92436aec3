//! macOS: the portable backend, with what sysctl(3) says about ports.

use sysctl::{CtlValue, Sysctl};
use sysinfo::Uid;

use super::portable::Looks;
use super::{Detail, Scope, bare_host, pcb, portable, procargs, processes};
use crate::error::Error;
use crate::model::{Family, Gap, Host, Pid, Process, ShownBy, Snapshot, Socket, gap};

pub use super::common::{
    Follower, Watch, circumstances, diversions, drop_remnants, enter, is_container, namespaces, owners_of, places,
    replay, started_at, supervisor_of, waiting,
};
pub use super::unix::{is_process, is_user};

/// See [`super::snapshot`].
pub fn snapshot(scope: &Scope) -> Result<Snapshot, Error> {
    let mut snapshot = portable::snapshot(scope, Looks::Two, user_name)?;
    for socket in &mut snapshot.sockets {
        write_addresses(socket);
    }
    read_arguments(&mut snapshot.processes);
    // Unlike on Windows, they are listed if their process is.
    snapshot.gaps.retain(|gap| gap.kind != &gap::BOUND_SOCKETS_UNLISTED);
    snapshot.gaps.push(unlisted(rustix::process::geteuid().is_root()));
    Ok(Snapshot { host: host(), ..snapshot })
}

fn write_addresses(socket: &mut Socket) {
    let (local, index) = pcb::plain(socket.local);
    socket.local = local;
    socket.family = Family::of(local.ip());
    socket.remote = socket.remote.map(|remote| pcb::plain(remote).0);
    socket.device = index.map(|index| interface_name(index).into());
}

fn interface_name(index: u16) -> String {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let found = interfaces.into_iter().find(|interface| interface.index == Some(index.into()));
    found.map_or_else(|| index.to_string(), |interface| interface.name)
}

/// Reads the arguments of processes. sysinfo takes environment variables for arguments if some
/// arguments are empty.
fn read_arguments(processes: &mut [Process]) {
    /// `CTL_KERN` and `KERN_PROCARGS2` (sys/sysctl.h).
    const NAME: [i32; 2] = [1, 49];
    for process in processes {
        let name = i32::try_from(process.pid).map(|pid| vec![NAME[0], NAME[1], pid]);
        let value = name.ok().and_then(|name| sysctl::Ctl::Oid(name).value().ok());
        process.command = match value {
            Some(CtlValue::Node(bytes) | CtlValue::Struct(bytes)) => procargs::parse(&bytes).unwrap_or_default(),
            _ => Vec::new(),
        };
    }
}

/// netstat2 finds sockets by the descriptors of processes (proc_pidfdinfo, libproc.h). Only root
/// sees those of others, and sockets that no process has any more are not found.
fn unlisted(is_root: bool) -> Gap {
    let (summary, shown_by) = if is_root {
        ("sockets that no process has a descriptor of, such as those in TIME_WAIT, are not listed", ShownBy::Nothing)
    } else {
        ("sockets of other users' processes, and those in TIME_WAIT, are not listed", ShownBy::Root)
    };
    Gap { shown_by, ..gap::SOCKETS_OF_OTHERS_UNLISTED.gap(summary) }
}

/// See [`super::describe`].
pub fn describe(pids: Vec<Pid>, detail: Detail) -> Result<Vec<Process>, Error> {
    let mut processes = processes::details(pids, detail, user_name)?;
    read_arguments(&mut processes);
    Ok(processes)
}

/// See [`super::host`].
pub fn host() -> Host {
    /// `IPPORT_RESERVED` (netinet/in.h). Since macOS 10.14 everybody may bind ports below it on the
    /// wildcard address, but on no other.
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
    crate::platform::users::name_of(**uid)
}
