//! What the pictures show: a developer's machine.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::answer::Answer;
use crate::classify::services::Services;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::list::Listing;
use crate::commands::reach::Report;
use crate::diagnose::{Facts, Observed, PortReport, diagnose};
use crate::model::{
    Ancestor, By, Confidence, Destination, EngineContainer, Forward, ForwardKind, Frontend, Manager, Origin, Process,
    Project, ProjectKind, Protocol, Reach, Reached, RuleText, Runner, Socket, SshServer, Stopper, Task, Through, Unit,
};
use crate::testing::{engine_container, host, owned, process, published};

/// When the pictures are taken.
pub const NOW: u64 = 1_795_260_900;

type Held = (u16, Vec<Socket>, Vec<Reach>);

fn diagnosis_of(held: Vec<Held>, mut processes: Vec<Process>) -> Diagnosis {
    let services = Services::default();
    processes.sort_by_key(|process| process.pid);
    let judge = |(port, sockets, reach): Held| {
        let service = services.lookup(port, Protocol::Tcp).map(Box::new);
        let observed = Observed { service, sockets, reach, ..Observed::of(port, Protocol::Tcp) };
        let findings = diagnose(&Facts { processes: &processes, ..Facts::of(&observed, &host()) });
        PortReport { observed, verdict: findings.into() }
    };
    let ports = held.into_iter().map(judge).collect();
    Diagnosis { ports, processes, ..Diagnosis::of_no_ports(host()) }
}

/// A process of user ada that was started some seconds ago.
fn program(pid: u32, command: &str, seconds: u64) -> Process {
    let command = shlex::split(command).unwrap();
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - seconds);
    let process = process(pid, 4100, &command[0]);
    Process { command, cwd: Some(PathBuf::from("/home/ada")), started_at: Some(started), ..process }
}

fn dev_server() -> Process {
    let ancestors = ["sh", "npm run dev", "bash", "tmux: server"];
    let pids = [9936, 9925, 4100, 1200];
    let ancestor = |(pid, name): (u32, &str)| Ancestor { pid, name: name.to_owned() };
    Process {
        cwd: Some(PathBuf::from("/home/ada/shop")),
        ppid: Some(9936),
        ancestors: pids.into_iter().zip(ancestors).map(ancestor).collect(),
        project: Some(Project {
            directory: PathBuf::from("/home/ada/shop"),
            name: "shop-frontend".to_owned(),
            kind: ProjectKind::Npm,
            git_branch: Some("main".to_owned()),
        }),
        task: Some(Task { runner: Runner::Npm, name: Some("dev".to_owned()), pid: 9925, file: None }),
        ..program(9937, "node server.js", 42)
    }
}

/// `npm run dev`.
pub fn report() -> Answer {
    Answer::Check(diagnosis_of(vec![(3000, vec![owned("127.0.0.1:3000", &[9937])], Vec::new())], vec![dev_server()]))
}

fn shop_web() -> EngineContainer {
    let label = |key: &str, value: &str| (format!("com.docker.compose.{key}"), value.to_owned());
    EngineContainer {
        image: Some("shop:1".to_owned()),
        labels: [
            label("project", "shop"),
            label("service", "web"),
            label("project.working_dir", "/srv/shop"),
            label("project.config_files", "/srv/shop/compose.yaml"),
        ]
        .into(),
        ..engine_container("shop-web-1")
    }
}

fn proxies() -> (Vec<Socket>, Vec<Process>) {
    let socket =
        |local: &str, pid| Socket { forward: Some(published(shop_web())), uid: Some(0), ..owned(local, &[pid]) };
    let proxy = |pid, ip: &str| Process {
        user: Some("root".to_owned()),
        uid: Some(0),
        ..program(
            pid,
            &format!(
                "docker-proxy -proto tcp -host-ip {ip} -host-port 8081 -container-ip 172.17.0.2 -container-port 80"
            ),
            7200,
        )
    };
    (vec![socket("0.0.0.0:8081", 9400), socket("[::]:8081", 9406)], vec![proxy(9400, "0.0.0.0"), proxy(9406, "::")])
}

/// A container that publishes a port.
pub fn container() -> Answer {
    let (sockets, processes) = proxies();
    Answer::Check(diagnosis_of(vec![(8081, sockets, Vec::new())], processes))
}

fn ssh() -> (Socket, Process) {
    let server = SshServer { user: Some("root".to_owned()), host: "db.example".to_owned(), port: 22, is_direct: true };
    let forward = Forward {
        to: Some(Destination { host: "127.0.0.1".to_owned(), port: 5432, namespace: None }),
        through: Some(Through::Ssh(server)),
        confidence: Confidence::Known,
        ..Forward::new(ForwardKind::LocalForward, "ssh")
    };
    let socket = Socket { forward: Some(Box::new(forward)), ..owned("127.0.0.1:15432", &[7301]) };
    (socket, program(7301, "ssh -f -N -L 15432:127.0.0.1:5432 -D 1080 root@db.example", 7500))
}

/// A tunnel of ssh.
pub fn tunnel() -> Answer {
    let (socket, process) = ssh();
    Answer::Check(diagnosis_of(vec![(15432, vec![socket], Vec::new())], vec![process]))
}

fn postgres() -> Process {
    Process {
        user: Some("postgres".to_owned()),
        unit: Some(Unit::new("postgresql@15-main.service", Manager::System, None)),
        ..program(812, "postgres -D /var/lib/postgresql/15/main", 86_400)
    }
}

/// What is in use.
pub fn list() -> Answer {
    let (sockets, mut processes) = proxies();
    let (tunnel, ssh) = ssh();
    processes.extend([ssh, dev_server(), postgres()]);
    let held = vec![
        (3000, vec![owned("127.0.0.1:3000", &[9937])], Vec::new()),
        (5432, vec![owned("127.0.0.1:5432", &[812]), owned("[::1]:5432", &[812])], Vec::new()),
        (8081, sockets, Vec::new()),
        (15432, vec![tunnel], Vec::new()),
    ];
    Answer::List(Listing { diagnosis: diagnosis_of(held, processes), hint: None })
}

/// A server behind a firewall.
pub fn reach() -> Answer {
    let stopper = Stopper {
        backend: "nftables",
        family: "inet".to_owned(),
        table: "filter".to_owned(),
        chain: "input".to_owned(),
        rule: Some(RuleText { position: 4, text: "tcp dport 8080 drop".to_owned(), comment: None, handle: Some(9) }),
        frontend: None::<Frontend>,
    };
    let source = |from: &str, origin, result, by| Reach {
        from: from.parse().unwrap(),
        origin,
        to: "10.0.0.7".parse().unwrap(),
        diverted_to: None,
        result,
        by,
        note: None,
    };
    let network = Origin::Network("10.0.0.0/24".to_owned(), "eth0".to_owned());
    let reach = vec![
        source("10.0.0.7", Origin::Here, Reached::Open, None),
        source("10.0.0.1", network, Reached::Open, None),
        source("198.51.100.1", Origin::Elsewhere, Reached::Dropped, Some(By::Firewall(stopper))),
    ];
    let held = vec![(8080, vec![owned("0.0.0.0:8080", &[4711])], reach)];
    let diagnosis = diagnosis_of(held, vec![program(4711, "python3 -m http.server 8080", 600)]);
    Answer::Reach(Report { diagnosis, is_from_named: false, is_audit: false })
}
