//! `portcheck free`: which ports are picked, which are not, and why.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

use crate::common::lease::{Leases, bind, leased, pick, pick_one, ports_of, printed};
use crate::common::role::Role;
use crate::common::seccomp::portcheck_without;
use crate::common::{Run, in_namespace, is_root, json, json_of, portcheck, run, skip};
use serde_json::{Value, json as value};
use socket2::Type;

/// How many ports were excluded for a reason.
pub fn count(answer: &Value, reason: &str) -> u64 {
    let excluded = answer["free"]["choice"]["excluded"].as_array().unwrap();
    excluded.iter().find(|one| one["reason"] == reason).map_or(0, |one| one["count"].as_u64().unwrap())
}

#[test]
fn it_prints_ports_one_a_line_and_nothing_else() {
    in_namespace(|| {
        let _leases = Leases;
        let one = run(&["--free"]);
        assert_eq!((one.code, &*one.stderr, one.stdout.lines().count()), (0, "", 1), "{one:?}");
        let ports = pick(&["5"]);
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 5);
        assert!(ports.iter().all(|port| (20_000..30_000).contains(port)), "{ports:?}");
        // The next caller gets others: these are leased.
        assert!(ports.iter().all(|port| leased().contains(port)));
        assert_eq!(run(&["--free", "-q"]).stdout, "");
    });
}

#[test]
fn the_json_tells_what_was_picked_from_what_and_why_not_others() {
    in_namespace(|| {
        let _leases = Leases;
        let answer = json(&["--free", "2", "-v"]);
        let ports = ports_of(&answer);
        assert_eq!((&answer["command"], &answer["exit_code"], ports.len()), (&value!("free"), &value!(0), 2));
        let choice = &answer["free"]["choice"];
        assert_eq!((&choice["count"], &choice["pool"]), (&value!(2), &value!([[20_000, 29_999]])));
        let excluded: u64 =
            choice["excluded"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).sum();
        assert_eq!(choice["candidates"].as_u64().unwrap() + excluded, 10_000);
        assert!(count(&answer, "assigned") > 100);
        let leases = answer["free"]["leases"].as_array().unwrap();
        assert_eq!(
            (leases.len(), &leases[0]["kind"], &leases[0]["expires_in_ms"]),
            (2, &value!("reserved"), &value!(60_000))
        );
        assert_eq!(leases[0]["client"]["pid"], std::process::id());
        // Both protocols of each port, as asked for.
        let elements = answer["ports"].as_array().unwrap();
        assert!(elements.len() == 4 && elements.iter().all(|port| port["status"] == "free"), "{elements:#?}");
        let binds = elements[0]["bind"].as_array().unwrap();
        assert!(binds.len() == 2 && binds.iter().all(|bind| bind["reuse_address"] == false), "{binds:?}");
        // Other commands leave this key null.
        assert_eq!(json(&["80"])["free"], Value::Null);
    });
}

#[test]
fn verbose_tells_the_same_on_standard_error() {
    in_namespace(|| {
        let _leases = Leases;
        let run = run(&["--free", "-v"]);
        assert_eq!((run.code, printed(&run.stdout).len()), (0, 1));
        for expected in ["pool: 20000-29999", "assigned by IANA: 20000-20003", "lease: ", "reserved for 60 s for "] {
            assert!(run.stderr.contains(expected), "{expected} is not in {}", run.stderr);
        }
    });
}

/// The rows under the heading, whose first row says what they are.
#[track_caller]
fn rows_of_csv(arguments: &[&str]) -> Vec<csv::StringRecord> {
    let run = run(&[arguments, &["--format", "csv"]].concat());
    assert_eq!((run.code, &*run.stderr), (0, ""), "{arguments:?}: {run:?}");
    let mut reader = csv::Reader::from_reader(run.stdout.as_bytes());
    let heading = ["port", "kind", "expires_in_ms", "client", "client_pid", "pids", "user"];
    assert_eq!(reader.headers().unwrap(), &heading[..]);
    reader.records().map(Result::unwrap).collect()
}

