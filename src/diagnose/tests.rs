//! The rules on facts made by hand, the table of rules, and the page that is generated from it.

use std::fmt::Write;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{
    Circumstances, EngineContainer, ExcludedRange, Family, Forward, Gap, Hides, Host, KernelUser, Manager, Owners,
    Process, Protocol, ShownBy, Socket, State, Timer, TimerKind, Unit, gap,
};
use crate::probe::{Attempt, Outcome};
use crate::prose::sentence;
use crate::testing::{expect_file, host, listener, owned, process};

/// The findings on port 62893/tcp.
fn findings(sockets: &[Socket], processes: &[Process], gaps: &[Gap]) -> Vec<Finding> {
    let observed = Observed { sockets: sockets.to_vec(), ..Observed::of(62893, Protocol::Tcp) };
    diagnose(&Facts { processes, gaps, ..Facts::of(&observed, &host()) })
}

fn gap(hides: Hides, protocol: Option<Protocol>, root_would_see: bool) -> Gap {
    let shown_by = if root_would_see { ShownBy::Root } else { ShownBy::Nothing };
    let kind = match hides {
        Hides::Sockets => &gap::TABLE_CHANGED,
        Hides::Owners => &gap::UNREADABLE_PROCESSES,
        Hides::Details => &gap::NETLINK_UNAVAILABLE,
    };
    Gap { protocol, shown_by, ..kind.gap("something was out of sight") }
}

/// Without those on who can reach the server, which come with every one.
fn codes(findings: &[Finding]) -> Vec<&'static str> {
    let all = findings.iter().map(|finding| finding.code);
    all.filter(|code| !["loopback-only", "exposed"].contains(code)).collect()
}

fn commands(finding: &Finding) -> Vec<String> {
    finding.remedies.iter().filter_map(|remedy| Some(remedy.command.as_ref()?.join(" "))).collect()
}

#[test]
fn nothing_is_free() {
    let found = findings(&[], &[], &[]);
    assert_eq!((codes(&found), Status::of(&found)), (vec!["free"], Status::Free));
}

#[test]
fn a_gap_that_could_hide_a_holder_makes_it_unknown_and_no_other_gap_does() {
    let found = findings(&[], &[], &[gap(Hides::Sockets, Some(Protocol::Tcp), false)]);
    assert_eq!((codes(&found), Status::of(&found)), (vec!["unseen"], Status::Unknown));
    for harmless in [
        gap(Hides::Sockets, Some(Protocol::Udp), false),
        gap(Hides::Owners, None, true),
        gap(Hides::Details, None, false),
    ] {
        assert_eq!(codes(&findings(&[], &[], &[harmless])), ["free"]);
    }
}

#[test]
fn one_process_on_two_addresses_is_one_finding_and_two_processes_are_two() {
    let processes = [process(42, 7, "web"), process(43, 7, "api")];
    let same = [owned("127.0.0.1:62893", &[42]), owned("[::1]:62893", &[42])];
    let found = findings(&same, &processes, &[]);
    assert_eq!(sentence(&found[0], &processes), "web (pid 42) listens on 127.0.0.1:62893 and [::1]:62893");
    assert_eq!(
        (codes(&found).len(), &found[0].pids[..], commands(&found[0])),
        (1, &[42][..], vec!["portcheck kill 62893/tcp".to_owned()])
    );
    let different = [owned("127.0.0.1:62893", &[42]), owned("[::1]:62893", &[43])];
    assert_eq!(codes(&findings(&different, &processes, &[])), ["listener", "listener", "split-localhost"]);
}

