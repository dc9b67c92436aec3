//! For whom a lease is: no conflict for its own caller, but for everybody else.

use std::process::{Command, Stdio};

use crate::common::lease::{Leases, Somebody, can_bind, leased, pick_one, ports_of, printed, release_all};
use crate::common::{Run, codes, has, in_namespace, is_root, json, port, run, skip};
use serde_json::{Value, json as value};

/// What a shell prints that has `portcheck` in its PATH.
fn shell(script: &str) -> Run {
    let directory = std::path::Path::new(env!("CARGO_BIN_EXE_portcheck")).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("PATH", path).stdin(Stdio::null());
    Run::from(command.output().unwrap())
}

/// Regression: a script's own lease counted against it: `portcheck -q` said 1, `wait --for free`
/// ran out of time, and `--prefer` picked another port.
#[test]
fn every_way_to_get_a_port_goes_with_every_way_to_use_it() {
    in_namespace(|| {
        let _leases = Leases;
        // From the README and docs/recipes.md. Each leaves its port in $p.
        let ways_to_get = [
            "p=$(portcheck --free)",
            "p=$(portcheck --free --hold)",
            "p=$(portcheck --free --sticky web)",
            "p=$(portcheck --free --prefer 3000 --near 3000)",
            "p=$(portcheck --free --prefer 3000 --hold)",
            "portcheck --free --env-file env >/dev/null; . ./env; p=$PORT",
            "p=$(cd /; portcheck --free --hold)",
            "p=$(timeout 20 portcheck --free --hold)",
        ];
        let ways_to_use = [
            "portcheck -q $p && echo free",
            "portcheck $p --wait free --timeout 5s -- echo free",
            "portcheck $p/tcp --wait free --reuse-addr --timeout 5s -- echo free",
            "portcheck $p --reuse-addr -q && echo free",
            "test $(portcheck --free --prefer $p) = $p && echo free",
            "test $(portcheck --free --hold --prefer $p) = $p && echo free",
            "portcheck $p/tcp --kill --yes --reuse-addr >&2 && echo free",
            "portcheck --release $p >&2; portcheck -q $p && echo free",
            "(portcheck -q $p) && sh -c \"portcheck -q $p; exit\" && echo free",
        ];
        let directory = tempfile::tempdir().unwrap();
        for get in ways_to_get {
            for use_it in ways_to_use {
                let said = shell(&format!("cd {}; rm -f env; {get}; {use_it}", directory.path().display()));
                assert_eq!((said.code, &*said.stdout), (0, "free\n"), "{get}; {use_it}: {said:?}");
                release_all();
            }
        }
        // A command gets its port by a variable, and has it while it runs.
        for use_it in &ways_to_use[..6] {
            let said = shell(&format!("portcheck --free -- sh -c 'p=$PORT; {use_it}'"));
            assert_eq!((said.code, &*said.stdout), (0, "free\n"), "{use_it}: {said:?}");
        }
        assert!(leased().is_empty());
    });
}

#[test]
fn a_lease_is_no_conflict_for_its_caller_and_one_for_everybody_else() {
    in_namespace(|| {
        let _leases = Leases;
        let other = Somebody::new();
        for hold in [&[][..], &["--hold"]] {
            let own = pick_one(hold);
            let theirs = other.pick_one(hold);
            for (picked, status, severity, exit) in [(own, "free", "info", 0), (theirs, "held", "conflict", 1)] {
                let answer = json(&[&picked.to_string()]);
                assert_eq!(answer["exit_code"], exit, "{answer:#}");
                for protocol in ["tcp", "udp"] {
                    let found = port(&answer, picked, protocol);
                    let lease = &found["findings"][0];
                    assert_eq!((&found["status"], &lease["code"]), (&value!(status), &value!("leased")), "{found:#}");
                    assert_eq!(lease["severity"], severity);
                }
            }
            // Others get another port, whatever they prefer.
            assert_ne!(pick_one(&["--prefer", &theirs.to_string()]), theirs);
            assert_eq!(pick_one(&["--prefer", &own.to_string()]), own);
        }
        assert_eq!(run(&["--free", "--range", "20010-20010"]).code, 0);
        assert_eq!(run(&["--free", "--range", "20010-20010"]).code, 1, "another one was asked for, not the same again");
    });
}