#[test]
fn csv_has_a_row_for_each_port() {
    in_namespace(|| {
        let _leases = Leases;
        let picked = rows_of_csv(&["--free", "2"]);
        assert_eq!(picked.len(), 2);
        for row in &picked {
            assert_eq!((&row[1], &row[2], &row[4]), ("reserved", "60000", &*std::process::id().to_string()));
        }
        let mut ports: Vec<u16> = picked.iter().map(|row| row[0].parse().unwrap()).collect();
        let unleased = rows_of_csv(&["--free", "--ttl", "0"]);
        assert_eq!(unleased[0].iter().skip(1).collect::<String>(), "");
        ports.sort_unstable();
        let listed = rows_of_csv(&["--leases"]);
        assert_eq!(listed.iter().map(|row| row[0].parse().unwrap()).collect::<Vec<u16>>(), ports);
        assert_eq!(rows_of_csv(&["--release", &picked[0][0]])[0][0], picked[0][0]);
    });
}

#[test]
fn the_kernels_own_ports_are_left_to_it() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to set the ranges");
        }
        let _leases = Leases;
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20000 29989").unwrap();
        std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "29990-29994").unwrap();
        let answer = json(&["--free", "-v"]);
        assert!((29_995..=29_998).contains(&ports_of(&answer)[0]), "{answer:#}");
        assert_eq!(["ephemeral", "reserved", "assigned"].map(|reason| count(&answer, reason)), [9990, 5, 1]);
        assert_eq!(answer["free"]["choice"]["candidates"], 4);
        let near = json(&["--free", "--near", "31000", "-v"]);
        assert_eq!(count(&near, "node-port"), 2768);
        std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "29990-29999").unwrap();
        let refused = run(&["--free"]);
        assert_eq!((refused.code, &*refused.stdout), (1, ""));
        let reason =
            "no port is left of the 10000 in 20000-29999: 9990 in the ephemeral range, 10 in ip_local_reserved_ports";
        assert!(refused.stderr.contains(reason), "{refused:?}");
    });
}

/// Regression: `--range 5000-5010` was refused, as IANA has assigned each of its ports.
#[test]
fn a_range_that_is_asked_for_is_obeyed() {
    in_namespace(|| {
        let _leases = Leases;
        for range in ["5000-5010", "3000-3002", "6665-6669", "30000-30001"] {
            let answer = json(&["--free", "--range", range]);
            assert_eq!(
                (&answer["exit_code"], &answer["free"]["choice"]["excluded"]),
                (&value!(0), &value!([])),
                "{range}"
            );
        }
        // 20010 and 20011 are not assigned, the four before them are.
        let ports = pick(&["3", "--range", "20000-20003,20010", "--range", "20011"]);
        assert_eq!(ports[..2].iter().collect::<BTreeSet<_>>(), [&20_010, &20_011].into(), "{ports:?}");
        assert!((20_000..=20_003).contains(&ports[2]), "{ports:?}");
        if !is_root() {
            return skip("needs root to set the ephemeral range");
        }
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20020 20029").unwrap();
        assert_eq!(pick(&["3", "--range", "20018-20021"])[2], 20_021, "connections get even ports first");
    });
}

#[test]
fn what_is_excluded_is_not_picked_even_if_it_is_preferred() {
    in_namespace(|| {
        let _leases = Leases;
        let options = ["--range", "20010-20014", "--exclude", "20010-20011", "--exclude", "20014,8080"];
        let ports = pick(&[&["2", "--prefer", "8080"], &options[..]].concat());
        assert_eq!(ports.into_iter().collect::<BTreeSet<_>>(), [20_012, 20_013].into());
        let none = run(&[&["--free"], &options[..]].concat());
        assert_eq!(none.code, 1, "{none:?}");
        assert!(none.stderr.contains("no port is left of the 2 in 20012-20013: 2 leased to others"), "{none:?}");
    });
}

#[test]
fn nothing_left_is_an_answer_with_counts() {
    in_namespace(|| {
        let _leases = Leases;
        let _listeners =
            (20_000..=20_003).map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap()).collect::<Vec<_>>();
        let answer = json(&["--free", "--range", "20000-20003"]);
        assert_eq!((&answer["exit_code"], &answer["error"]), (&value!(1), &Value::Null));
        assert_eq!((ports_of(&answer).len(), count(&answer, "in-use")), (0, 4));
        let problem = answer["free"]["problems"][0].as_str().unwrap();
        assert!(problem.contains("no port is left of the 4 in 20000-20003: 4 in use"), "{problem}");
        let three = run(&["--free", "3", "--range", "20010-20011"]);
        assert_eq!((three.code, &*three.stdout), (1, ""));
        assert!(three.stderr.contains("you asked for 3 ports, but only 2 are left of the 2"), "{three:?}");
        assert!(leased().is_empty(), "all or nothing");
    });
}

