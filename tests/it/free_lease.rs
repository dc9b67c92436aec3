//! Leases of `portcheck free`: who gets which port next, what ends a lease, and what a lease leaves
//! behind.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::lease::{Leases, Somebody, can_bind, leased, pick_one, ports_of, printed, release_all};
use crate::common::server::until;
use crate::common::{
    NOBODY, codes, in_namespace, is_root, json, json_as_nobody, numbers, port, portcheck_as_nobody, run, skip,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json as value};

/// The lease on a port.
#[track_caller]
pub fn lease(port: u16) -> Value {
    let answer = json(&["--leases"]);
    let leases = answer["free"]["leases"].as_array().unwrap();
    leases.iter().find(|lease| lease["port"] == port).unwrap_or_else(|| panic!("{port} is not leased")).clone()
}

/// Waits until the process that keeps a lease has ended, and returns how long that took.
#[track_caller]
pub fn wait_for_the_end_of(lease: &Value) -> Duration {
    let start = Instant::now();
    let pid = i32::try_from(numbers(&lease["pids"])[0]).unwrap();
    let Ok(keeper) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { return start.elapsed() };
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&keeper, PollFlags::IN)], Some(&patience)).unwrap(), 1, "it does not end");
    start.elapsed()
}

/// Everything that `portcheck free` could leave behind: processes in our namespace, sockets.
#[track_caller]
pub fn assert_nothing_is_left() {
    until("the processes in the background have ended", || keepers() == 0);
    assert!(leased().is_empty());
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    assert!(!sockets.contains("portcheck"), "{sockets}");
}

/// How many processes keep leases in our network namespace.
fn keepers() -> usize {
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes
        .filter(|path| std::fs::read_link(path.join("ns/net")).is_ok_and(|theirs| theirs == ours))
        .filter(|path| std::fs::read(path.join("cmdline")).is_ok_and(|line| line.ends_with(b"--keep-leases\0")))
        .count()
}

#[test]
fn a_lease_ends_when_its_time_is_over() {
    in_namespace(|| {
        let start = Instant::now();
        let port = pick_one(&["--ttl", "700ms"]);
        let lease = lease(port);
        assert!(lease["expires_in_ms"].as_u64().unwrap() <= 700, "{lease}");
        assert_eq!((&lease["kind"], &lease["client"]["ends_lease"]), (&value!("reserved"), &value!(false)));
        wait_for_the_end_of(&lease);
        assert!(start.elapsed() >= Duration::from_millis(700));
        assert_nothing_is_left();
        pick_one(&["--ttl", "0"]);
        assert_nothing_is_left();
    });
}

#[test]
fn a_lease_ends_with_the_process_it_is_for() {
    in_namespace(|| {
        let _leases = Leases;
        for options in [&["--hold"][..], &[]] {
            let mut client = Command::new("sleep").arg("60").spawn().unwrap();
            let port = pick_one(&[&["--pid", &client.id().to_string()], options].concat());
            let lease = lease(port);
            assert_eq!(lease["client"], value!({"name": "sleep", "pid": client.id(), "ends_lease": true}));
            client.kill().unwrap();
            client.wait().unwrap();
            wait_for_the_end_of(&lease);
            assert!(can_bind(Ipv4Addr::UNSPECIFIED, port, false));
        }
        assert_nothing_is_left();
    });
}

/// The hold of `port=$(portcheck free --hold)` is for the shell, and ends with it.
#[test]
fn a_hold_ends_with_the_shell_that_asked_for_it() {
    in_namespace(|| {
        let _leases = Leases;
        let own = env!("CARGO_BIN_EXE_portcheck");
        let script = format!("port=$({own} --free --hold); {own} --leases --json; read line");
        let mut shell =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let deserializer = serde_json::Deserializer::from_reader(shell.stdout.as_mut().unwrap());
        let listing: Value = deserializer.into_iter().next().unwrap().unwrap();
        let lease = &listing["free"]["leases"][0];
        assert_eq!((&lease["kind"], &lease["client"]["pid"]), (&value!("held"), &value!(shell.id())), "{listing:#}");
        drop(shell.stdin.take());
        shell.wait().unwrap();
        wait_for_the_end_of(lease);
        assert_nothing_is_left();
    });
}

/// By the time the port is used, the subshell has ended.
#[test]
fn a_hold_is_for_the_shell_and_not_for_a_subshell_of_it() {
    in_namespace(|| {
        let _leases = Leases;
        let own = env!("CARGO_BIN_EXE_portcheck");
        for shell in ["sh", "bash"].into_iter().filter(|shell| crate::common::has(shell)) {
            let script =
                format!("port=$(cd /; ({own} --free --hold | cat); :); {own} --leases --json; {own} --release $port");
            let output = Command::new(shell).args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
            let pid = output.id();
            let said = output.wait_with_output().unwrap().stdout;
            let listing: Value = serde_json::Deserializer::from_slice(&said).into_iter().next().unwrap().unwrap();
            assert_eq!(listing["free"]["leases"][0]["client"]["pid"], pid, "{shell}: {listing:#}");
        }
    });
}

