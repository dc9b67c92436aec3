//! The rules on what Windows and macOS do otherwise.

use super::tests::{codes, commands};
use super::*;
use crate::model::{Circumstances, ExcludedRange, Host, KernelUser, Owners, PortProxy, Process, Protocol, Socket};
use crate::probe::{Attempt, Outcome};
use crate::prose::sentence;
use crate::testing::{host, listener, owned, process};

/// The findings on a TCP port of another system than Linux.
fn findings_on(
    os: &'static str,
    sockets: &[Socket],
    processes: &[Process],
    attempts: &[Attempt],
    circumstances: &Circumstances,
) -> Vec<Finding> {
    let port = sockets.first().map_or(8080, |socket| socket.local.port());
    let host = Host { os, ephemeral_range: None, unprivileged_start: None, euid: None, ..host() };
    let observed =
        Observed { sockets: sockets.to_vec(), attempts: attempts.to_vec(), ..Observed::of(port, Protocol::Tcp) };
    diagnose(&Facts { processes, circumstances, ..Facts::of(&observed, &host) })
}

fn denied() -> Vec<Attempt> {
    let spot = crate::probe::spot_of([127, 0, 0, 1].into(), 0);
    vec![Attempt { spot, reuse_address: false, outcome: Outcome::AccessDenied }]
}

#[test]
fn an_excluded_range_is_named_and_another_refusal_is_not_called_one() {
    let of = |first, last, is_administered| {
        let range = ExcludedRange { protocol: Protocol::Tcp, first, last, is_administered };
        let udp = ExcludedRange { protocol: Protocol::Udp, first: 1, last: 65535, is_administered: false };
        let circumstances = Circumstances { excluded_ranges: Some(vec![udp, range]), ..Circumstances::default() };
        findings_on("windows", &[], &[], &denied(), &circumstances)
    };
    let found = of(8000, 8099, false);
    assert_eq!((codes(&found), Status::of(&found)), (vec!["excluded-range"], Status::Blocked));
    assert!(sentence(&found[0], &[]).contains("8000-8099"), "{found:?}");
    assert!(commands(&found[0])[2].contains("startport=8080 numberofports=1"), "{found:?}");
    let administered = of(8080, 8081, true);
    assert!(
        commands(&administered[0])[1].ends_with("delete excludedportrange protocol=tcp startport=8080 numberofports=2")
    );
    // Who holds the port is the reason, where somebody does.
    let range = ExcludedRange { protocol: Protocol::Tcp, first: 8000, last: 8099, is_administered: false };
    let circumstances = Circumstances { excluded_ranges: Some(vec![range]), ..Circumstances::default() };
    let holder = [owned("127.0.0.1:8080", &[42])];
    assert_eq!(codes(&findings_on("windows", &holder, &[], &denied(), &circumstances)), ["listener"]);
    // A range that ends before the port, or that nobody could read, is no reason.
    assert_eq!(codes(&of(8000, 8079, false)), ["sandbox-denied"]);
    assert_eq!(codes(&findings_on("windows", &[], &[], &denied(), &Circumstances::default())), ["sandbox-denied"]);
    // And without a refusal there is nothing to explain.
    assert_eq!(codes(&findings_on("windows", &[], &[], &[], &Circumstances::default())), ["free"]);
}

#[test]
fn services_of_windows_are_told_from_processes() {
    let http =
        Socket { owners: Owners::Kernel, kernel_user: Some(Box::new(KernelUser::HttpSys)), ..listener("0.0.0.0:80") };
    let found = findings_on("windows", &[http], &[], &[], &Circumstances::default());
    assert_eq!((codes(&found), Status::of(&found)), (vec!["http-sys"], Status::Held));
    assert!(
        sentence(&found[0], &[]).contains("pid 4")
            && commands(&found[0])[0].starts_with("netsh http show servicestate")
    );

    let helper = process(1234, 800, "svchost.exe");
    let forward = PortProxy { kind: "v4tov6", listen_address: "*".to_owned(), target: "[fd00::1]:80".to_owned() };
    let proxy = Socket { forwards_to: Some(Box::new(forward)), ..owned("0.0.0.0:8080", &[1234]) };
    let found = findings_on("windows", &[proxy], std::slice::from_ref(&helper), &[], &Circumstances::default());
    assert_eq!((codes(&found), Status::of(&found)), (vec!["portproxy"], Status::Held));
    assert_eq!(sentence(&found[0], &[]), "netsh's portproxy listens on 0.0.0.0:8080 and forwards to [fd00::1]:80");
    let delete = "netsh interface portproxy delete v4tov6 listenport=8080";
    assert_eq!(commands(&found[0]), ["netsh interface portproxy show all", delete]);

    let found = findings_on("windows", &[owned("0.0.0.0:8080", &[1234])], &[helper], &[], &Circumstances::default());
    assert_eq!(
        (codes(&found), commands(&found[0])),
        (vec!["listener"], vec!["tasklist /svc /fi PID eq 1234".to_owned()])
    );
}

