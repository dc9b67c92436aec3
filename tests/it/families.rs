//! Questions about one family or one address: no holder of the other one is named, offered or
//! ended.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use crate::common::lease::{Leases, pick_one};
use crate::common::role::Role;
use crate::common::server::until;
use crate::common::{Run, codes, in_namespace, is_root, json, owners, port, portcheck_as_nobody, run, skip};
use serde_json::json as value;

/// Leaves a connection in TIME_WAIT on 127.0.0.1:8080.
fn leave_time_wait() {
    let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
    let mut client = TcpStream::connect("127.0.0.1:8080").unwrap();
    drop(listener.accept().unwrap());
    drop(listener);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    until("TIME_WAIT", || json(&["127.0.0.1:8080/tcp"])["ports"][0]["sockets"][0]["state"] == "time-wait");
}

#[test]
fn a_remnant_of_one_family_is_not_blamed_on_a_server_of_the_other() {
    in_namespace(|| {
        leave_time_wait();
        let (innocent, _) = Role::playing("listen [::1]:8080");
        let answer = json(&["-4", "8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert!(codes(tcp)[0].starts_with("time-wait") && owners(tcp).is_empty(), "{tcp:#}");
        let killed = json(&["-4", "8080/tcp", "--kill", "--yes"]);
        assert_eq!((&killed["exit_code"], &killed["kill"]["steps"]), (&value!(1), &value!([])), "{killed:#}");
        assert_eq!(owners(port(&json(&["-6", "8080/tcp"]), 8080, "tcp")), [innocent.pid()]);
        assert_eq!(json(&["-4", "8080/tcp", "--reuse-addr"])["exit_code"], 0);
    });
}

#[test]
fn a_client_of_ipv6_that_the_kernel_gave_its_port_is_in_the_way_of_ipv4_without_asking_bind_too() {
    in_namespace(|| {
        let listener = TcpListener::bind("[::1]:9000").unwrap();
        let client = TcpStream::connect("[::1]:9000").unwrap();
        let target = format!("0.0.0.0:{}/tcp", client.local_addr().unwrap().port());
        for options in [&[&*target][..], &[&target, "--no-probe"]] {
            assert_eq!(json(options)["ports"][0]["status"], "held", "{options:?}");
        }
        drop(listener);
    });
}

#[test]
fn an_address_of_the_other_family_is_no_free_port() {
    in_namespace(|| {
        let _listener = TcpListener::bind("[::1]:8080").unwrap();
        for (arguments, complaint) in [
            (["-4", "[::1]:8080"], "::1 is asked about, but -4 leaves it out"),
            (["-6", "127.0.0.1:8080"], "127.0.0.1 is asked about, but -6 leaves it out"),
            (
                ["-4", "[::1%nowhere]:8080"],
                "'[::1%nowhere]:8080' names the interface 'nowhere', which this machine does not have",
            ),
        ] {
            let ran = run(&arguments);
            assert_eq!((ran.code, ran.stderr.trim_end()), (2, &*format!("portcheck: {complaint}")));
        }
        let ran = run(&["-4", "localhost:8080/tcp"]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("127.0.0.1") && !ran.stdout.contains("::1"), "{}", ran.stdout);
        assert_eq!(run(&["localhost:8080/tcp"]).code, 1);
    });
}

#[test]
fn what_is_offered_asks_the_same_question() {
    in_namespace(|| {
        let (ipv4, _) = Role::playing("listen 127.0.0.1:8080");
        let (ipv6, _) = Role::playing("listen [::1]:8080");
        for (options, pid) in [
            (["-4", "8080/tcp"], ipv4.pid()),
            (["-6", "8080/tcp"], ipv6.pid()),
            (["-6", "localhost:8080/tcp"], ipv6.pid()),
        ] {
            let answer = json(&options);
            let command = answer["ports"][0]["findings"][0]["remedies"][0]["command"].as_str().unwrap();
            let planned =
                std::process::Command::new("sh").args(["-c", &format!("{command} --dry-run --json")]).output();
            let plan: serde_json::Value = serde_json::from_slice(&planned.unwrap().stdout).unwrap();
            let holders = plan["kill"]["holders"].as_array().unwrap();
            assert_eq!(holders.iter().map(|holder| &holder["pid"]).collect::<Vec<_>>(), [&value!(pid)], "{command}");
        }
    });
}

#[test]
fn what_would_show_more_does_no_more() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let (_hidden, _) = Role::playing("listen 127.0.0.1:8080");
        let (_own, _) = Role::playing_as_user(crate::common::NOBODY, "listen 127.0.0.1:8081");
        for arguments in [
            &["8080", "8081", "--kill", "--yes", "--force"][..],
            &["8080", "8081", "--wait", "free", "--timeout", "100ms"],
        ] {
            let ran = Run::from(portcheck_as_nobody(arguments).output().unwrap());
            let offered = ran.stdout.lines().find(|line| line.starts_with("to see every holder")).unwrap_or_default();
            assert!(offered.ends_with(" 8080 8081") && !offered.contains("--"), "{}", ran.stdout);
        }
    });
}

#[test]
fn a_lease_is_nobody_who_holds_the_port_after_its_server_was_ended() {
    in_namespace(|| {
        let _leases = Leases;
        let number = pick_one(&[]);
        let (_server, _) = Role::playing(&format!("listen 127.0.0.1:{number}"));
        let target = format!("{number}/tcp");
        let planned = json(&[&target, "--kill", "--dry-run"]);
        let killed = json(&[&target, "--kill", "--yes"]);
        assert_eq!((&planned["exit_code"], &killed["exit_code"]), (&value!(0), &value!(0)), "{killed:#}");
        assert_eq!(killed["kill"]["outcome"], "freed");
    });
}