/// A reader that waits for the end of a pipe must not wait for the process in the background.
#[test]
fn what_runs_in_the_background_holds_nothing_of_the_callers() {
    in_namespace(|| {
        let _leases = Leases;
        // Standard output and error, and a descriptor that a shell has left open.
        let script = format!("exec 7>&1; {} --free --hold --pid 1 --ttl 60s", env!("CARGO_BIN_EXE_portcheck"));
        let start = Instant::now();
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(start.elapsed() < Duration::from_secs(30), "the pipe stayed open");
        let port = printed(&String::from_utf8(output.stdout).unwrap())[0];
        let keeper = numbers(&lease(port)["pids"])[0];
        let links: Vec<String> = std::fs::read_dir(format!("/proc/{keeper}/fd"))
            .unwrap()
            .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned())
            .collect();
        let is_own = |link: &String| link == "/dev/null" || link.starts_with("socket:") || link.contains("pidfd");
        // Standard streams, the client, the lock, IPv4, and IPv6 if there is any.
        assert!(links.iter().all(is_own) && (6..=7).contains(&links.len()), "{links:?}");
        assert_eq!(std::fs::read_link(format!("/proc/{keeper}/cwd")).unwrap(), std::path::Path::new("/"));
        assert_eq!(std::fs::read(format!("/proc/{keeper}/environ")).unwrap(), b"");
        assert_eq!(std::fs::read_to_string(format!("/proc/{keeper}/comm")).unwrap(), "portcheck\n");
    });
}

#[test]
fn leases_are_listed_and_released() {
    in_namespace(|| {
        let _leases = Leases;
        assert_eq!(run(&["--leases"]).stdout, "no port is leased in this network namespace\n");
        let answer = json(&["--free", "3", "--hold"]);
        let mut ports = ports_of(&answer);
        ports.sort_unstable();
        assert_eq!(leased(), ports);
        let table = run(&["--leases"]).stdout;
        assert!(table.lines().count() == 4 && table.contains("held"), "{table}");

        let released = run(&["--release", &ports[0].to_string()]);
        assert_eq!((released.code, released.stdout), (0, format!("{} is released\n", ports[0])));
        assert_eq!(leased(), ports[1..]);
        // At once, with the hold.
        assert!(can_bind(Ipv4Addr::UNSPECIFIED, ports[0], false) && !can_bind(Ipv4Addr::UNSPECIFIED, ports[1], false));
        let again = run(&["--release", &ports[0].to_string()]);
        assert_eq!((again.code, &*again.stdout), (1, ""));
        assert!(again.stderr.contains("is not leased"), "{again:?}");

        let answer = json(&["--release", &format!("{},{}", ports[1], ports[2])]);
        assert_eq!((ports_of(&answer), &answer["free"]["action"]), (ports[1..].to_vec(), &value!("release")));
        assert_nothing_is_left();
    });
}

#[test]
fn a_lease_keeps_other_users_off_and_only_its_own_ends_it() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let _leases = Leases;
        let range = ["--range", "20010-20011"];
        let somebody = Somebody::new();
        let own = somebody.pick_one(&range);
        let theirs = json_as_nobody(&[&["--free"], &range[..]].concat());
        let theirs = ports_of(&theirs)[0];
        assert_ne!(own, theirs);
        let none = run(&[&["--free"], &range[..]].concat());
        assert!(none.code == 1 && none.stderr.contains("2 leased to others"), "{none:?}");

        let refused = json_as_nobody(&["--release", &own.to_string()]);
        assert_eq!((&refused["exit_code"], ports_of(&refused).len()), (&value!(1), 0));
        let problem = refused["free"]["problems"][0].as_str().unwrap();
        assert!(problem.contains("leased by user root"), "{problem}");
        let listed = lease(theirs);
        assert_eq!(listed["uid"], NOBODY);
        // Every user can see whose it is, and how to release it.
        let tcp = json_as_nobody(&[&format!("{own}/tcp")]);
        let finding = &port(&tcp, own, "tcp")["findings"][0];
        assert_eq!((&finding["code"], &finding["details"]["user"]), (&value!("leased"), &value!("root")));
        let command = finding["remedies"][0]["command"].as_str().unwrap();
        assert!(command.starts_with("sudo ") && command.ends_with(&format!(" release {own}")), "{command}");

        assert_eq!(run(&["--release", &theirs.to_string()]).code, 0, "root may");
        assert_eq!(leased(), [own]);
    });
}

