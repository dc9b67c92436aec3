//! Pid namespaces with few ids, in which ids are reused within moments.

use super::{is_root, skip, test_of, unshare};

/// Runs `body` in network and pid namespaces of its own, as [`super::in_namespace`] does, in the
/// first process of the pid namespace. Ids run from 300, where the kernel begins after a wrap, to
/// `pid_max`.
pub fn in_pid_namespace<F: FnOnce()>(pid_max: u32, body: F) {
    let name = test_of::<F>();
    if !has_limits_of_their_own() {
        return skip(&format!("{name}: pid namespaces have no limit of their own before Linux 6.14"));
    }
    // Each pid namespace has a limit of its own since Linux 6.14. Before, this would change the
    // limit of the machine.
    let limit = "/proc/sys/kernel/pid_max";
    let set_up = format!("ip link set lo up && echo {pid_max} >{limit} && test \"$(cat {limit})\" = {pid_max}");
    let flags = if is_root() { "-npf --mount-proc" } else { "-rnpf --mount-proc" };
    unshare(name, flags, &set_up, body);
}

fn has_limits_of_their_own() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (6, 14))
}