#[test]
fn a_holder_is_ended_by_itself_where_its_address_tells_it_apart() {
    let processes = [process(42, 7, "web"), process(43, 7, "api")];
    let apart = [owned("127.0.0.1:62893", &[42]), owned("127.0.0.1:62893", &[42]), owned("[::1]:62893", &[43])];
    let found = findings(&apart, &processes, &[]);
    assert_eq!(
        (&*found[0].remedies[0].text, commands(&found[0])),
        ("end web (pid 42)", vec!["portcheck kill 127.0.0.1:62893/tcp".to_owned()])
    );
    assert_eq!(commands(&found[1]), ["portcheck kill [::1]:62893/tcp"]);
    // With SO_REUSEPORT two may share an address: one is not ended without the other, and that is said.
    let together = [owned("0.0.0.0:62893", &[42]), owned("127.0.0.1:62893", &[43])];
    for finding in &findings(&together, &processes, &[])[..2] {
        assert_eq!(finding.remedies[0].text, "end all that hold the port");
        assert_eq!(commands(finding)[0], "portcheck kill 62893/tcp");
    }
    // Who has only a connection is ended on request alone.
    let client = Socket {
        state: State::Established,
        remote: Some("127.0.0.1:5".parse().unwrap()),
        ..owned("127.0.0.1:443", &[42])
    };
    let found = findings(std::slice::from_ref(&client), &processes, &[]);
    assert_eq!(
        (&*found[0].remedies[0].text, commands(&found[0])),
        ("end it", vec!["portcheck kill 62893/tcp --clients".to_owned()])
    );
    let another = Socket { owners: Owners::Known(vec![43]), ..client.clone() };
    assert_eq!(findings(&[client, another], &processes, &[])[0].remedies[0].text, "end all that hold the port");
}

#[test]
fn a_fork_group_is_named_by_its_leader() {
    let processes = [process(42, 7, "nginx"), process(43, 42, "nginx"), process(44, 42, "nginx")];
    let found = findings(&[owned("0.0.0.0:62893", &[42, 43, 44])], &processes, &[]);
    assert_eq!(sentence(&found[0], &processes), "nginx (pid 42) and 2 children listen on 0.0.0.0:62893");
    assert_eq!(commands(&found[0]), ["portcheck kill 62893/tcp"]);
}

#[test]
fn a_process_that_ended_meanwhile_keeps_its_pid() {
    assert_eq!(
        sentence(&findings(&[owned("0.0.0.0:62893", &[42])], &[], &[])[0], &[]),
        "pid 42 listens on 0.0.0.0:62893"
    );
}

#[test]
fn what_is_supervised_is_stopped_by_its_supervisor() {
    let mut server = process(42, 1, "web");
    server.unit = Some(Unit { name: "web.service".to_owned(), manager: Manager::System, user: None });
    let command = |process: &Process| {
        let found = findings(&[owned("0.0.0.0:62893", &[42])], std::slice::from_ref(process), &[]);
        commands(&found[0])
    };
    assert_eq!(command(&server), ["sudo systemctl stop -- web.service"]);
    server.unit = Some(Unit { name: "web.service".to_owned(), manager: Manager::User, user: None });
    assert_eq!(command(&server), ["systemctl --user stop -- web.service"]);
    // Of another user than the one who reads this.
    server.unit = Some(Unit { name: "web.service".to_owned(), manager: Manager::User, user: Some(1001) });
    assert_eq!(command(&server), ["sudo systemctl --user --machine=1001@ stop -- web.service"]);
    // A session is a unit, but nobody's service.
    server.unit = Some(Unit { name: "session-3.scope".to_owned(), manager: Manager::System, user: None });
    assert_eq!(command(&server), ["portcheck kill 62893/tcp"]);
    server.uid = Some(0);
    assert_eq!(command(&server), ["sudo portcheck kill 62893/tcp"]);
}

/// The unit of a proxy is that of Docker itself, and of all its containers.
#[test]
fn nobody_is_told_to_stop_docker_for_the_port_of_a_container() {
    let mut proxy = process(42, 7, "docker-proxy");
    proxy.unit = Some(Unit { name: "docker.service".to_owned(), manager: Manager::System, user: None });
    let line = "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 62893 -container-ip 172.17.0.2";
    proxy.command = line.split(' ').map(str::to_owned).collect();
    let found = findings(&[owned("0.0.0.0:62893", &[42])], &[proxy], &[]);
    assert_eq!(commands(&found[0]), ["docker --host unix:///run/docker.sock ps --filter publish=62893/tcp"]);
}

