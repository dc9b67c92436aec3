//! What a filter may miss: holders that could not be inspected.

use crate::collect::{self, Detail};
use crate::model::{Gap, Hides, Snapshot, Socket};
use crate::request::Filter;

/// Whether processes that could not be inspected may be some that `filter` asks for, and hold a
/// socket that is asked about otherwise.
pub fn misses_wanted(filter: &Filter, snapshot: &Snapshot, is_asked: impl Fn(&Socket) -> bool) -> bool {
    let is_missed = |socket: &Socket| {
        socket.owners.is_unsure()
            && is_asked(socket)
            && filter.has_state(socket)
            && filter.has_port(socket)
            && !filter.has_owner(socket, &snapshot.processes)
    };
    filter.names_holders()
        && snapshot.sockets.iter().any(is_missed)
        && snapshot.gaps.iter().any(|gap| may_hide_wanted(gap, filter))
}

/// Whether one of the ends of a connection fits, as seen from either.
pub fn is_connection_asked(filter: &Filter, socket: &Socket) -> bool {
    let (local, remote) = (socket.local, socket.remote);
    remote.is_some_and(|remote| filter.has_ends(local, Some(remote)) || filter.has_ends(remote, Some(local)))
}

/// What is known of a process that cannot be inspected, such as its name, may say that it is another.
fn may_hide_wanted(gap: &Gap, filter: &Filter) -> bool {
    if gap.kind.hides != Hides::Owners || gap.pids.is_empty() {
        return gap.kind.hides == Hides::Owners;
    }
    let is_it = |pid: &u32| filter.pids.is_empty() || filter.pids.contains(pid);
    let pids = gap.pids.iter().copied().filter(is_it).collect();
    collect::describe(pids, Detail::Brief).is_ok_and(|processes| processes.iter().any(|it| filter.may_name(it)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Owners, Pid, gap};
    use crate::testing::{host, listener};

    fn misses(filter: &Filter, unreadable: &[Pid]) -> bool {
        let hidden = Socket { owners: Owners::Hidden { reason: "not yours".to_owned() }, ..listener("127.0.0.1:80") };
        let gap = Gap { pids: unreadable.to_vec(), ..gap::UNREADABLE_PROCESSES.gap("some could not be inspected") };
        let snapshot = Snapshot { host: host(), sockets: vec![hidden], processes: Vec::new(), gaps: vec![gap] };
        misses_wanted(filter, &snapshot, |_| true)
    }

    #[test]
    fn only_a_process_that_was_not_seen_may_be_missed() {
        let own = std::process::id();
        let pid = |pid: Pid| Filter { pids: vec![pid], ..Filter::default() };
        let called = |name: &str| Filter { processes: vec![name.to_owned()], ..Filter::default() };
        assert!(misses(&pid(own), &[own]) && !misses(&pid(own), &[own + 1]));
        assert!(misses(&called("portcheck"), &[own]) && !misses(&called("no-such-name"), &[own]));
        assert!(misses(&called("no-such-name"), &[]), "nobody knows who was not seen");
        assert!(!misses(&Filter::default(), &[own]), "without a name, the list has the socket");
        let exposed = Filter { exposed: true, ..pid(own) };
        assert!(!misses(&exposed, &[own]), "the socket is not exposed");
    }
}
