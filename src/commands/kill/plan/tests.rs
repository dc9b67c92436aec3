//! Plans from diagnoses made by hand.

use std::time::Duration;

use super::*;
use crate::collect::{Detail, Namespaces};
use crate::commands::kill::{Consent, Restarter};
use crate::diagnose::{Facts, Observed, diagnose};
use crate::model::{Ancestor, Backend, Container, Runtime};
use crate::platform::Signal;
use crate::probe::{Attempt, Outcome, spot_of};
use crate::testing::{host, listener, owned, process};

fn options() -> Options {
    Options {
        signal: Signal::Term,
        grace: Duration::ZERO,
        force: false,
        clients: false,
        supervisor: false,
        remnants: false,
        settle: Duration::ZERO,
        consent: Consent::Given(None),
        expect_held: false,
    }
}

fn request() -> Request {
    Request {
        targets: Vec::new(),
        protocols: Protocol::ALL.to_vec(),
        family: None,
        connections: false,
        detail: Detail::Full,
        backend: Backend::Native,
        probe: true,
        quick: false,
        reuse_address: false,
        namespaces: Namespaces::Own,
        program: "portcheck".to_owned(),
    }
}

/// The diagnosis of 62893/tcp, in use by `sockets`.
fn diagnosis_of(sockets: Vec<Socket>, processes: Vec<Process>) -> Diagnosis {
    let attempts =
        vec![Attempt { spot: spot_of([0, 0, 0, 0].into(), 0), reuse_address: false, outcome: Outcome::InUse }];
    let observed = Observed { sockets, attempts, ..Observed::of(62893, Protocol::Tcp) };
    let findings = diagnose(&Facts { processes: &processes, ..Facts::of(&observed, &host()) });
    let port = PortReport { observed, verdict: findings.into() };
    Diagnosis { ports: vec![port], processes, ..Diagnosis::of_no_ports(host()) }
}

fn sentence(refusal: &Refusal) -> String {
    crate::render::kill::sentence_on(refusal, &[])
}

fn plan_of(sockets: Vec<Socket>, processes: Vec<Process>, options: &Options) -> Plan {
    plan_kept(sockets, processes, &Keepers::default(), options)
}

fn plan_kept(sockets: Vec<Socket>, processes: Vec<Process>, keepers: &Keepers, options: &Options) -> Plan {
    let surroundings = Surroundings { own: 900, ancestors: vec![800, 700], ..Surroundings::default() };
    plan(&diagnosis_of(sockets, processes), &surroundings, keepers, options, &request())
}

fn pids(plan: &Plan) -> Vec<Pid> {
    plan.holders.iter().map(|holder| holder.pid).collect()
}

#[track_caller]
fn refused(plan: &Plan, reason: &str) {
    assert!(plan.is_empty(), "{plan:#?}");
    assert!(plan.refusals.iter().any(|refusal| sentence(refusal).contains(reason)), "{plan:#?}");
}

fn connection(local: &str, remote: &str, owners: Owners) -> Socket {
    Socket { state: State::Established, remote: Some(remote.parse().unwrap()), owners, ..listener(local) }
}

#[test]
fn parents_come_before_their_children_however_they_are_listed() {
    let mut family = vec![process(40, 42, "worker"), process(41, 40, "grandchild"), process(42, 7, "master")];
    family[0].ancestors.insert(0, Ancestor { pid: 42, name: "master".to_owned() });
    family[1].ancestors.splice(0..0, [40, 42].map(|pid| Ancestor { pid, name: String::new() }));
    let plan = plan_of(vec![owned("127.0.0.1:62893", &[40, 41, 42])], family, &options());
    assert_eq!(pids(&plan), [42, 40, 41]);
    assert!(plan.refusals.is_empty());
}

