//! Windows: the portable backend, with what netsh and the registry say about ports.

mod portproxy;

use std::path::Path;
use std::process::{Command, Stdio};

use sysinfo::Uid;

use super::portable::Looks;
use super::{BindFailure, Detail, Scope, bare_host, netsh, portable, processes};
use crate::error::Error;
use crate::model::{
    Circumstances, ExcludedRange, Family, Host, InterfaceAddress, KernelUser, Owners, Pid, Process, Protocol, Snapshot,
    Socket, find_process, gap,
};

pub use super::common::{
    Follower, Watch, diversions, drop_remnants, enter, is_container, namespaces, owners_of, places, replay, started_at,
    supervisor_of, waiting,
};

/// The process under which the kernel and its drivers are listed.
const SYSTEM: Pid = 4;

/// See [`super::snapshot`].
pub fn snapshot(scope: &Scope) -> Result<Snapshot, Error> {
    let mut snapshot = portable::snapshot(scope, Looks::One, user_name)?;
    for socket in &mut snapshot.sockets {
        recognise_drivers(socket);
        tell_families_apart(socket);
    }
    // For an exit code alone, these details are not read.
    if scope.detail > Detail::Nothing {
        for socket in &mut snapshot.sockets {
            doubt_ended(socket, &snapshot.processes);
        }
        if snapshot.sockets.iter().any(|socket| socket.state.is_listening()) {
            let rules = portproxy::rules();
            for socket in &mut snapshot.sockets {
                socket.forwards_to = portproxy::of(&rules, socket, &snapshot.processes).map(Box::new);
            }
        }
        // The table is the same for every user.
        snapshot.gaps.retain(|gap| gap.kind != &gap::UNREADABLE_PROCESSES);
        snapshot.gaps.extend(portable::owners_untold(&snapshot.sockets));
    }
    snapshot.processes.retain(|process| process.pid != SYSTEM);
    // A listing does not show how the system picks ports.
    if !scope.targets.is_empty() && scope.detail > Detail::Nothing {
        snapshot.host = host();
    }
    Ok(snapshot)
}

/// A listener of the process `System` is in the kernel: there is no process to end.
fn recognise_drivers(socket: &mut Socket) {
    if !matches!(&socket.owners, Owners::Known(pids) if pids.contains(&SYSTEM)) {
        return;
    }
    socket.owners = Owners::Kernel;
    let user = match (socket.protocol, socket.local.port()) {
        (_, 137..=139) => Some(KernelUser::NetBios),
        // [MS-SMB2], section 2.1.
        (_, 445) => Some(KernelUser::FileSharing),
        // The NFS server with its port mapper, and PPTP: drivers that do not use http.sys.
        (_, 111 | 2049 | 1723) => None,
        (Protocol::Tcp, _) if socket.state.is_listening() => Some(KernelUser::HttpSys),
        _ => None,
    };
    socket.kernel_user = user.map(Box::new);
}

/// A socket of both families has a row for each family, so an IPv6 row never stands for IPv4.
fn tell_families_apart(socket: &mut Socket) {
    if socket.family == Family::Ipv6 {
        socket.v6only = Some(true);
    }
}

/// The table names the process that made a socket, even after its end if another process has
/// inherited the socket.
fn doubt_ended(socket: &mut Socket, processes: &[Process]) {
    let Owners::Known(pids) = &mut socket.owners else { return };
    let made_by = pids.first().copied();
    pids.retain(|&pid| find_process(processes, pid).is_some());
    if let (true, Some(pid)) = (pids.is_empty(), made_by) {
        let reason = format!("the process that made it (pid {pid}) has ended, and another one has inherited it");
        socket.owners = Owners::Hidden { reason };
    }
}

/// See [`super::describe`].
pub fn describe(pids: Vec<Pid>, detail: Detail) -> Result<Vec<Process>, Error> {
    processes::details(pids, detail, user_name)
}

