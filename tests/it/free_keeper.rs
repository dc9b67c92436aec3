//! The process in the background that keeps leases.

use std::net::Ipv4Addr;
use std::process::Command;

use crate::common::lease::{Leases, can_bind, leased, pick_one};
use crate::common::{in_namespace, numbers, run};
use crate::free_lease::{assert_nothing_is_left, lease, wait_for_the_end_of};
use rustix::process::{Pid, Signal, kill_process};

/// A connection to a lease that says nothing, nonsense or too much does no harm.
#[test]
fn a_keeper_is_not_impressed_by_nonsense() {
    in_namespace(|| {
        use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType, connect, recv, send, socket};
        let _leases = Leases;
        let leased_port = pick_one(&["--ttl", "60s"]);
        let address = SocketAddrUnix::new_abstract_name(format!("portcheck.lease.{leased_port}").as_bytes()).unwrap();
        let visit = || {
            let visitor = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
            connect(&visitor, &address).unwrap();
            visitor
        };
        let silent: Vec<_> = (0..200).map(|_| visit()).collect();
        for nonsense in [&b"release\n"[..], b"", &[0xff; 5000], b"reclaim", b"reclaim 0000000000000000 1"] {
            let visitor = visit();
            send(&visitor, nonsense, SendFlags::NOSIGNAL).unwrap();
            rustix::net::shutdown(&visitor, rustix::net::Shutdown::Write).unwrap();
            let mut answer = [0; 64];
            let (_, length) = recv(&visitor, &mut answer[..], rustix::net::RecvFlags::empty()).unwrap();
            assert!(length == 0 || &answer[..length] == b"refused", "{nonsense:?}");
        }
        assert_eq!(lease(leased_port)["kind"], "reserved");
        drop(silent);
        assert_eq!(leased(), [leased_port]);
    });
}

/// A lease ends with the process that keeps it, however that ends.
#[test]
fn a_keeper_that_is_killed_leaves_nothing() {
    in_namespace(|| {
        let held = pick_one(&["--hold"]);
        let lease = lease(held);
        let keeper = Pid::from_raw(i32::try_from(numbers(&lease["pids"])[0]).unwrap()).unwrap();
        kill_process(keeper, Signal::KILL).unwrap();
        wait_for_the_end_of(&lease);
        assert_nothing_is_left();
        assert!(can_bind(Ipv4Addr::UNSPECIFIED, held, false));
    });
}

/// Regression: with standard output closed, it exited with 0 and left a lease that nobody could
/// know of.
#[test]
fn who_cannot_be_told_a_port_gets_none() {
    in_namespace(|| {
        let own = env!("CARGO_BIN_EXE_portcheck");
        let directory = tempfile::tempdir().unwrap();
        for line in ["--free >&-", "--free --hold --json >&-", "--free 3 --env-file env >&-", "--free >/dev/full"] {
            let output =
                Command::new("sh").args(["-c", &format!("{own} {line}")]).current_dir(&directory).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), said.lines().count()), (Some(4), 1), "{line}: {said}");
            assert!(said.contains("cannot write the answer"), "{line}: {said}");
            assert_nothing_is_left();
        }
        assert!(std::fs::read(directory.path().join("env")).is_ok_and(|text| text.is_empty()));
        // A reader that has gone changes no exit code, but gets no port either.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = Command::new(own).arg("--free").stdout(writer).status().unwrap();
        assert_eq!(status.code(), Some(0));
        assert_nothing_is_left();
        // Some callers want only the exit code.
        let _leases = Leases;
        assert_eq!(run(&["--free", "-q"]).code, 0);
        assert_eq!(leased().len(), 1);
    });
}

/// Called by hand, it says what it is for.
#[test]
fn the_process_in_the_background_is_not_for_people() {
    let by_hand = run(&["--keep-leases"]);
    assert_eq!((by_hand.code, by_hand.stderr.lines().count()), (2, 1), "{by_hand:?}");
    assert!(!run(&["--help"]).stdout.contains("--keep-leases"));
}