#[test]
fn one_process_with_two_sockets_is_one_holder() {
    let mut other = owned("[::1]:62893", &[42]);
    other.inode = Some(42381);
    let plan = plan_of(vec![owned("127.0.0.1:62893", &[42]), other], vec![process(42, 7, "web")], &options());
    assert_eq!((pids(&plan), &plan.holders[0].inodes[..]), (vec![42], &[42380, 42381][..]));
}

#[test]
fn the_first_process_portcheck_and_its_ancestors_are_never_ended_nor_who_shares_with_them() {
    for (protected, reason) in
        [(1, "first process"), (900, "portcheck itself"), (800, "started portcheck"), (700, "started portcheck")]
    {
        let mut pids = vec![protected, 942];
        pids.sort_unstable();
        let processes = pids.iter().map(|&pid| process(pid, 7, "x")).collect();
        refused(&plan_of(vec![owned("127.0.0.1:62893", &pids)], processes, &options()), reason);
    }
}

#[test]
fn who_was_not_seen_is_not_ended() {
    let hidden = Owners::Hidden { reason: "out of sight".to_owned() };
    let likely = Owners::Likely { pids: vec![42], reason: "the only one".to_owned() };
    for (owners, reason) in [(hidden, "out of sight"), (likely, "the only one"), (Owners::Kernel, "no process to end")]
    {
        let all = Options { clients: true, remnants: true, force: true, supervisor: true, ..options() };
        for options in [options(), all] {
            let socket = Socket { owners: owners.clone(), ..listener("127.0.0.1:62893") };
            refused(&plan_of(vec![socket], vec![process(42, 7, "web")], &options), reason);
        }
    }
}

#[test]
fn nobody_is_ended_in_vain() {
    let hidden = Socket { owners: Owners::Hidden { reason: "out of sight".to_owned() }, ..listener("[::1]:62893") };
    let plan = plan_of(vec![owned("127.0.0.1:62893", &[42]), hidden], vec![process(42, 7, "web")], &options());
    refused(&plan, "out of sight");
    refused(&plan, "would not free the port");
    assert_eq!(plan.refusals.len(), 2);
}

#[test]
fn a_connection_is_ended_only_on_request() {
    let uses = || vec![connection("127.0.0.1:62893", "192.0.2.1:443", Owners::Known(vec![42]))];
    let refusal = plan_of(uses(), vec![process(42, 7, "curl")], &options());
    refused(&refusal, "only by a connection");
    assert_eq!(
        refusal.refusals[0].remedies[0].command.clone().unwrap().join(" "),
        "portcheck kill 62893/tcp --clients"
    );
    let plan = plan_of(uses(), vec![process(42, 7, "curl")], &Options { clients: true, ..options() });
    assert_eq!(pids(&plan), [42]);
}

#[test]
fn connections_beside_a_listener_are_left_alone_and_not_reported() {
    let sockets = vec![
        owned("127.0.0.1:62893", &[42]),
        connection("127.0.0.1:62893", "127.0.0.1:5000", Owners::Known(vec![43])),
        connection("127.0.0.1:62893", "127.0.0.1:5001", Owners::None),
    ];
    let plan = plan_of(sockets, vec![process(42, 7, "web"), process(43, 42, "session")], &options());
    assert_eq!((pids(&plan), plan.refusals.len(), plan.remnants.len()), (vec![42], 0, 0));
}

#[test]
fn remnants_are_dropped_only_on_request_and_only_if_they_are_some() {
    let remnant =
        Socket { state: State::TimeWait, inode: None, ..connection("127.0.0.1:62893", "127.0.0.1:5000", Owners::None) };
    let refusal = plan_of(vec![remnant.clone()], Vec::new(), &options());
    refused(&refusal, "no process to end");
    let mut offered = refusal.refusals[0].remedies.iter().filter_map(|remedy| Some(remedy.command.as_ref()?.join(" ")));
    assert!(offered.any(|command| command == "sudo portcheck kill 62893/tcp --remnants"), "{refusal:#?}");
    let plan = plan_of(vec![remnant.clone()], Vec::new(), &Options { remnants: true, ..options() });
    assert_eq!((&plan.remnants[..], plan.refusals.len()), (&[remnant.clone()][..], 0));
    for state in [State::Listen, State::Bound, State::Established, State::SynReceived] {
        assert!(!is_remnant(&Socket { state, ..remnant.clone() }), "{state}");
    }
    assert!(!is_remnant(&Socket { owners: Owners::Known(vec![42]), ..remnant }));
}