#[test]
fn nobody_is_told_to_kill_process_1() {
    let found = findings(&[owned("0.0.0.0:62893", &[1])], &[process(1, 0, "systemd")], &[]);
    assert_eq!(commands(&found[0]), ["systemctl list-sockets"]);
}

#[test]
fn what_is_known_of_a_hidden_owner_is_told() {
    let hidden = Socket {
        owners: Owners::Hidden { reason: "not yours".to_owned() },
        cgroup: Some("/system.slice/web.service".to_owned()),
        ..listener("0.0.0.0:62893")
    };
    let found = findings(&[hidden], &[], &[gap(Hides::Owners, None, true)]);
    assert_eq!(sentence(&found[0], &[]), "a hidden process of user ada of web.service listens on 0.0.0.0:62893");
    assert_eq!(commands(&found[0]), ["sudo portcheck 62893/tcp", "sudo systemctl stop -- web.service"]);
    assert!(found[0].details.contains(&("unit", Detail::Text("web.service".to_owned()))));
}

#[test]
fn a_listener_explains_its_connections() {
    let connection = Socket {
        state: State::Established,
        remote: Some("127.0.0.1:5".parse().unwrap()),
        ..owned("127.0.0.1:62893", &[42])
    };
    let remnant = Socket { state: State::TimeWait, owners: Owners::None, ..connection.clone() };
    let all = [owned("127.0.0.1:62893", &[42]), connection.clone(), remnant.clone()];
    assert_eq!(codes(&findings(&all, &[], &[])), ["listener"]);
    assert_eq!(codes(&findings(&all[1..], &[], &[])), ["leftover-connections", "time-wait"]);
}

#[test]
fn time_wait_tells_how_long() {
    let timer = |seconds: u64| Timer {
        kind: TimerKind::TimeWait,
        expires_in: Duration::from_millis(seconds * 1000 - 1),
        retransmits: 0,
    };
    let remnant = |seconds| Socket {
        state: State::TimeWait,
        owners: Owners::None,
        timer: Some(timer(seconds)),
        ..listener("127.0.0.1:62893")
    };
    let found = findings(&[remnant(20), remnant(41)], &[], &[]);
    assert_eq!(sentence(&found[0], &[]), "2 connections that have ended keep 62893/tcp in TIME_WAIT for 41 s more");
    assert!(found[0].pids.is_empty());
    assert_eq!(commands(&found[0]), ["sudo portcheck kill 62893/tcp --remnants"], "nobody is to be killed");
}

fn any_socket() -> impl Strategy<Value = Socket> {
    let states = prop::sample::select(vec![
        State::Listen,
        State::Bound,
        State::Established,
        State::SynSent,
        State::SynReceived,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::LastAck,
        State::Closing,
        State::TimeWait,
        State::Unconnected,
    ]);
    let owners = prop::sample::select(vec![
        Owners::Known(vec![42]),
        Owners::Known(vec![42, 43]),
        Owners::Kernel,
        Owners::None,
        Owners::NotAsked,
        Owners::Hidden { reason: String::new() },
        Owners::Likely { pids: vec![42], reason: String::new() },
    ]);
    (states, owners, any::<bool>()).prop_filter_map("waits, but belongs to nobody", |(state, owners, ipv6)| {
        let impossible = state.is_waiting() && owners == Owners::None;
        let local = if ipv6 { "[::1]:62893" } else { "127.0.0.1:62893" };
        let family = if ipv6 { Family::Ipv6 } else { Family::Ipv4 };
        (!impossible).then(|| Socket { family, state, owners, ..listener(local) })
    })
}

proptest! {
    /// Never a false "free": whatever sockets there are, they make a conflict.
    #[test]
    fn a_port_with_a_socket_is_held(sockets in prop::collection::vec(any_socket(), 1..6), udp in any::<bool>()) {
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        for ephemeral_range in [None, Some((1, 65535)), Some((1, 2))] {
            let observed = Observed { sockets: sockets.clone(), ..Observed::of(62893, protocol) };
            let host = Host { ephemeral_range, ..host() };
            let processes = [process(42, 1, "web")];
            let found = diagnose(&Facts { processes: &processes, ..Facts::of(&observed, &host) });
            prop_assert_eq!(Status::of(&found), Status::Held);
            prop_assert!(found.iter().all(|finding| !sentence(finding, &[]).ends_with([' ', '.'])));
        }
    }
}

