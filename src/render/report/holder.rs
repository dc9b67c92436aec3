//! The rows on whoever holds a port: command, directory, age, place.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{forward, tunnel, words};
use crate::classify::Exposure;
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Group, Holder, enumerate};
use crate::model::{ForwardKind, Owners, Pid, Process, Protocol, Socket, State, find_process};
use crate::render::paper::{Length, Paper};
use crate::render::rows::{name_supervisor, supervisor_of_process};
use crate::render::{Style, colour, escape};
use crate::render::{also, home};
use crate::supervisor;

/// Writes the rows of one of `count` groups. One that is alone was named in the first line.
pub fn write(
    group: &Group<'_>,
    count: usize,
    diagnosis: &Diagnosis,
    style: &Style,
    paper: &mut Paper<'_>,
) -> io::Result<()> {
    if count > 1 {
        let name = escape::terminal(&words::holder(&Holder::from(group), &diagnosis.processes)).into_owned();
        writeln!(paper.out, "  {0}{name}{0:#}", colour::STRONG)?;
    }
    if let Some(forward) = &group.sockets[0].forward
        && forward.kind == ForwardKind::Published
    {
        return forward::write(forward, group, diagnosis, style, paper);
    }
    if count == 1 && group.sockets[0].forward.is_some() {
        // The first line names the forward.
        paper.field("process", &group.holder(&diagnosis.processes))?;
    }
    owners(group, diagnosis, style, paper)?;
    match &*group.owners {
        Owners::Partial { reason, .. } => paper.field("perhaps also", reason)?,
        Owners::Likely { reason, .. } => paper.field("deduced", reason)?,
        Owners::Hidden { reason } => hidden(group.sockets[0], reason, paper)?,
        _ => {}
    }
    place(group, diagnosis, style, paper)?;
    tunnel::write(group, diagnosis, paper)
}

/// Writes about the processes. The leader speaks for the others, unless all is asked for.
pub fn owners(group: &Group<'_>, diagnosis: &Diagnosis, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let pids = group.owners.pids();
    let shown = if style.verbose { pids.len() } else { 1 };
    for (index, &pid) in pids.iter().take(shown).enumerate() {
        if index > 0 {
            paper.gap()?;
        }
        match find_process(&diagnosis.processes, pid) {
            Some(found) => {
                if index > 0 {
                    paper.field("process", &format!("{} (pid {pid})", found.name))?;
                }
                process(found, style, paper)?;
            }
            None => paper.field("process", &format!("pid {pid} has ended since"))?,
        }
    }
    match (&*group.owners, pids) {
        (Owners::Known(_) | Owners::Partial { .. }, [_, rest @ ..]) if !rest.is_empty() => {
            paper.field("also held by", &others(rest, diagnosis))
        }
        (Owners::Likely { .. }, [_, rest @ ..]) if !rest.is_empty() => paper.field("or by", &others(rest, diagnosis)),
        _ => Ok(()),
    }
}

fn process(process: &Process, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let length = if style.verbose { Length::Whole } else { Length::Short };
    paper.command("command", &process.command, length)?;
    if let Some(exe) = process.exe.as_ref().filter(|_| style.verbose) {
        paper.field("program", &exe.to_string_lossy())?;
    }
    whereabouts(process, style, paper)?;
    if let Some(started) = started(process, style) {
        paper.field("started", &started)?;
    }
    if let Some(name) = supervisor_of_process(process) {
        paper.field("runs in", &name)?;
    }
    for file in process.unit.iter().flat_map(|unit| &unit.files).filter(|_| style.verbose) {
        paper.field("defined in", &home::path(file, style))?;
    }
    let others: Vec<(u16, Protocol)> =
        process.also_holds.iter().copied().filter(|(port, _)| !tunnel::tells_of(process, *port)).collect();
    match also::sentence("the same process", &others, process.clients) {
        Some(text) => paper.field("also", &text),
        None => Ok(()),
    }
}

