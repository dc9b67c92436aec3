//! Users by their ids. All users that our user namespace does not know have the same id
//! (user_namespaces(7)).

use std::fs;

use nix::sys::socket::UnixCredentials;
use rustix::process::{Pid as RawPid, geteuid, test_kill_process};

use crate::model::Pid;
use crate::platform::proc::status_field;
use crate::platform::users;

/// Whether a peer is our own user, or root.
pub fn is_ours(peer: &UnixCredentials) -> bool {
    let uid = peer.uid();
    uid == 0 || (uid == geteuid().as_raw() && (!is_ambiguous(uid) || may_signal(peer.pid())))
}

/// The id of a user, if it stands for one user, and the name.
pub fn describe(uid: u32) -> (Option<u32>, Option<String>) {
    let uid = Some(uid).filter(|&uid| !is_ambiguous(uid));
    (uid, uid.and_then(users::name_of))
}

/// Whether the id may stand for several users.
pub fn is_ambiguous(uid: u32) -> bool {
    const USUAL: u32 = 65534;
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if uid != read("/proc/sys/kernel/overflowuid").trim().parse().unwrap_or(USUAL) {
        return false;
    }
    // If all users are known, as outside of user namespaces, this id is an ordinary user.
    !read("/proc/self/uid_map").split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// The kernel allows signals between processes of one user, and knows more of a user than this id
/// (kill(2)).
fn may_signal(pid: i32) -> bool {
    RawPid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Whether the real or effective user of a process is `uid`.
pub fn is_of(pid: Pid, uid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut ids = status_field(&status, "Uid").unwrap_or_default().split_ascii_whitespace().take(2);
    !is_ambiguous(uid) && ids.any(|id| id.parse() == Ok(uid))
}
