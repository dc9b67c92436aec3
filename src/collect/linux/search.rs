//! Searches for the owners of sockets: sweeps all processes, checks again what nobody has, and only
//! then looks elsewhere.

use std::collections::HashSet;
use std::path::Path;

use super::elsewhere::{self, Elsewhere};
use super::ending;
use super::host;
use super::kernel_sockets::{self, KernelPort};
use super::owners::{self, Sweep};
use super::quick;
use super::sock_diag::Entry;
use super::view::{self, View};
use crate::collect::Scope;
use crate::error::Error;
use crate::model::Socket;

/// What the search for owners found.
#[derive(Debug, Default)]
pub struct Search {
    /// Who has which socket.
    pub sweep: Sweep,
    /// Why no process could be inspected, if so.
    pub failure: Option<Error>,
    /// Who has sockets without a descriptor. Set only if the sweep left some sockets without an
    /// owner.
    pub elsewhere: Option<Elsewhere>,
    /// What the kernel itself holds. Read only if the sweep left some sockets without an owner.
    pub kernel_ports: Vec<KernelPort>,
    /// Whether only the first holders were looked for.
    pub was_quick: bool,
    /// Whether every pid namespace can be seen.
    pub sees_every_namespace: bool,
}

/// Searches for the owners. Sockets that are closed meanwhile are removed from `entries`: nobody
/// has them, and that must not be taken for a finding.
pub fn search(proc: &Path, view: &mut View<'_>, scope: &Scope, entries: &mut Vec<Entry>) -> Result<Search, Error> {
    let wanted = inodes(&*entries);
    let sees_every_namespace = host::sees_every_pid_namespace(proc);
    let found = if scope.quick { quick::look(proc, entries) } else { Ok(None) };
    let (sweep, was_quick) = match found.and_then(|found| match found {
        Some(sweep) => Ok((sweep, true)),
        None => Ok((owners::find(proc, &wanted)?, false)),
    }) {
        Ok(found) => found,
        // Sockets without owners are still worth an answer.
        Err(error) => return Ok(Search { failure: Some(error), ..Search::default() }),
    };
    let mut search = Search { sweep, was_quick, sees_every_namespace, ..Search::default() };
    if entries.iter().any(|entry| is_in_doubt(entry, &search.sweep)) {
        drop_closed(view, scope, entries, &search.sweep)?;
        look_again(proc, view, scope, entries, &mut search.sweep)?;
        if !unowned(&*entries, &search.sweep).is_empty() {
            look_further(proc, entries, &mut search);
        }
        // What is still open now was open during the whole search.
        drop_closed(view, scope, entries, &search.sweep)?;
    }
    Ok(search)
}

/// Looks once for the owners of sockets that are new, as their processes may end soon. Returns the
/// sockets without an owner apart: they may be closed already.
pub fn glance(proc: &Path, entries: Vec<Entry>) -> (Search, Vec<Entry>, Vec<Entry>) {
    let wanted = inodes(&entries);
    let sees_every_namespace = host::sees_every_pid_namespace(proc);
    let search = match owners::find(proc, &wanted) {
        Ok(sweep) => Search { sweep, sees_every_namespace, ..Search::default() },
        Err(error) => Search { failure: Some(error), ..Search::default() },
    };
    let (unowned, owned) = entries.into_iter().partition(|entry| is_in_doubt(entry, &search.sweep));
    (search, owned, unowned)
}

/// Looks again for the owners of sockets that can be inspected, before anything is said of them. A
/// socket may have been passed to a process that was inspected before, and a process that is ending
/// has sockets for a moment that nobody can find.
fn look_again(
    proc: &Path,
    view: &mut View<'_>,
    scope: &Scope,
    entries: &mut Vec<Entry>,
    sweep: &mut Sweep,
) -> Result<(), Error> {
    let missing = unowned(entries.iter().filter(|entry| may_be_ours(&entry.socket)), sweep);
    sweep.add(owners::find(proc, &missing)?);
    let is_missing = |entry: &&Entry| is_in_doubt(entry, sweep) && may_be_ours(&entry.socket);
    let mut users: Vec<u32> = entries.iter().filter(is_missing).filter_map(|entry| entry.socket.uid).collect();
    users.sort_unstable();
    users.dedup();
    if !users.is_empty() && ending::wait(proc, &users) {
        drop_closed(view, scope, entries, sweep)?;
        sweep.add(owners::find(proc, &unowned(entries.iter().filter(|entry| may_be_ours(&entry.socket)), sweep))?);
    }
    Ok(())
}