#[test]
fn the_table_of_rules_is_sound() {
    for (index, rule) in RULES.iter().enumerate() {
        assert!(RULES[..index].iter().all(|other| other.code != rule.code), "{} twice", rule.code);
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        assert!(rule.code.split('-').all(is_word), "{}", rule.code);
        let Explanation { what, why, detection, remedy } = rule.explanation;
        assert!([what, why, detection, remedy].iter().all(|text| text.ends_with('.')), "{}", rule.code);
    }
    let severities: Vec<Severity> = RULES.iter().map(|rule| rule.severity).collect();
    assert!(severities.is_sorted(), "conflicts first: {severities:?}");
}

/// Run with `PORTCHECK_UPDATE=1` to write the page again.
#[test]
fn the_page_of_verdicts_is_current() {
    let mut page = "# Verdicts\n\n\
        What `portcheck` can find on a port. The JSON has the code of each finding in `findings[].code`.\n\
        A code never changes its meaning.\n\n\
        A *conflict* makes the port `held`, *blocked* makes it `blocked`, *unknown* makes it `unknown`.\n\
        A *warning* or an *info* does not change the status.\n\n\
        This page is generated from the rules in `src/diagnose`.\n\n"
        .to_owned();
    for rule in RULES {
        writeln!(page, "- [`{0}`](#{0}), {1}", rule.code, rule.severity.into_str()).unwrap();
    }
    for rule in RULES {
        let Explanation { what, why, detection, remedy } = rule.explanation;
        writeln!(page, "\n## {}\n", rule.code).unwrap();
        writeln!(page, "{}\n", wrapped("", &format!("*{}.* {what}", rule.severity.into_str()))).unwrap();
        for (title, text) in [("Why it happens", why), ("How it is detected", detection), ("What to do", remedy)] {
            writeln!(page, "{}", wrapped("- ", &format!("**{title}:** {text}"))).unwrap();
        }
    }
    expect_file("docs/verdicts.md", &page);
}

/// A paragraph behind `mark`, in lines of at most 100 columns.
fn wrapped(mark: &str, text: &str) -> String {
    let indent = " ".repeat(mark.len());
    let options = textwrap::Options::new(100)
        .initial_indent(mark)
        .subsequent_indent(&indent)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(text, options)
}

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
    let http = Socket { owners: Owners::Kernel, kernel_user: Some(KernelUser::HttpSys), ..listener("0.0.0.0:80") };
    let found = findings_on("windows", &[http], &[], &[], &Circumstances::default());
    assert_eq!((codes(&found), Status::of(&found)), (vec!["http-sys"], Status::Held));
    assert!(
        sentence(&found[0], &[]).contains("pid 4")
            && commands(&found[0])[0].starts_with("netsh http show servicestate")
    );

    let helper = process(1234, 800, "svchost.exe");
    let forward = Forward { kind: "v4tov6", listen_address: "*".to_owned(), target: "[fd00::1]:80".to_owned() };
    let proxy = Socket { forwards_to: Some(forward), ..owned("0.0.0.0:8080", &[1234]) };
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

/// dockerd holds both of them, and has no proxies.
#[test]
fn localhost_is_split_by_containers_not_by_the_processes_that_hold_the_port_for_them() {
    use crate::model::Publication;
    use crate::testing::engine_container;
    let published = |local: &str, pid, id: &str| Socket {
        publication: Some(Publication::Of(Box::new(EngineContainer { id: id.to_owned(), ..engine_container("web") }))),
        ..owned(local, &[pid])
    };
    let split = |ipv6: Socket| {
        let sockets = [published("127.0.0.1:62893", 42, "one"), ipv6];
        let processes = [process(42, 7, "dockerd"), process(43, 7, "docker-proxy")];
        findings(&sockets, &processes, &[]).iter().any(|finding| finding.code == "split-localhost")
    };
    assert!(split(published("[::1]:62893", 42, "two")));
    assert!(!split(published("[::1]:62893", 43, "one")));
}