#[test]
fn who_holds_ports_for_others_is_never_ended() {
    let of = |name: &str| plan_of(vec![owned("0.0.0.0:62893", &[42])], vec![process(42, 7, name)], &options());
    let commands = |plan: &Plan| -> Vec<String> {
        plan.refusals[0].remedies.iter().filter_map(|remedy| Some(remedy.command.as_ref()?.join(" "))).collect()
    };
    let docker = of("com.docker.backend");
    refused(&docker, "everything that runs in Docker Desktop");
    assert_eq!(commands(&docker), ["docker ps --filter publish=62893/tcp"]);
    for program in ["dockerd", "conmon", "tailscaled", "sshd-session", "qemu-system-x86_64"] {
        refused(&of(program), "never ended itself");
    }
    let services = of("svchost.exe");
    refused(&services, "services of Windows");
    assert_eq!(commands(&services), ["tasklist /svc /fi PID eq 42"]);
    refused(&of("lsass.exe"), "a part of Windows");
    assert_eq!(pids(&of("node.exe")), [42]);
}

/// docker-proxy has a process for each family, and both hold the port for one container.
#[test]
fn a_container_is_refused_once_and_stopped_once() {
    use crate::testing::{engine_container, published};
    let forward = || Some(published(engine_container("web")));
    let sockets = || {
        vec![
            Socket { forward: forward(), ..owned("0.0.0.0:62893", &[42]) },
            Socket { forward: forward(), inode: Some(42381), ..owned("[::]:62893", &[43]) },
        ]
    };
    let proxies = || vec![process(42, 7, "docker-proxy"), process(43, 7, "docker-proxy")];
    let plan = plan_of(sockets(), proxies(), &options());
    refused(&plan, "publishes the port, and docker-proxy (pid 42) is never ended itself");
    assert_eq!((plan.refusals.len(), &plan.refusals[0].pids[..]), (1, &[42, 43][..]));
    let plan = plan_of(sockets(), proxies(), &Options { supervisor: true, ..options() });
    assert_eq!((plan.stops.len(), plan.refusals.len(), plan.holders.len()), (1, 0, 0));
    assert_eq!(plan.stops[0].what.as_deref(), Some("container web of Docker"));
}

/// Process 42 is kept by `keeper`.
fn kept(keeper: Keeper, returns: Returns) -> Keepers {
    Keepers([(42, (keeper, returns))].into())
}

fn plan_for_keeper(keeper: &Keeper, returns: Returns, options: &Options) -> Plan {
    let sockets = vec![owned("127.0.0.1:62893", &[42])];
    plan_kept(sockets, vec![process(42, 1, "web")], &kept(keeper.clone(), returns), options)
}

fn service() -> Keeper {
    use crate::model::{Manager, Unit};
    Keeper::Unit(Unit::new("web.service", Manager::User, None))
}

#[test]
fn a_supervisor_stops_its_own_and_one_that_cannot_be_told_is_named() {
    let told = Options { supervisor: true, ..options() };
    let plan = plan_for_keeper(&service(), Returns::Unknown, &told);
    assert_eq!(plan.stops[0].command, ["systemctl", "--user", "stop", "--", "web.service"]);
    assert!(plan.holders[0].is_stopped_by_keeper);
    let plan = plan_for_keeper(&service(), Returns::Never, &options());
    assert!(plan.stops.is_empty() && !plan.holders[0].is_stopped_by_keeper && plan.holders[0].keeper.is_some());

    let container = Container { runtime: Runtime::Lxc, id: "web".to_owned(), pod: None, user: None };
    refused(&plan_for_keeper(&Keeper::Container(container, None), Returns::Unknown, &told), "may start it again");
}

