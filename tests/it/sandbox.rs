//! Something is missing: netlink, /proc, most descriptors, other users' processes, or IPv6.

use std::net::TcpListener;
use std::process::Command;

use crate::common::lease::{Leases, pick_one};
use crate::common::role::bound;
use crate::common::seccomp::portcheck_without;
use crate::common::{codes, in_namespace, is_root, json_of, owners, port, portcheck, portcheck_as_nobody, skip};
use crate::gaps::after;
use serde_json::json as value;

const AF_NETLINK: &str = "socket=16";

#[test]
fn without_netlink_the_text_serves_and_its_limits_are_said() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _bound = bound("127.0.0.1:8081".parse().unwrap());
        let without_netlink = |arguments: &[&str]| portcheck_without(AF_NETLINK, arguments).map(json_of);
        let Some(answer) = without_netlink(&["8080-8082"]) else { return };
        let gaps: Vec<&str> =
            answer["gaps"].as_array().unwrap().iter().map(|gap| gap["code"].as_str().unwrap()).collect();
        assert!(gaps.contains(&"netlink-unavailable") && gaps.contains(&"bound-sockets-unlisted"), "{gaps:?}");
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["listener"], vec![std::process::id()]));
        // bind notices what cannot be seen.
        assert_eq!(codes(port(&answer, 8081, "tcp")), ["hidden-owner"]);
        assert_eq!(port(&answer, 8082, "tcp")["status"], "free");
        // Without bind, neither a held nor a free port is called free.
        let answer = without_netlink(&["8081-8082", "--no-probe"]).unwrap();
        assert_eq!(codes(port(&answer, 8081, "tcp")), ["unseen"]);
        assert_eq!(codes(port(&answer, 8082, "tcp")), ["unseen"]);
        assert_eq!(port(&answer, 8082, "udp")["status"], "free");
        assert_eq!(without_netlink(&["8082/tcp", "--no-probe"]).unwrap()["exit_code"], 3);
        // Leases are also in a text file. This one is our own.
        let _leases = Leases;
        assert_eq!(pick_one(&["--prefer", "8083"]), 8083);
        assert_eq!(codes(port(&without_netlink(&["8083/tcp"]).unwrap(), 8083, "tcp")), ["leased", "free"]);
    });
}

#[test]
fn a_bind_that_fails_for_no_known_reason_is_never_a_free_port() {
    const ENOBUFS: &str = "bind!105";
    const EADDRNOTAVAIL: &str = "bind!99";
    in_namespace(|| {
        for (error, name) in [(ENOBUFS, "os error 105"), (EADDRNOTAVAIL, "EADDRNOTAVAIL")] {
            for options in [&["8080"][..], &["8080", "--reuse-addr"], &["8080-8082"]] {
                let Some(answer) = portcheck_without(error, options).map(json_of) else { return };
                for protocol in ["tcp", "udp"] {
                    let port = port(&answer, 8080, protocol);
                    assert_eq!((&port["status"], codes(port)), (&value!("unknown"), vec!["unseen"]), "{options:?}");
                    assert!(port["findings"][0]["summary"].as_str().unwrap().contains(name), "{port:#}");
                }
                assert_eq!(answer["exit_code"], 3);
            }
        }
        // The holder of a held port is still named.
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let answer = portcheck_without(ENOBUFS, &["8080/tcp"]).map(json_of).unwrap();
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["listener"]);
    });
}

#[test]
fn without_proc_the_holder_is_hidden_and_the_port_still_held() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to mount");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let without_proc = |arguments: &[&str]| json_of(after("mount -t tmpfs none /proc", &portcheck(arguments)));
        let answer = without_proc(&["8080-8081/tcp", "--json"]);
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["hidden-owner"]);
        assert_eq!(port(&answer, 8081, "tcp")["status"], "free");
        assert!(answer["gaps"].as_array().unwrap().iter().any(|gap| gap["hides"] == "owners"), "{answer:#}");
        let portable = without_proc(&["8080/tcp", "--backend", "portable", "--json"]);
        assert_eq!(codes(port(&portable, 8080, "tcp")), ["hidden-owner"]);
    });
}

#[test]
fn a_proc_that_cannot_be_read_is_said_and_breaks_nothing() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to mount");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let program = portcheck_as_nobody(&[]).get_program().to_owned();
        let blind = |backend: &str| {
            let mut command = Command::new("unshare");
            let close = "mount -t tmpfs -o mode=700 none /proc && \
                         exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";
            command.args(["-m", "sh", "-c", close, "sh"]).arg(&program);
            command.args(["8080/tcp", "--backend", backend, "--json"]);
            json_of(command)
        };
        let native = blind("native");
        assert_eq!(codes(port(&native, 8080, "tcp")), ["hidden-owner"]);
        let gaps: Vec<&str> =
            native["gaps"].as_array().unwrap().iter().map(|gap| gap["code"].as_str().unwrap()).collect();
        // Netlink tells whether the port is leased.
        assert_eq!(gaps, ["no-proc", "firewall-unread"], "{native:#}");
        // netstat2 would panic.
        let portable = blind("portable");
        assert_eq!((&portable["exit_code"], &portable["error"]["kind"]), (&4.into(), &"failure".into()));
    });
}

#[test]
fn a_proc_that_hides_others_is_a_gap() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to mount");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        // The mount outlives the shell only in this namespace.
        let inner = portcheck_as_nobody(&[]);
        let program = inner.get_program().to_owned();
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", "mount -t proc -o hidepid=2 none /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"", "sh"])
            .arg(program)
            .args(["8080/tcp", "--json"]);
        let answer = json_of(command);
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["hidden-owner"]);
        assert!(
            answer["gaps"].as_array().unwrap().iter().any(|gap| gap["code"] == "invisible-processes"),
            "{answer:#}"
        );
    });
}

#[test]
fn in_a_pid_namespace_nothing_is_called_the_kernels() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root for a pid namespace");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mut command = Command::new("unshare");
        command.args(["-p", "-f", "--mount-proc", env!("CARGO_BIN_EXE_portcheck"), "8080/tcp", "--json"]);
        let answer = json_of(command);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), &tcp["sockets"][0]["owners"]["kind"]), (vec!["hidden-owner"], &value!("hidden")));
        assert!(answer["gaps"].as_array().unwrap().iter().any(|gap| gap["code"] == "pid-namespace"), "{answer:#}");
    });
}

#[test]
fn few_descriptors_are_enough() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "ulimit -n 16 && exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_portcheck"),
            "8080/tcp",
            "--json",
        ]);
        assert_eq!(owners(port(&json_of(command), 8080, "tcp")), [std::process::id()]);
    });
}

#[test]
fn a_setting_of_the_caller_does_not_matter() {
    let mut command = portcheck(&["--json"]);
    command.env_clear().current_dir("/");
    json_of(command);
}
