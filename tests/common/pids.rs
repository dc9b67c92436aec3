//! Pid namespaces with few ids, in which an id is given away again within moments.

use std::io::Write;
use std::process::Command;

use super::{is_root, skip};

/// Runs `body` in network and pid namespaces of its own, as [`super::in_namespace`] does, in the first process of the latter.
/// Ids run from 300, which the kernel begins with after a wrap, to below `pid_max`.
pub fn in_pid_namespace(name: &str, pid_max: u32, body: impl FnOnce()) {
    const INSIDE: &str = "PORTCHECK_TEST_PID_NAMESPACE";
    if std::env::var(INSIDE).as_deref() == Ok(name) {
        return body();
    }
    // The limit is a namespace's own since Linux 6.14; before, this would change the whole machine's.
    let set_up = format!(
        "ip link set lo up && echo {pid_max} >/proc/sys/kernel/pid_max && test \"$(cat /proc/sys/kernel/pid_max)\" = {pid_max} && exec \"$@\""
    );
    let flags: &[&str] = if is_root() { &["-npf", "--mount-proc"] } else { &["-rnpf", "--mount-proc"] };
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags).args(["--", "sh", "-c", &set_up, "sh"]).args(arguments);
        command
    };
    if !has_limits_of_their_own() {
        return skip(&format!("{name}: pid namespaces have no limit of their own before Linux 6.14"));
    }
    match unshare(&["true"]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => return skip(&format!("{name}: no such namespace: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => return skip(&format!("{name}: no such namespace: {error}")),
    }
    let own = std::env::current_exe().unwrap();
    let output = unshare(&[own.to_str().unwrap(), "--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let _ = write!(std::io::stderr(), "{stderr}");
    assert!(output.status.success(), "in the namespace:\n{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{name} is not the name of this test:\n{stdout}");
}

fn has_limits_of_their_own() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (6, 14))
}