/// Writes about the project, or the working directory where there is none or another one.
fn whereabouts(process: &Process, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    if let Some(project) = &process.project {
        let branch = project.git_branch.as_ref().map(|branch| format!(", branch {branch}")).unwrap_or_default();
        paper.field("project", &format!("{}{branch}", home::path(&project.directory, style)))?;
    }
    let is_told = |cwd: &&PathBuf| process.project.as_ref().is_none_or(|project| project.directory != **cwd);
    // The project says enough of a directory below it.
    if let Some(cwd) = process.cwd.as_ref().filter(is_told).filter(|_| style.verbose || process.project.is_none()) {
        paper.field("directory", &home::path(cwd, style))?;
    }
    if let Some((task, file)) =
        process.task.as_ref().filter(|_| style.verbose).and_then(|task| Some((task, task.file.as_ref()?)))
    {
        paper.field("task", &format!("{}, defined in {}", task.title(), home::path(file, style)))?;
    }
    Ok(())
}

/// `2 h ago by ada: npm run dev < bash < tmux`, as far as it is known.
fn started(process: &Process, style: &Style) -> Option<String> {
    let age = process.started_at.map(|started| ago(style.now, started));
    let date = process.started_at.filter(|_| style.verbose).and_then(date);
    let user = match (&process.user, process.uid) {
        (Some(user), _) => Some(format!("by {user}")),
        (None, Some(uid)) => Some(format!("by uid {uid}")),
        (None, None) => None,
    };
    let date = date.map(|date| format!("({date})"));
    let head = [age, date, user].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let chain: Vec<String> = process
        .ancestors
        .iter()
        .map(
            |ancestor| {
                if style.verbose { format!("{} ({})", ancestor.name, ancestor.pid) } else { ancestor.name.clone() }
            },
        )
        .collect();
    match (head.is_empty(), chain.is_empty()) {
        (true, true) => None,
        (false, true) => Some(head),
        (true, false) => Some(format!("from {}", chain.join(" < "))),
        (false, false) => Some(format!("{head}: {}", chain.join(" < "))),
    }
}