#[test]
fn a_leased_port_is_reported_with_nothing_bound_to_it() {
    in_namespace(|| {
        let _leases = Leases;
        let somebody = Somebody::new();
        let picked = somebody.pick_one(&[]);
        let answer = json(&[&picked.to_string()]);
        assert_eq!(answer["exit_code"], 1);
        for protocol in ["tcp", "udp"] {
            let element = port(&answer, picked, protocol);
            assert_eq!((&element["status"], codes(element)), (&value!("held"), vec!["leased"]), "{element:#}");
            assert_eq!(element["sockets"], value!([]));
            let finding = &element["findings"][0];
            assert_eq!(finding["details"]["client_pid"], somebody.pid());
            assert!((1..=60_000).contains(&finding["details"]["expires_in_ms"].as_u64().unwrap()));
            assert_eq!(answer["processes"][0]["pid"], finding["pids"][0], "who keeps it is told of");
        }
        let report = run(&[&format!("{picked}/tcp")]);
        let headline = format!("{picked}/tcp is leased by portcheck free for ");
        assert!(report.code == 1 && report.first_line().starts_with(&headline), "{report:?}");
        assert!(report.stdout.contains(&format!("release {picked}")), "{report:?}");
        assert_eq!(run(&["-q", &picked.to_string()]).code, 1);
        // Anybody can bind it.
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, picked)).unwrap();
        assert_eq!(codes(port(&json(&[&picked.to_string()]), picked, "tcp")), ["listener", "leased"]);
        release_all();
        assert_eq!(codes(port(&json(&[&picked.to_string()]), picked, "tcp")), ["listener"]);
    });
}

#[test]
fn a_thousand_picks_leave_nothing() {
    in_namespace(|| {
        let _leases = Leases;
        // Those of this namespace. The kernel closes netlink sockets a moment later.
        let no_socket_is_left = || {
            let used = || std::fs::read_to_string("/proc/net/sockstat").unwrap().contains("sockets: used 0\n");
            until("all sockets are closed", used);
        };
        for _ in 0..1000 {
            pick_one(&["--ttl", "1ms"]);
        }
        assert_nothing_is_left();
        no_socket_is_left();
        // All in one call, beyond the usual limit of open files.
        let many = run(&["--free", "1000", "--ttl", "60s"]);
        assert_eq!((many.code, printed(&many.stdout).len()), (0, 1000), "{}", many.stderr);
        assert_eq!(leased().len(), 1000);
        let ports: Vec<String> = leased().iter().map(ToString::to_string).collect();
        let released = run(&["--release", &ports.join(",")]);
        assert_eq!((released.code, &*released.stderr), (0, ""));
        assert_nothing_is_left();
        no_socket_is_left();
    });
}

/// Regression: while a lease lasted, the file system of the program could not be unmounted.
#[test]
fn a_lease_is_in_no_way_of_unmounting() {
    in_namespace(|| {
        let _leases = Leases;
        let directory = tempfile::tempdir().unwrap();
        let script = "mount -t tmpfs tmpfs \"$1\" && cp \"$2\" \"$1/portcheck\" && \
                      \"$1/portcheck\" --free --hold --pid \"$3\" && umount \"$1\"";
        let flags = if is_root() { "-m" } else { "-rm" };
        let mut command = Command::new("unshare");
        let pid = std::process::id().to_string();
        command
            .args([flags, "sh", "-c", script, "sh"])
            .arg(directory.path())
            .args([env!("CARGO_BIN_EXE_portcheck"), &pid]);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.stdout.is_empty() {
            return skip(&format!("nothing can be mounted: {said}"));
        }
        assert!(output.status.success(), "{said}");
        let held = printed(&String::from_utf8(output.stdout).unwrap())[0];
        assert_eq!(lease(held)["kind"], "held");
        // That it runs from memory does not mean that its file was replaced.
        assert_eq!(codes(port(&json(&[&held.to_string()]), held, "tcp")), ["leased", "free"]);
    });
}

/// A lease is limited to the network namespace, as the port is.
#[test]
fn a_lease_counts_in_its_own_network_namespace() {
    in_namespace(|| {
        let _leases = Leases;
        let own = pick_one(&["--range", "20010-20010"]);
        let flags = if is_root() { "-n" } else { "-rn" };
        let mut elsewhere = Command::new("unshare");
        elsewhere.args([flags, env!("CARGO_BIN_EXE_portcheck"), "--free", "--range", "20010-20010", "--ttl", "0"]);
        match elsewhere.output() {
            Ok(output) if output.status.success() => {
                assert_eq!(printed(&String::from_utf8(output.stdout).unwrap()), [own]);
            }
            other => skip(&format!("no namespace in the namespace: {other:?}")),
        }
        // Another mount namespace changes nothing.
        let mut apart = Command::new("unshare");
        let flags = if is_root() { "-m" } else { "-rm" };
        apart.args([flags, env!("CARGO_BIN_EXE_portcheck"), "--free", "--range", "20010-20010"]);
        assert_eq!(apart.output().unwrap().status.code(), Some(1));
    });
}

#[test]
fn nobody_gets_by_as_well() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be somebody else");
        }
        let _leases = Leases;
        let mut shell = portcheck_as_nobody(&["--free", "2", "--hold"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut text = String::new();
        shell.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(shell.wait().unwrap().success());
        let ports = printed(&text);
        assert!(ports.iter().all(|&port| lease(port)["uid"] == NOBODY && !can_bind(Ipv4Addr::LOCALHOST, port, false)));
    });
}
