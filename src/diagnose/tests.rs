//! The rules on facts made by hand.

use proptest::prelude::*;

use super::*;
use crate::model::{
    EngineContainer, Family, Gap, Hides, Host, Manager, Owners, Process, Protocol, ShownBy, Socket, State, Timer,
    TimerKind, Unit, gap,
};
use crate::prose::sentence;
use crate::testing::{host, listener, owned, process};

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
pub fn codes(findings: &[Finding]) -> Vec<&'static str> {
    let all = findings.iter().map(|finding| finding.code);
    all.filter(|code| !["loopback-only", "exposed"].contains(code)).collect()
}

pub fn commands(finding: &Finding) -> Vec<String> {
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
    // With SO_REUSEPORT two may share an address: one is not ended without the other, and that is
    // said.
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
    server.unit = Some(Unit::new("web.service", Manager::System, None));
    let command = |process: &Process| {
        let found = findings(&[owned("0.0.0.0:62893", &[42])], std::slice::from_ref(process), &[]);
        commands(&found[0])
    };
    assert_eq!(command(&server), ["sudo systemctl stop -- web.service"]);
    server.unit = Some(Unit::new("web.service", Manager::User, None));
    assert_eq!(command(&server), ["systemctl --user stop -- web.service"]);
    // Of another user than the one who reads this.
    server.unit = Some(Unit::new("web.service", Manager::User, Some(1001)));
    assert_eq!(command(&server), ["sudo systemctl --user --machine=1001@ stop -- web.service"]);
    // A session is a unit, but nobody's service.
    server.unit = Some(Unit::new("session-3.scope", Manager::System, None));
    assert_eq!(command(&server), ["portcheck kill 62893/tcp"]);
    server.uid = Some(0);
    assert_eq!(command(&server), ["sudo portcheck kill 62893/tcp"]);
}

/// The unit of a proxy is that of Docker itself, and of all its containers.
#[test]
fn nobody_is_told_to_stop_docker_for_the_port_of_a_container() {
    let mut proxy = process(42, 7, "docker-proxy");
    proxy.unit = Some(Unit::new("docker.service", Manager::System, None));
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
        cgroup: Some("/system.slice/web.service".into()),
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
    let timer = |seconds: u32| Timer { kind: TimerKind::TimeWait, expires_in_ms: seconds * 1000 - 1, retransmits: 0 };
    let remnant = |seconds| Socket {
        state: State::TimeWait,
        owners: Owners::None,
        timer: Some(timer(seconds)),
        ..listener("127.0.0.1:62893")
    };
    let found = findings(&[remnant(20), remnant(41)], &[], &[]);
    assert_eq!(sentence(&found[0], &[]), "2 closed connections hold 62893/tcp for 41 s more (TIME_WAIT)");
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

/// dockerd holds both of them, and has no proxies.
#[test]
fn localhost_is_split_by_containers_not_by_the_processes_that_hold_the_port_for_them() {
    use crate::testing::{engine_container, published};
    let on = |local: &str, pid, id: &str| Socket {
        forward: Some(published(EngineContainer { id: id.to_owned(), ..engine_container("web") })),
        ..owned(local, &[pid])
    };
    let split = |ipv6: Socket| {
        let sockets = [on("127.0.0.1:62893", 42, "one"), ipv6];
        let processes = [process(42, 7, "dockerd"), process(43, 7, "docker-proxy")];
        findings(&sockets, &processes, &[]).iter().any(|finding| finding.code == "split-localhost")
    };
    assert!(split(on("[::1]:62893", 42, "two")));
    assert!(!split(on("[::1]:62893", 43, "one")));
}
