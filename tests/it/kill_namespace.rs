//! `portcheck kill` where process ids mean two things: in a pid namespace that still shows the
//! outer /proc.

use std::process::Command;

use crate::common::role::Role;
use crate::common::{Run, in_namespace, skip};
use serde_json::{Value, json as value};

/// Starts a process with the id `$1` in a new pid namespace without a /proc of its own, and then
/// runs the other arguments. Prints how they ended, and whether the process lives.
const WITH_A_NAMESAKE: &str = "echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid || exit 77; sleep 60 & \
    test $! = $1 || exit 77; namesake=$1; shift; \"$@\"; kill -0 $namesake && echo lives";

fn beside_a_namesake(pid: u32, arguments: &[&str]) -> Option<Run> {
    let mut command = Command::new("unshare");
    command.args(["-pf", "--", "sh", "-c", WITH_A_NAMESAKE, "sh", &pid.to_string()]);
    let run = Run::from(command.arg(env!("CARGO_BIN_EXE_portcheck")).args(arguments).output().unwrap());
    if run.code == 77 {
        skip(&format!("the next process id cannot be chosen: {run:?}"));
        return None;
    }
    Some(run)
}

/// Regression: a holder's id in the outer /proc was taken for the process of the inner namespace
/// with the same id, which got the signal.
#[test]
fn a_foreign_proc_makes_nobody_the_target_of_a_signal() {
    in_namespace(|| {
        let (holder, _) = Role::playing("listen 127.0.0.1:8080");
        let kill = ["8080/tcp", "--kill", "--yes", "--force"];
        let Some(run) = beside_a_namesake(holder.pid(), &kill) else { return };
        assert!(run.stdout.ends_with("lives\n"), "{run:?}");
        assert!(run.stdout.contains("/proc shows the processes of another pid namespace"), "{run:?}");
        assert!(run.stdout.contains("mount -t proc proc /proc"), "{run:?}");

        let Some(run) = beside_a_namesake(holder.pid(), &[&kill[..], &["--json"]].concat()) else { return };
        let answer: Value = serde_json::from_str(run.stdout.strip_suffix("lives\n").unwrap()).unwrap();
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("refused"), &value!(1)));
        assert_eq!((&answer["kill"]["steps"], &answer["kill"]["holders"]), (&value!([]), &value!([])));

        let wait = ["8080/tcp", "--wait", "free", "--pid", &holder.pid().to_string(), "--timeout", "1s"];
        let Some(run) = beside_a_namesake(holder.pid(), &wait) else { return };
        assert!(run.stderr.contains("another pid namespace") && run.stdout == "lives\n", "{run:?}");
    });
}