#[test]
fn all_or_nothing() {
    in_namespace(|| {
        let _leases = Leases;
        let _listener = TcpListener::bind("127.0.0.1:20015").unwrap();
        let answer = json(&["--free", "3", "--range", "20015-20017"]);
        assert_eq!((&answer["exit_code"], count(&answer, "in-use"), ports_of(&answer).len()), (&value!(1), 1, 0));
        assert!(leased().is_empty());
        assert_eq!(pick(&["2", "--range", "20015-20017"]).into_iter().collect::<BTreeSet<_>>(), [20016, 20017].into());
        let answer = json(&["--free", "--range", "20015-20017"]);
        assert_eq!((count(&answer, "in-use"), count(&answer, "leased")), (1, 2));
    });
}

#[test]
fn sixty_callers_get_four_ports_each_and_none_twice() {
    in_namespace(|| {
        let _leases = Leases;
        // A fifth of the candidates: without leases, hundreds would be picked twice.
        let range = ["--range", "20300-21599"];
        let callers: Vec<_> = (0..60)
            .map(|_| {
                let mut command = portcheck(&[&["--free", "4"], &range[..]].concat());
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
                command.spawn().unwrap()
            })
            .collect();
        let mut ports = Vec::new();
        for caller in callers {
            let run = Run::from(caller.wait_with_output().unwrap());
            assert_eq!((run.code, &*run.stderr), (0, ""));
            ports.extend(printed(&run.stdout));
        }
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 240);
        for &port in &ports {
            for kind in [Type::STREAM, Type::DGRAM] {
                drop(bind(Ipv4Addr::UNSPECIFIED, port, kind, false).unwrap());
                drop(bind(Ipv6Addr::UNSPECIFIED, port, kind, false).unwrap());
            }
        }
        ports.sort_unstable();
        assert_eq!(leased(), ports);
    });
}

/// Each round picks a port, binds it without SO_REUSEADDR, and gives it up, while connections come
/// and go.
#[test]
fn jobs_in_a_small_range_never_fail() {
    in_namespace(|| {
        let _leases = Leases;
        let server = TcpListener::bind("127.0.0.1:9000").unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let is_over = || stop.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over() {
                    let client = TcpStream::connect("127.0.0.1:9000").unwrap();
                    drop((server.accept().unwrap(), client));
                }
            });
            let job = || {
                for _ in 0..10 {
                    let port = pick_one(&["--range", "20300-20399", "--ttl", "1m"]);
                    drop(bind(Ipv4Addr::UNSPECIFIED, port, Type::STREAM, false).unwrap());
                    assert_eq!(run(&["--release", &port.to_string()]).code, 0);
                }
            };
            let jobs: Vec<_> = (0..8).map(|_| scope.spawn(job)).collect();
            let failed = jobs.into_iter().map(std::thread::ScopedJoinHandle::join).filter(Result::is_err).count();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(failed, 0);
        });
    });
}

#[test]
fn a_name_sticks_to_a_port() {
    in_namespace(|| {
        let _leases = Leases;
        let sticky = || pick_one(&["--sticky", "web"]);
        let first = sticky();
        assert_eq!(sticky(), first, "the same caller, again");
        assert_ne!(pick_one(&["--sticky", "api"]), first);
        let elsewhere = Run::from(portcheck(&["--free", "--sticky", "web"]).current_dir("/").output().unwrap());
        assert_ne!(printed(&elsewhere.stdout), [first]);

        // Another caller at the same time gets another port.
        let mut other = Role::start("portcheck --free --sticky web");
        let theirs: u16 = other.go().parse().unwrap();
        assert_ne!(theirs, first);
        // While it is taken, the next best port; then the same again.
        let listener = TcpListener::bind(("127.0.0.1", first)).unwrap();
        assert_ne!(sticky(), first);
        drop(listener);
        assert_eq!(sticky(), first);
        drop(other);
    });
}

