//! `portcheck free` on a terminal that closes as soon as it returns: `ssh -t`, `docker run -t`,
//! script(1).

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::common::lease::{Leases, can_bind, leased, printed, release_all};
use crate::common::{has, in_namespace, skip};

/// A shell command on a terminal of its own, which script(1) opens and closes.
fn on_a_terminal(line: &str) -> Command {
    let mut command = Command::new("script");
    command.args(["-qec", line, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// The ports that such a command printed.
#[track_caller]
fn ports_of(command: std::process::Child) -> Vec<u16> {
    let output = command.wait_with_output().unwrap();
    printed(&String::from_utf8(output.stdout).unwrap().replace('\r', ""))
}

/// Regression: when the caller returned, the lease daemon was still in the session of the terminal,
/// and died of its SIGHUP. 36 leases of 40 and 18 holds of 20 were lost silently.
#[test]
fn leases_and_holds_outlive_the_terminal_they_were_asked_for_on() {
    in_namespace(|| {
        if !has("script") {
            return skip("no script(1) to make a terminal");
        }
        let _leases = Leases;
        let own = env!("CARGO_BIN_EXE_portcheck");
        let hold = format!("{own} --free --hold --pid {}", std::process::id());
        for line in [&format!("{own} --free"), &hold] {
            let mut ports: Vec<u16> = (0..20).flat_map(|_| ports_of(on_a_terminal(line).spawn().unwrap())).collect();
            ports.sort_unstable();
            assert_eq!((ports.len(), leased()), (20, ports.clone()), "{line}");
            if line == &hold {
                assert!(ports.iter().all(|&port| !can_bind([127, 0, 0, 1], port, false)));
            }
            release_all();
        }
    });
}

/// Regression: a signal to the whole process group, right after the return, ended the lease.
#[test]
fn leases_outlive_signals_to_the_process_group_of_their_caller() {
    in_namespace(|| {
        if !has("script") {
            return skip("no script(1) to make a terminal");
        }
        let _leases = Leases;
        let own = env!("CARGO_BIN_EXE_portcheck");
        for signal in ["KILL", "HUP", "TERM", "INT"] {
            for _ in 0..5 {
                let line = format!("{own} --free; kill -{signal} 0");
                let ports = ports_of(on_a_terminal(&line).spawn().unwrap());
                assert_eq!(leased(), ports, "{signal}");
                release_all();
            }
        }
    });
}

/// Regression: one port was given to two callers, each on a terminal of its own, 20 times of 20.
#[test]
fn five_hundred_terminals_get_a_port_each_and_keep_it() {
    in_namespace(|| {
        if !has("script") {
            return skip("no script(1) to make a terminal");
        }
        let _leases = Leases;
        let line = format!("{} --free --ttl 10m", env!("CARGO_BIN_EXE_portcheck"));
        let callers: Vec<_> = (0..500).map(|_| on_a_terminal(&line).spawn().unwrap()).collect();
        let ports: Vec<u16> = callers.into_iter().flat_map(ports_of).collect();
        let distinct: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!((ports.len(), distinct.len()), (500, 500));
        assert_eq!(leased(), distinct.into_iter().collect::<Vec<_>>());
    });
}