/// See [`super::circumstances`].
pub fn circumstances(failure: BindFailure, addresses: Vec<InterfaceAddress>) -> Circumstances {
    let excluded_ranges = (failure == BindFailure::Refused).then(excluded_ranges).flatten();
    Circumstances { excluded_ranges, ..super::common::circumstances(failure, addresses) }
}

/// The excluded ranges of both protocols. `None` if netsh does not report them. No documented call
/// lists them.
fn excluded_ranges() -> Option<Vec<ExcludedRange>> {
    let mut ranges = Vec::new();
    for protocol in Protocol::ALL {
        let argument = format!("protocol={protocol}");
        let text = ask_netsh(&["interface", "ipv4", "show", "excludedportrange", &argument])?;
        ranges.extend(netsh::excluded_ranges(&text, protocol));
    }
    Some(ranges)
}

/// See [`super::host`].
pub fn host() -> Host {
    let text = ask_netsh(&["interface", "ipv4", "show", "dynamicport", "tcp"]);
    Host { ephemeral_range: text.as_deref().and_then(netsh::dynamic_range), ..bare_host() }
}

/// The output of netsh, in the language of the machine. `None` if it fails.
fn ask_netsh(arguments: &[&str]) -> Option<String> {
    // By its full path, so that no program of that name in the current directory is run.
    let root = std::env::var_os("SystemRoot")?;
    let program = Path::new(&root).join("System32").join("netsh.exe");
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    // Only figures are read, and these are the same in all code pages.
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// See [`super::is_process`].
pub fn is_process(pid: Pid) -> bool {
    describe(vec![pid], Detail::Brief).is_ok_and(|found| !found.is_empty())
}

/// See [`super::is_user`].
pub fn is_user(name: &str) -> bool {
    winsafe::LookupAccountName(None, name).is_ok()
}

/// The name of an account by its security identifier. `sysinfo` would list all accounts for this.
fn user_name(uid: &Uid) -> Option<String> {
    let sid = winsafe::ConvertStringSidToSid(&uid.to_string()).ok()?;
    let (_, name, _) = winsafe::LookupAccountSid(None, &sid).ok()?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, State};

    fn of_system(protocol: Protocol, state: State, local: &str) -> Socket {
        let socket = Socket::new(protocol, Family::Ipv4, state, local.parse().unwrap());
        Socket { owners: Owners::Known(vec![SYSTEM]), ..socket }
    }

    #[test]
    fn who_made_a_socket_and_has_ended_is_not_called_its_owner() {
        let processes = [crate::testing::process(44, 1, "web.exe")];
        let of = |pids: &[Pid]| {
            let mut socket = Socket {
                owners: Owners::Known(pids.to_vec()),
                ..of_system(Protocol::Tcp, State::Listen, "0.0.0.0:80")
            };
            doubt_ended(&mut socket, &processes);
            socket.owners
        };
        assert_eq!(of(&[44]), Owners::Known(vec![44]));
        assert!(matches!(of(&[48]), Owners::Hidden { reason } if reason.contains("pid 48")));
    }

    #[test]
    fn the_process_system_stands_for_drivers() {
        for (mut socket, expected) in [
            (of_system(Protocol::Tcp, State::Listen, "0.0.0.0:80"), Some(KernelUser::HttpSys)),
            (of_system(Protocol::Tcp, State::Listen, "0.0.0.0:445"), Some(KernelUser::FileSharing)),
            (of_system(Protocol::Udp, State::Unconnected, "0.0.0.0:137"), Some(KernelUser::NetBios)),
            (of_system(Protocol::Tcp, State::Listen, "0.0.0.0:2049"), None),
            (of_system(Protocol::Udp, State::Unconnected, "0.0.0.0:1701"), None),
        ] {
            recognise_drivers(&mut socket);
            assert_eq!((socket.owners, socket.kernel_user.as_deref()), (Owners::Kernel, expected.as_ref()));
        }
        let mut other =
            Socket { owners: Owners::Known(vec![44]), ..of_system(Protocol::Tcp, State::Listen, "0.0.0.0:80") };
        recognise_drivers(&mut other);
        assert_eq!((other.owners, other.kernel_user), (Owners::Known(vec![44]), None));
    }
}