#[test]
fn mistakes_are_one_line_each() {
    let cases: [(&[&str], &str); 32] = [
        (&["--free", "0"], "'0'"),
        (&["--free", "70000"], "70000"),
        (&["--free", "x"], "'x'"),
        (&["8080", "--free"], "--prefer 8080"),
        (&["8080", "--", "true"], "portcheck free"),
        (&["8080", "--hold"], "portcheck free"),
        (&["--all", "--ttl", "5s"], "it goes with portcheck free"),
        (&["--free", "--ttl", "5s", "--", "true"], "--ttl"),
        (&["--free", "--pid", "1", "--", "true"], "--pid"),
        (&["--free", "--range", "30000-20000"], "write 20000-30000"),
        (&["--free", "--range", "0-10"], "ports run from 1 to 65535"),
        (&["--free", "--range", "127.0.0.1:80"], "--addr"),
        (&["--free", "--range", "20000-20010", "--class", "dynamic"], "no port in common"),
        (&["--free", "--range", "20000-20010", "--exclude", "20000-21000"], "leaves no port"),
        (&["--free", "--exclude", "localhost:80"], "--addr"),
        (&["--free", "--class", "well-known"], "well-known"),
        (&["--free", "--near", "1-5"], "one port"),
        (&["--free", "--prefer", "0"], "ports run from 1 to 65535"),
        (&["--free", "--addr", "203.0.113.9"], "not an address of this machine"),
        (&["--free", "--addr", "::1", "-4"], "this IP version"),
        (&["--free", "--ttl", "soon"], "30s, 2m"),
        (&["--free", "--hold", "--ttl", "0"], "--ttl 0"),
        (&["--free", "--hold", "--udp"], "UDP"),
        (&["--free", "--env", "A-B", "--env-file", "/dev/null"], "not a variable name"),
        (&["--free", "--env", "A"], "-- CMD"),
        (&["--free", "--env", "PATH", "--", "true"], "would break with a port in PATH"),
        (&["--free", "--env", "LD_PRELOAD", "--env-file", "/dev/null"], "another name"),
        (&["--free", "2", "--env", "A", "--", "true"], "do not go with"),
        (&["--free", "--", "echo", "{port2}"], "portcheck free 2"),
        (&["--range", "1-2"], "portcheck free"),
        (&["--free", "--format", "markdown"], "not one of: table, json, csv"),
        (&["--free", "--format", "csv", "--", "true"], "the command's own"),
    ];
    for (arguments, hint) in cases {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout), (2, ""), "{arguments:?}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(hint), "{arguments:?}: {}", run.stderr);
    }
    let answer = json(&["--free", "0"]);
    assert_eq!((&answer["exit_code"], &answer["error"]["kind"]), (&value!(2), &value!("usage")));
}

#[test]
fn what_cannot_be_done_leaves_nothing_behind() {
    in_namespace(|| {
        let unwritable = run(&["--free", "--env-file", "/nonexistent/env"]);
        assert_eq!((unwritable.code, &*unwritable.stdout), (4, ""));
        assert!(unwritable.stderr.contains("cannot append to /nonexistent/env"), "{unwritable:?}");
        let full = run(&["--free", "--env-file", "/dev/full"]);
        assert_eq!((full.code, &*full.stdout), (4, ""), "{full:?}");
        // The highest id of all is never used, as pid_max is above it.
        let nobody = run(&["--free", "--hold", "--pid", "4194305"]);
        assert_eq!((nobody.code, &*nobody.stdout), (4, ""), "{nobody:?}");
        assert!(nobody.stderr.contains("cannot watch process 4194305"), "{nobody:?}");
        assert!(leased().is_empty());
    });
}

#[test]
fn a_lease_that_cannot_be_recorded_is_said() {
    in_namespace(|| {
        const AF_UNIX: &str = "socket=1";
        for refused in [AF_UNIX, "socketpair"] {
            let Some(command) = portcheck_without(refused, &["--free"]) else { return };
            let answer = json_of(command);
            assert_eq!((&answer["exit_code"], ports_of(&answer).len()), (&value!(0), 1), "{answer:#}");
            assert_eq!(answer["free"]["leases"], value!([]));
            let problem = answer["free"]["problems"][0].as_str().unwrap();
            assert!(problem.starts_with("no lease could be recorded"), "{problem}");
            // A hold was asked for.
            let Some(command) = portcheck_without(refused, &["--free", "--hold"]) else { return };
            let answer = json_of(command);
            assert_eq!(
                (&answer["exit_code"], &answer["error"]["kind"]),
                (&value!(4), &value!("failure")),
                "{answer:#}"
            );
        }
        assert!(leased().is_empty());
    });
}