/// Regression: the server's port had two rows, and the first was that of its hold.
#[test]
fn the_server_is_the_holder_and_not_what_keeps_its_port() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let script = "import os, socket, subprocess, sys
port = os.environ['PORT']
server = socket.create_server(('127.0.0.1', int(port)))
for arguments in [port, '--json'], ['--json'], [port], []:
    print(subprocess.run([sys.argv[1], *arguments], stdout=subprocess.PIPE, text=True).stdout, end='\\0', flush=True)
print(port)";
        let own = env!("CARGO_BIN_EXE_portcheck");
        // A program that waits for the server, as npm does, also has the descriptors of the hold.
        let said = run(&["--free", "--", "sh", "-c", "python3 -c \"$1\" \"$2\"; exit", "sh", script, own]);
        assert_eq!((said.code, &*said.stderr), (0, ""));
        let parts: Vec<&str> = said.stdout.split('\0').collect();
        let picked: u16 = parts[4].trim().parse().unwrap();
        let answer: Value = serde_json::from_str(parts[0]).unwrap();
        assert_eq!(codes(port(&answer, picked, "tcp")), ["listener", "leased"], "{answer:#}");
        assert!(parts[2].starts_with(&format!("{picked}/tcp is in use: python3")), "{}", parts[2]);
        assert!(!parts[2].contains("bound to"), "{}", parts[2]);
        let rows: Vec<&str> = parts[3].lines().filter(|row| row.contains(&picked.to_string())).collect();
        assert!(rows.len() == 1 && rows[0].contains("python3"), "{}", parts[3]);
    });
}

/// Regression: the hold of `$(timeout 5 portcheck free --hold)` ended at once, with its caller,
/// timeout.
#[test]
fn a_hold_is_for_the_shell_and_not_for_a_wrapper() {
    in_namespace(|| {
        let _leases = Leases;
        for wrapper in ["timeout 20", "timeout 20 env A=b", "timeout 20 timeout 20", "nice timeout 20 nice"] {
            let script = format!(
                "p=$({wrapper} portcheck --free --hold); portcheck --leases --json; test -n \"$p\" && portcheck --release $p >&2; echo; echo $$"
            );
            let said = shell(&script);
            let listing: Value = serde_json::Deserializer::from_str(&said.stdout).into_iter().next().unwrap().unwrap();
            let pid: u32 = said.stdout.lines().last().unwrap().parse().unwrap();
            let lease = &listing["free"]["leases"][0];
            assert_eq!(
                (&lease["kind"], &lease["client"]["pid"]),
                (&value!("held"), &value!(pid)),
                "{wrapper}: {said:?}"
            );
        }
    });
}

/// Regression: two callers with the same id in two pid namespaces were taken for one.
#[test]
fn callers_in_two_pid_namespaces_are_two() {
    in_namespace(|| {
        let _leases = Leases;
        let flags = if is_root() { "-pf" } else { "-rpf" };
        let start = |proc: &str| {
            let mut command = Command::new("unshare");
            command.args([
                flags,
                proc,
                "sh",
                "-c",
                "$0 --free --sticky web; read line",
                env!("CARGO_BIN_EXE_portcheck"),
            ]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        };
        let read = |child: &mut std::process::Child| {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line)
                .unwrap();
            line.trim_end().parse::<u16>().ok()
        };
        // With a /proc of their own, and with that of the machine.
        for proc in ["--mount-proc", "--kill-child"] {
            let mut one = start(proc);
            let first = read(&mut one);
            let mut other = start(proc);
            let ports = (first, read(&mut other));
            for mut child in [one, other] {
                drop(child.stdin.take());
                let _ = child.wait();
            }
            match ports {
                (Some(one), Some(other)) => assert_ne!(one, other, "{proc}: both live"),
                _ => skip(&format!("no pid namespace with {proc}")),
            }
            release_all();
        }
        // The same shell is the same caller every time.
        let said = shell("portcheck --free --sticky web; portcheck --free --sticky web");
        let ports = printed(&said.stdout);
        assert_eq!(ports[0], ports[1]);
    });
}

/// The next run gets the ports of a caller that has ended.
#[test]
fn a_name_sticks_to_its_port_from_run_to_run() {
    in_namespace(|| {
        let _leases = Leases;
        let once = || printed(&shell("portcheck --free --sticky web; exit").stdout)[0];
        let first = once();
        assert_eq!((once(), once()), (first, first));
        assert!(can_bind([127, 0, 0, 1], first, false));
        assert_eq!(ports_of(&json(&["--leases"])), [first]);
    });
}