#[test]
fn who_comes_back_is_ended_only_if_somebody_is_asked_or_the_port_watched_for_long_enough() {
    let seconds = |settle| Options { settle: Duration::from_secs(settle), ..options() };
    let entr = Keeper::Program(Restarter::of(&process(7, 1, "entr")).unwrap());
    for (keeper, returns, settle, reason) in [
        (&service(), Returns::After(Duration::from_millis(100)), 6, "belongs to web.service, which starts it again"),
        (&service(), Returns::After(Duration::from_mins(1)), 65, "belongs to web.service, which starts it again"),
        (&service(), Returns::Unknown, 5, "which may start it again"),
        (&entr, Returns::WithFiles, 5, "was started by entr (pid 7), which starts it again when a file changes"),
    ] {
        let refusal = plan_for_keeper(keeper, returns, &seconds(settle - 1));
        refused(&refusal, reason);
        assert_eq!(refusal.refusals[0].keeper.as_ref(), Some(keeper));
        let option = format!("add --settle {settle}s");
        assert!(refusal.refusals[0].remedies.iter().any(|remedy| remedy.text.ends_with(&option)), "{refusal:#?}");
        assert_eq!(pids(&plan_for_keeper(keeper, returns, &seconds(settle))), [42]);
        let asked = Options { consent: Consent::Ask, ..options() };
        assert_eq!(pids(&plan_for_keeper(keeper, returns, &asked)), [42]);
    }
}

#[test]
fn a_free_port_needs_nothing() {
    let mut diagnosis = diagnosis_of(Vec::new(), Vec::new());
    diagnosis.ports[0].verdict.status = Status::Free;
    assert_eq!(
        plan(&diagnosis, &Surroundings::default(), &Keepers::default(), &options(), &request()),
        Plan::default()
    );
}

#[test]
fn a_name_makes_nobody_a_service_manager() {
    let socket = Socket {
        activated_by: Some(Box::new(crate::model::Unit::new("web.socket", crate::model::Manager::User, Some(1000)))),
        ..owned("127.0.0.1:62893", &[42])
    };
    assert_eq!(pids(&plan_of(vec![socket], vec![process(42, 7, "systemd")], &options())), [42]);
}

#[test]
fn what_cannot_be_seen_at_all_is_refused() {
    refused(&plan_of(Vec::new(), Vec::new(), &options()), "something that cannot be seen");
}

#[test]
fn a_service_manager_is_never_ended_and_its_socket_unit_stopped_only_on_request() {
    use crate::model::{Manager, Unit};
    for (manager, pid) in [(Manager::System, 1), (Manager::User, 60)] {
        let unit = |name: &str| Some(Unit::new(name, manager, None));
        let socket = Socket { activated_by: unit("web.socket").map(Box::new), ..owned("127.0.0.1:62893", &[pid, 61]) };
        let mut service = process(61, pid, "web");
        service.unit = unit("web.service");
        let plan = |socket: &Socket, options: Options| {
            let mut manager = process(pid, 0, "systemd");
            manager.exe = Some("/usr/lib/systemd/systemd".into());
            plan_of(vec![socket.clone()], vec![manager, service.clone()], &options)
        };
        refused(&plan(&socket, options()), "web.socket");
        let told = || Options { supervisor: true, ..options() };
        let stops = plan(&socket, told());
        assert!(stops.holders.is_empty() && stops.refusals.is_empty() && !stops.is_empty());
        let end: Vec<&str> = stops.stops[0].command.iter().rev().take(3).rev().map(String::as_str).collect();
        assert_eq!(end, ["--", "web.socket", "web.service"]);
        // Without the name of the unit there is nothing to stop.
        refused(&plan(&Socket { activated_by: None, ..socket }, told()), "a socket unit");
    }
}