/// `3 s ago`, `12 min ago`, `2 h ago`, `5 days ago`.
pub fn ago(now: u64, started: SystemTime) -> String {
    let started = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    match now.saturating_sub(started) {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// `2026-11-21 09:30:00 UTC`.
fn date(started: SystemTime) -> Option<String> {
    let start = jiff::Timestamp::try_from(started).ok()?;
    Some(format!("{} UTC", start.strftime("%F %T")))
}

/// Writes what a socket tells of a process that cannot be seen.
fn hidden(socket: &Socket, reason: &str, paper: &mut Paper<'_>) -> io::Result<()> {
    let user = match (&socket.user, socket.uid) {
        (Some(user), Some(uid)) => format!("{user} (uid {uid})"),
        (None, Some(uid)) => format!("uid {uid}"),
        (_, None) => "unknown".to_owned(),
    };
    paper.field("user", &user)?;
    // The root cgroup says nothing.
    if let Some(cgroup) = socket.cgroup.as_deref().filter(|cgroup| *cgroup != "/") {
        let found = supervisor::of_cgroup(cgroup);
        let name = name_supervisor(found.container.as_ref(), found.unit.as_ref());
        paper.field(if name.is_some() { "runs in" } else { "cgroup" }, name.as_deref().unwrap_or(cgroup))?;
    }
    paper.field("hidden", reason)
}

/// `nginx (813), nginx (814) and 9 more`.
fn others(pids: &[Pid], diagnosis: &Diagnosis) -> String {
    const MOST: usize = 8;
    let name = |&pid: &Pid| match find_process(&diagnosis.processes, pid) {
        Some(process) => format!("{} ({pid})", process.name),
        None => format!("pid {pid}"),
    };
    let text = pids.iter().take(MOST).map(name).collect::<Vec<_>>().join(", ");
    if pids.len() > MOST {
        return format!("{text} and {} more", pids.len() - MOST);
    }
    text
}

/// Writes where the sockets of a group are: one row for those that wait, a row for each connection.
fn place(group: &Group<'_>, diagnosis: &Diagnosis, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    const MOST: usize = 8;
    let waits_on = || format!("{}{}", addresses(&group.sockets), ask_reach(&group.sockets, diagnosis));
    match group.sockets[0].state {
        State::Listen => return paper.field("listens on", &waits_on()),
        State::Unconnected => return paper.field("receives on", &waits_on()),
        State::Bound => return paper.field("bound to", &addresses(&group.sockets)),
        _ => {}
    }
    let most = if style.verbose { usize::MAX } else { MOST };
    for (index, socket) in group.sockets.iter().take(most).enumerate() {
        let peer = socket.remote.map(|peer| format!(" to {peer}")).unwrap_or_default();
        let text = format!("{} {}{peer}", socket.state, socket.local_name());
        paper.field(if index == 0 { "connection" } else { "" }, &text)?;
    }
    if group.sockets.len() > most {
        paper.field("", &format!("and {} more", group.sockets.len() - most))?;
    }
    Ok(())
}

/// What tells whether a firewall is in the way of other machines: ` (portcheck reach 80)`.
fn ask_reach(sockets: &[&Socket], diagnosis: &Diagnosis) -> String {
    let first = sockets[0];
    let is_beyond = sockets.iter().any(|socket| Exposure::of(socket) > Exposure::Namespace);
    // Only Linux has network namespaces, and the command looks at its own.
    if !is_beyond || diagnosis.host.os != "linux" || diagnosis.inside.is_some() || first.namespace.is_some() {
        return String::new();
    }
    let protocol = if first.protocol == Protocol::Tcp { "" } else { "/udp" };
    format!(" (portcheck reach {}{protocol})", first.local.port())
}

/// `all addresses, IPv4 and IPv6; reachable from other machines`, `127.0.0.1 and ::1; this machine
/// only`.
pub fn addresses(sockets: &[&Socket]) -> String {
    let all_ipv4 = sockets.iter().any(|socket| socket.is_wildcard() && socket.serves_ipv4());
    let all_ipv6 = sockets.iter().any(|socket| socket.is_wildcard() && socket.local.is_ipv6());
    let mut places = match (all_ipv4, all_ipv6) {
        (true, true) => vec!["all addresses, IPv4 and IPv6".to_owned()],
        (true, false) => vec!["all IPv4 addresses".to_owned()],
        (false, true) => vec!["all IPv6 addresses".to_owned()],
        (false, false) => Vec::new(),
    };
    for socket in sockets.iter().filter(|socket| !socket.is_wildcard()) {
        let address = socket.local.ip().to_string();
        if !places.contains(&address) {
            places.push(address);
        }
    }
    let mut devices: Vec<String> =
        sockets.iter().filter_map(|socket| socket.device.as_deref().map(str::to_owned)).collect();
    devices.dedup();
    let through =
        if devices.is_empty() { String::new() } else { format!(", through {} only", enumerate(&devices, "and")) };
    let reach = match sockets.iter().map(|socket| Exposure::of(socket)).max() {
        _ if sockets[0].state == State::Bound => "",
        Some(Exposure::Loopback) if sockets.iter().any(|socket| socket.namespace.is_some()) => {
            "; in its network namespace only"
        }
        Some(Exposure::Loopback) | None => "; this machine only",
        Some(Exposure::Namespace) => " of its network namespace",
        Some(Exposure::Interface | Exposure::All) => "; reachable from other machines",
    };
    format!("{}{through}{reach}", enumerate(&places, "and"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::listener;

    #[test]
    fn addresses_are_said_once_for_both_families() {
        let v6only = Socket { v6only: Some(true), ..listener("[::]:80") };
        for (sockets, expected) in [
            (vec![listener("[::]:80")], "all addresses, IPv4 and IPv6; reachable from other machines"),
            (
                vec![listener("0.0.0.0:80"), v6only.clone()],
                "all addresses, IPv4 and IPv6; reachable from other machines",
            ),
            (vec![v6only], "all IPv6 addresses; reachable from other machines"),
            (vec![listener("127.0.0.1:80"), listener("[::1]:80")], "127.0.0.1 and ::1; this machine only"),
            (vec![listener("10.0.0.5:80")], "10.0.0.5; reachable from other machines"),
        ] {
            assert_eq!(addresses(&sockets.iter().collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn ages_are_coarse() {
        for (seconds, expected) in
            [(0, "0 s ago"), (119, "119 s ago"), (150, "2 min ago"), (7_200, "2 h ago"), (200_000, "2 days ago")]
        {
            assert_eq!(ago(1_000_000, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - seconds)), expected);
        }
    }
}
