//! What several unit tests need: facts made by hand, and generated files that must be current.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::model::{
    Ancestor, Backend, Confidence, Destination, Engine, EngineContainer, Family, Forward, ForwardKind, Forwarder, Host,
    Namespace, NamespaceName, Owners, Pid, Process, Protocol, Runtime, Server, Socket, State,
};

/// Checks that a generated file in the tree is current. `PORTCHECK_UPDATE=1 cargo test` writes it
/// anew.
#[track_caller]
pub fn expect_file(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("PORTCHECK_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is stale: run PORTCHECK_UPDATE=1 cargo test", path.display());
}

/// Says what a test could not prove here. Not by `eprintln!`, which the harness keeps to itself
/// when a test passes.
pub fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// Runs `body` in a network namespace of its own, with loopback up, so that sockets of other tests
/// are not there.
#[cfg(target_os = "linux")]
pub fn in_network_namespace(body: impl FnOnce() + Send) {
    let prepared = || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_ok()
            && std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().is_ok_and(|it| it.success())
    };
    let alone = || if prepared() { body() } else { skip("no network namespace can be made") };
    std::thread::scope(|scope| scope.spawn(alone).join()).unwrap();
}

/// A TCP listener whose owner nobody asked for.
pub fn listener(local: &str) -> Socket {
    let local: SocketAddr = local.parse().unwrap();
    Socket {
        v6only: local.is_ipv6().then_some(false),
        inode: Some(42380),
        uid: Some(1000),
        user: Some("ada".into()),
        receive_queue: Some(0),
        send_queue: Some(5),
        ..Socket::new(Protocol::Tcp, Family::of(local.ip()), State::Listen, local)
    }
}

/// An established TCP connection whose owner nobody asked for.
pub fn connection(local: &str, remote: &str) -> Socket {
    Socket { state: State::Established, remote: Some(remote.parse().unwrap()), ..listener(local) }
}

/// A listener that `pids` have open.
pub fn owned(local: &str, pids: &[Pid]) -> Socket {
    Socket { owners: Owners::Known(pids.to_vec()), ..listener(local) }
}

/// A process of user ada, started by a shell.
pub fn process(pid: Pid, ppid: Pid, name: &str) -> Process {
    let process = Process {
        pid,
        ppid: Some(ppid),
        name: name.to_owned(),
        exe: Some(PathBuf::from(format!("/usr/bin/{name}"))),
        is_exe_deleted: false,
        command: vec![name.to_owned(), "--port".to_owned(), "62893".to_owned()],
        cwd: Some(PathBuf::from("/srv/demo")),
        user: Some("ada".to_owned()),
        uid: Some(1000),
        started_at: jiff::Timestamp::from_second(1_795_253_400).ok().map(SystemTime::from),
        is_stopped: false,
        frozen_cgroup: None,
        legacy: None,
        ancestors: vec![
            Ancestor { pid: ppid, name: "bash".to_owned() },
            Ancestor { pid: 1, name: "systemd".to_owned() },
        ],
        unit: None,
        container: None,
        engine_container: None,
        forwarder: None,
        project: None,
        virtual_hosts: Vec::new(),
        task: None,
        also_holds: Vec::new(),
        clients: None,
    };
    Process { forwarder: Forwarder::of(&process), ..process }
}

/// A container that the Docker of the machine tells of.
pub fn engine_container(name: &str) -> EngineContainer {
    EngineContainer {
        engine: Engine { is_default: true, ..Engine::usual_docker() },
        name: Some(name.to_owned()),
        ..EngineContainer::by_id(None, Runtime::Docker, "8".repeat(64))
    }
}

/// What publishes a port of `container`.
pub fn published(container: EngineContainer) -> Box<Forward> {
    Box::new(Forward {
        to: Some(Destination { host: "172.17.0.2".to_owned(), port: 80, namespace: None }),
        container: Some(Box::new(container)),
        ends_at: vec![Server { pid: 9622, name: "httpd".to_owned() }],
        confidence: Confidence::Known,
        ..Forward::new(ForwardKind::Published, "docker")
    })
}

/// A network namespace of `ip netns`.
pub fn namespace(name: &str) -> Namespace {
    Namespace { name: NamespaceName::Netns(name.to_owned()), inode: Some(4_026_532_281), pid: None }
}

/// The host of all fixtures, seen by user 1000.
pub fn host() -> Host {
    Host {
        os: "linux",
        release: Some("6.18.44".to_owned()),
        backend: Backend::Native,
        euid: Some(1000),
        ephemeral_range: Some((32768, 60999)),
        reserved_ports: crate::port_set::PortSet::default(),
        unprivileged_start: Some(1024),
    }
}