/// Whether the processes that may have a socket can be inspected: an ordinary user's own.
pub fn may_be_ours(socket: &Socket) -> bool {
    let euid = rustix::process::geteuid();
    euid.is_root() || socket.uid == Some(euid.as_raw())
}

/// Looks for sockets that no descriptor leads to. This is costly, and works only for processes that
/// can be inspected. So an ordinary user searches only for sockets of their own.
fn look_further(proc: &Path, entries: &[Entry], search: &mut Search) {
    search.kernel_ports = kernel_sockets::find(proc);
    let may_be_found =
        |entry: &&Entry| may_be_ours(&entry.socket) && !search.kernel_ports.iter().any(|port| port.is(&entry.socket));
    let missing = unowned(entries.iter().filter(may_be_found), &search.sweep);
    if !missing.is_empty() {
        search.elsewhere = Some(elsewhere::look(proc, &missing));
    }
}

/// Removes the sockets without an owner that are no longer open.
fn drop_closed(view: &mut View<'_>, scope: &Scope, entries: &mut Vec<Entry>, sweep: &Sweep) -> Result<(), Error> {
    let is_doubtful = |entry: &Entry| is_in_doubt(entry, sweep) && view::is_worth_a_look(&entry.socket);
    let doubtful: Vec<&Socket> = entries.iter().filter(|entry| is_doubtful(entry)).map(|entry| &entry.socket).collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    let key = |Entry { socket, .. }: &Entry| {
        (socket.namespace.clone(), socket.inode, socket.protocol, socket.local, socket.state)
    };
    let again = view.read_again(scope, &doubtful)?;
    let open: HashSet<_> = again.iter().map(key).collect();
    let open_inodes: HashSet<u64> = again.iter().filter_map(|entry| entry.socket.inode).collect();
    entries.retain(|entry| {
        let is_open = match entry.socket.inode {
            // Its state may have changed since.
            Some(inode) => open_inodes.contains(&inode),
            None => open.contains(&key(entry)),
        };
        is_open || !is_doubtful(entry)
    });
    Ok(())
}

/// Whether a socket should have an owner and none was found. It may have been closed meanwhile. A
/// waiting socket without an inode is just being closed.
fn is_in_doubt(entry: &Entry, sweep: &Sweep) -> bool {
    match entry.socket.inode {
        Some(inode) => sweep.owners_of(inode).next().is_none(),
        None => entry.socket.state.is_waiting(),
    }
}

/// The inodes of `entries` that the sweep found nowhere, ascending.
fn unowned<'a>(entries: impl IntoIterator<Item = &'a Entry>, sweep: &Sweep) -> Vec<u64> {
    inodes(entries.into_iter().filter(|entry| is_in_doubt(entry, sweep)))
}

/// The inodes of `entries`, ascending.
fn inodes<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u64> {
    let mut inodes: Vec<u64> = entries.into_iter().filter_map(|entry| entry.socket.inode).collect();
    inodes.sort_unstable();
    inodes.dedup();
    inodes
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Attribution;
    use super::*;
    use crate::model::{Owners, State};
    use crate::testing::listener;

    fn entry(state: State, inode: Option<u64>) -> Entry {
        Entry { socket: Socket { state, inode, ..listener("127.0.0.1:8080") }, interface: 0, cgroup_id: None }
    }

    /// A listener between its close and its end has no inode, and was once called the kernel's.
    #[test]
    fn a_socket_that_is_just_being_closed_is_in_doubt_and_not_the_kernels() {
        let search = Search { sees_every_namespace: true, ..Search::default() };
        for state in [State::Listen, State::Bound, State::Unconnected] {
            let closing = entry(state, None);
            assert!(is_in_doubt(&closing, &search.sweep));
            let owners = Attribution::new(Path::new("/proc"), &search, None).owners_of(&closing, None).owners;
            assert!(matches!(owners, Owners::Hidden { .. }), "{owners:?}");
        }
        let remnant = entry(State::TimeWait, None);
        assert!(!is_in_doubt(&remnant, &search.sweep));
        assert_eq!(Attribution::new(Path::new("/proc"), &search, None).owners_of(&remnant, None).owners, Owners::None);
    }

    #[test]
    fn a_socket_whose_owner_was_found_is_not_in_doubt() {
        let sweep = Sweep { found: vec![(7, 42, 3)], ..Sweep::default() };
        assert!(!is_in_doubt(&entry(State::Listen, Some(7)), &sweep));
        assert!(is_in_doubt(&entry(State::Listen, Some(8)), &sweep));
        assert_eq!(unowned(&[entry(State::Listen, Some(7)), entry(State::Listen, Some(8))], &sweep), [8]);
    }
}