fn attempts(of: &[(&str, bool, Outcome)]) -> Vec<Attempt> {
    let attempt = |&(address, reuse_address, outcome): &(&str, bool, Outcome)| Attempt {
        spot: crate::probe::spot_of(address.parse().unwrap(), 0),
        reuse_address,
        outcome,
    };
    of.iter().map(attempt).collect()
}

#[test]
fn a_low_port_of_macos_is_free_if_the_wildcards_can_be_bound() {
    use Outcome::{AccessDenied, Bound, InUse};
    let on = |os, of: &[(&str, bool, Outcome)]| {
        let host = Host { os, unprivileged_start: Some(1024), ..host() };
        let observed = Observed { attempts: attempts(of), ..Observed::of(80, Protocol::Tcp) };
        codes(&diagnose(&Facts::of(&observed, &host)))
    };
    let usual = [("127.0.0.1", false, AccessDenied), ("0.0.0.0", false, Bound), ("::", false, Bound)];
    assert_eq!(on("macos", &usual), ["free"]);
    assert_eq!(on("linux", &usual), ["privileged-port"]);
    let held = [("127.0.0.1", false, AccessDenied), ("0.0.0.0", false, InUse), ("::", false, InUse)];
    assert_eq!(on("macos", &held), ["hidden-owner"]);
    let refused = [("127.0.0.1", false, AccessDenied), ("0.0.0.0", false, AccessDenied)];
    assert_eq!(on("macos", &refused), ["privileged-port"]);
}

#[test]
fn what_macos_does_not_list_and_so_reuseaddr_gets_past_are_remnants() {
    use Outcome::{Bound, InUse};
    let on =
        |os, of: &[(&str, bool, Outcome)]| codes(&findings_on(os, &[], &[], &attempts(of), &Circumstances::default()));
    let remnants =
        [("127.0.0.1", false, InUse), ("127.0.0.1", true, Bound), ("::1", false, Bound), ("::1", true, Bound)];
    assert_eq!(on("macos", &remnants), ["time-wait"]);
    assert_eq!(on("linux", &remnants), ["hidden-owner"], "Linux lists them");
    let holder = [("127.0.0.1", false, InUse), ("127.0.0.1", true, InUse), ("::1", false, Bound), ("::1", true, Bound)];
    assert_eq!(on("macos", &holder), ["hidden-owner"]);
}

#[test]
fn two_sockets_for_two_families_are_not_called_dual_stack() {
    let unknown = |local: &str| Socket { v6only: None, ..owned(local, &[42]) };
    let tried = attempts(&[("127.0.0.1", false, Outcome::InUse), ("0.0.0.0", false, Outcome::InUse)]);
    let of = |sockets: &[Socket]| codes(&findings_on("macos", sockets, &[], &tried, &Circumstances::default()));
    assert_eq!(of(&[unknown("[::]:8080"), unknown("0.0.0.0:8080")]), ["listener"]);
    assert_eq!(of(&[unknown("[::]:8080")]), ["listener", "dual-stack-overlap"]);
}

#[test]
fn a_link_local_address_needs_its_interface_whatever_the_error_is() {
    let address: std::net::IpAddr = "fe80::1".parse().unwrap();
    let here = crate::model::InterfaceAddress { address, interface: "lo0".to_owned(), is_tentative: false };
    let circumstances = Circumstances { addresses: vec![here], ..Circumstances::default() };
    let of = |outcome, circumstances: &Circumstances| {
        let host = Host { os: "macos", ..host() };
        let observed = Observed {
            addresses: vec![address],
            attempts: attempts(&[("fe80::1", false, outcome)]),
            ..Observed::of(8080, Protocol::Tcp)
        };
        diagnose(&Facts { circumstances, ..Facts::of(&observed, &host) })
    };
    for outcome in [Outcome::Invalid, Outcome::NotAvailable] {
        let found = of(outcome, &circumstances);
        assert_eq!(codes(&found), ["address-needs-scope"]);
        assert_eq!(commands(&found[0]), ["portcheck [fe80::1%lo0]:8080/tcp"]);
    }
    assert_eq!(codes(&of(Outcome::NotAvailable, &Circumstances::default())), ["no-ipv6"]);
}

#[test]
fn airplay_is_told_from_other_servers_of_macos() {
    let receiver = process(500, 1, "ControlCenter");
    let flask = process(501, 400, "python3");
    let on = |os, port: u16, process: &Process| {
        let socket = owned(&format!("0.0.0.0:{port}"), &[process.pid]);
        let found = findings_on(os, &[socket], std::slice::from_ref(process), &[], &Circumstances::default());
        (found[0].code, found[0].pids.clone())
    };
    assert_eq!(on("macos", 5000, &receiver), ("airplay", vec![500]));
    assert_eq!(on("macos", 7000, &receiver), ("airplay", vec![500]));
    assert_eq!(on("macos", 5001, &receiver).0, "listener");
    assert_eq!(on("macos", 5000, &flask).0, "listener");
    assert_eq!(on("linux", 5000, &receiver).0, "listener");
}
