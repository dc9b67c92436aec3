//! Other network namespaces: `-A` lists what is in use in all of them. The machine's own, and those of other tests, are there
//! as well, so only what a test made itself is compared.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json as value};

use crate::common::docker::Docker;
use crate::common::netns::{Crowd, Netns, inode};
use crate::common::role::Role;
use crate::common::server::until;
use crate::common::{
    Background, Run, in_namespace, is_root, json, json_as_nobody, owners, portcheck, portcheck_as_nobody, run, skip,
};

/// Ports that no other test listens on.
const PORTS: [u16; 5] = [23_891, 23_892, 23_893, 23_894, 23_895];

/// The sockets of an answer that are in another network namespace, on one of `ports`.
fn elsewhere<'a>(answer: &'a Value, ports: &[u16]) -> Vec<&'a Value> {
    let sockets = answer["ports"].as_array().unwrap().iter().flat_map(|port| port["sockets"].as_array().unwrap());
    let is_asked = |socket: &&Value| {
        let port = socket["local"]["port"].as_u64().unwrap();
        !socket["namespace"].is_null() && ports.iter().any(|&asked| u64::from(asked) == port)
    };
    sockets.filter(is_asked).collect()
}

/// The elements of `ports` that are about a port in the namespace `inode`.
fn ports_in(answer: &Value, inode: u64) -> Vec<&Value> {
    answer["ports"].as_array().unwrap().iter().filter(|port| port["namespace"]["inode"] == inode).collect()
}

#[test]
fn all_sockets_of_a_hundred_namespaces_are_listed() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to enter the namespaces of others, and to be two users");
        }
        let Some(crowd) = Crowd::gather(100, &PORTS) else { return };
        let expected: BTreeSet<(u32, u64)> =
            crowd.pids.iter().map(|&pid| (pid, inode(Path::new(&format!("/proc/{pid}/ns/net"))))).collect();
        assert_eq!(expected.iter().map(|&(_, inode)| inode).collect::<BTreeSet<_>>().len(), 100);

        let answer = json(&["-A"]);
        let sockets = elsewhere(&answer, &PORTS);
        let found: BTreeSet<(u32, u64)> = sockets
            .iter()
            .map(|socket| {
                assert_eq!((&socket["owners"]["kind"], &socket["exposure"]), (&value!("known"), &value!("namespace")));
                let [pid] = &socket["owners"]["pids"].as_array().unwrap()[..] else { panic!("{socket:#}") };
                (pid.as_u64().unwrap().try_into().unwrap(), socket["namespace"]["inode"].as_u64().unwrap())
            })
            .collect();
        assert_eq!((sockets.len(), found), (500, expected));

        // Without privilege the same, but for the owners and what only root may know of the namespaces.
        let answer = json_as_nobody(&["-A"]);
        let sockets = elsewhere(&answer, &PORTS);
        let kinds: BTreeSet<&str> = sockets.iter().map(|socket| socket["owners"]["kind"].as_str().unwrap()).collect();
        assert_eq!((sockets.len(), kinds), (500, BTreeSet::from(["hidden"])), "{answer:#}");
        let gaps = answer["gaps"].as_array().unwrap();
        let gap = gaps.iter().find(|gap| gap["code"] == "other-namespaces").unwrap_or_else(|| panic!("{gaps:#?}"));
        assert_eq!(gap["root_would_see"], true);
        let table = Run::from(portcheck_as_nobody(&["-A"]).output().unwrap()).stdout;
        assert!(table.contains("not seen: other network namespaces were read from /proc/PID/net"), "{table}");
        // A namespace is known by a process in it at least.
        let rows = table.lines().filter(|line| line.starts_with("23891 "));
        let names: BTreeSet<&str> =
            rows.map(|row| row.split("of ").nth(1).unwrap().split(')').next().unwrap()).collect();
        assert_eq!(names.len(), 100, "{table}");
    });
}

#[test]
fn the_same_port_in_two_namespaces_is_two() {
    in_namespace(|| {
        let Some(blue) = Netns::add() else { return };
        let Some(green) = Netns::add() else { return };
        let (own, _) = Role::playing("listen 127.0.0.1:23896");
        let roles = [blue.playing("listen 0.0.0.0:23896"), green.playing("listen 0.0.0.0:23896")];
        let answer = json(&["-A"]);
        for (netns, role) in [&blue, &green].into_iter().zip(&roles) {
            let [port] = ports_in(&answer, netns.inode())[..] else { panic!("{answer:#}") };
            assert_eq!((&port["port"], &port["status"]), (&value!(23_896), &value!("held")));
            assert_eq!(port["namespace"]["name"], *netns.name);
            let [socket] = &port["sockets"].as_array().unwrap()[..] else { panic!("{port:#}") };
            assert_eq!((&socket["owners"]["pids"], &socket["namespace"]), (&value!([role.pid()]), &port["namespace"]));
            // It is not one of this machine's addresses, and ended only where it is.
            assert!(!port["findings"].to_string().contains("exposed"), "{port:#}");
            let command = port["findings"][0]["remedies"][0]["command"].as_str().unwrap();
            let (start, end) = (format!("ip netns exec {} ", netns.name), "portcheck kill 23896/tcp");
            assert!(command.starts_with(&start) && command.ends_with(end), "{command}");
        }
        let own_sockets = answer["ports"].as_array().unwrap().iter().filter(|port| port["namespace"].is_null());
        let own_pids: Vec<&Value> = own_sockets.map(|port| &port["sockets"][0]["owners"]["pids"][0]).collect();
        assert_eq!(own_pids, [&value!(own.pid())]);

        let table = run(&["-A"]).stdout;
        let row =
            |namespace: &str| table.lines().filter(|row| row.starts_with("23896") && row.contains(namespace)).count();
        assert_eq!((row(&blue.name), row(&green.name)), (1, 1), "{table}");
        assert!(table.lines().next().unwrap().contains("PROTO  NAMESPACE "), "{table}");
        let csv = run(&["-A", "--format", "csv"]).stdout;
        assert_eq!(csv.lines().filter(|line| line.ends_with(&format!(",{}", blue.name))).count(), 1, "{csv}");
        let markdown = run(&["-A", "--format", "markdown"]).stdout;
        assert_eq!(markdown.lines().filter(|line| line.contains(&green.name)).count(), 1, "{markdown}");
    });
}

#[test]
fn without_asking_no_other_namespace_is_told_of() {
    in_namespace(|| {
        let Some(blue) = Netns::add() else { return };
        let _role = blue.playing("listen 0.0.0.0:23896");
        for arguments in [&[][..], &["23896"], &["-A", "--exposed"]] {
            let answer = json(arguments);
            assert_eq!(elsewhere(&answer, &[23_896]), [&Value::Null; 0], "{arguments:?}");
        }
        assert!(!run(&[]).stdout.contains("NAMESPACE"));
        assert!(!run(&["--format", "markdown"]).stdout.contains("Namespace"));
    });
}

/// Makes namespaces with a listener each, and ends them at once, until it is ended itself.
const COMING_AND_GOING: &str = "
import ctypes, os, socket
libc = ctypes.CDLL(None)
while True:
    pid = os.fork()
    if pid == 0:
        libc.unshare(0x40000000)
        listener = socket.socket()
        listener.bind(('0.0.0.0', 23897))
        listener.listen()
        os._exit(0)
    os.waitpid(pid, 0)
";

#[test]
fn a_namespace_that_ends_during_the_look_is_no_error() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to make namespaces");
        }
        let mut churn = Command::new("python3");
        let _churn = [0; 3].map(|_| Background::spawn(churn.args(["-c", COMING_AND_GOING])));
        for _ in 0..10 {
            let answer = json(&["-A"]);
            assert_eq!(answer["exit_code"], 0);
            let told: Vec<&Value> =
                answer["gaps"].as_array().unwrap().iter().filter(|gap| gap["code"] == "other-namespaces").collect();
            assert!(
                !told.iter().any(|gap| gap["summary"].as_str().unwrap().contains("could not be read")),
                "{told:#?}"
            );
            let answer = json_as_nobody(&["-A"]);
            assert_eq!(answer["exit_code"], 0);
        }
    });
}

/// The one port of one protocol in an answer, with its owners and the answers of bind.
#[track_caller]
fn the_port(answer: &Value) -> (&Value, Vec<u32>, bool) {
    let [port] = &answer["ports"].as_array().unwrap()[..] else { panic!("{answer:#}") };
    (&port["status"], owners(port), !port["bind"].as_array().unwrap().is_empty())
}

#[test]
fn a_look_from_inside_is_by_name_process_or_file() {
    in_namespace(|| {
        let Some(blue) = Netns::add() else { return };
        let role = blue.playing("listen 127.0.0.1:23896");
        let own = TcpListener::bind("127.0.0.1:23899").unwrap();
        let path = blue.path();
        for place in [&*blue.name, &role.pid().to_string(), path.to_str().unwrap()] {
            let answer = json(&["--in", place, "23896/tcp"]);
            assert_eq!(the_port(&answer), (&value!("held"), vec![role.pid()], true), "{answer:#}");
            let port = &answer["ports"][0];
            assert_eq!(
                (&port["namespace"], &port["namespace"]["inode"]),
                (&port["sockets"][0]["namespace"], &value!(blue.inode()))
            );
            // bind is asked inside, too: what is held here is free there.
            let answer = json(&["--in", place, "23899/tcp"]);
            assert_eq!(the_port(&answer), (&value!("free"), vec![], true), "{answer:#}");
            let list = json(&["--in", place]);
            assert_eq!(the_port(&list), (&value!("held"), vec![role.pid()], false), "{list:#}");
        }
        let report = run(&["--in", &blue.name, "23896/tcp"]);
        let expected = format!("23896/tcp in network namespace {} is in use: ", blue.name);
        assert!(report.first_line().starts_with(&expected), "{report:?}");
        let report = run(&["--in", &role.pid().to_string(), "23899/tcp"]).stdout;
        assert!(report.starts_with("23899/tcp in the network namespace of "), "{report}");
        assert!(
            run(&["--in", &blue.name])
                .stdout
                .contains(&format!("looked at from inside: network namespace {}", blue.name))
        );

        // The command that ends it runs inside, and looks again.
        let answer = json(&["--in", &blue.name, "23896/tcp"]);
        let command = answer["ports"][0]["findings"][0]["remedies"][0]["command"].as_str().unwrap();
        let ended = Command::new("sh").arg("-c").arg(format!("{command} --yes")).output().unwrap();
        assert!(ended.status.success(), "{command}: {ended:?}");
        assert_eq!(the_port(&json(&["--in", &blue.name, "23896/tcp"])).0, "free");

        // Our own namespace is none of the others.
        let answer = json(&["--in", &std::process::id().to_string(), "23899/tcp"]);
        assert_eq!(the_port(&answer), (&value!("held"), vec![std::process::id()], true));
        assert_eq!(answer["ports"][0]["sockets"][0]["namespace"], Value::Null);
        drop(own);
    });
}

#[test]
fn without_privilege_a_look_from_inside_says_what_it_does_not_tell() {
    in_namespace(|| {
        let Some(blue) = Netns::add() else { return };
        let role = blue.playing("listen 127.0.0.1:23896");
        let pid = role.pid().to_string();
        let answer = json_as_nobody(&["--in", &pid, "23896/tcp"]);
        assert_eq!(the_port(&answer), (&value!("held"), vec![], false), "{answer:#}");
        assert_eq!(answer["ports"][0]["sockets"][0]["owners"]["kind"], "hidden");
        let codes: Vec<&Value> = answer["gaps"].as_array().unwrap().iter().map(|gap| &gap["code"]).collect();
        assert!(codes.contains(&&value!("other-namespaces")), "{codes:?}");
        // A bound socket may be there all the same.
        let answer = json_as_nobody(&["--in", &pid, "23897/tcp"]);
        assert_eq!(the_port(&answer), (&value!("unknown"), vec![], false), "{answer:#}");
        assert_eq!(answer["exit_code"], 3);
        let refused = Run::from(portcheck_as_nobody(&["--in", &blue.name, "23896/tcp"]).output().unwrap());
        let message = format!("portcheck: only root can look into network namespace {}\n", blue.name);
        assert_eq!((refused.code, refused.stderr), (4, message));
    });
}

/// A process can call itself anything.
const HOSTILE: &str = "
import ctypes, signal, socket
libc = ctypes.CDLL(None)
libc.unshare(0x40000000)
listener = socket.socket()
listener.bind(('0.0.0.0', 23900))
listener.listen()
open('/proc/self/comm', 'w').write('\\x1b[31mred\\n')
signal.pause()
";

#[test]
fn a_hostile_name_of_a_namespace_is_harmless() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to make namespaces");
        }
        let hostile = Background::spawn(Command::new("python3").args(["-c", HOSTILE]));
        let comm = format!("/proc/{}/comm", hostile.pid());
        until("it has its name", || std::fs::read_to_string(&comm).is_ok_and(|name| name.starts_with('\x1b')));
        let pid = hostile.pid().to_string();

        for arguments in
            [&["-A"][..], &["-A", "23900"], &["--in", &*pid], &["--in", &*pid, "23900"], &["-A", "--format", "csv"]]
        {
            let commands = [portcheck(arguments), portcheck_as_nobody(arguments)];
            for run in commands.map(|mut command| Run::from(command.output().unwrap())) {
                assert!(run.stdout.contains("[31mred"), "{run:?}");
                assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'), "{run:?}");
            }
        }
    });
}

#[test]
fn what_is_not_there_is_a_mistake_in_one_line() {
    for (place, message) in [
        ("nonesuch", "no container, pid, network namespace or file called 'nonesuch'"),
        ("4194305", "no container, pid, network namespace or file called '4194305'"),
        ("/nonesuch/net", "no container, pid, network namespace or file called '/nonesuch/net'"),
        ("..", "no container, pid, network namespace or file called '..'"),
        ("/etc/passwd", "'/etc/passwd' is not a network namespace"),
        ("/proc/self/ns/mnt", "'/proc/self/ns/mnt' is not a network namespace"),
    ] {
        for arguments in [&["--in", place][..], &["8080", "--in", place]] {
            let run = run(arguments);
            assert_eq!((run.code, &*run.stdout), (2, ""), "{run:?}");
            assert_eq!(run.stderr, format!("portcheck: {message}\n"));
        }
        let answer = json(&["--in", place, "8080"]);
        assert_eq!((&answer["error"]["kind"], &answer["error"]["message"]), (&value!("usage"), &value!(message)));
    }
    for refused in
        [&["kill", "8080", "--in", "1"][..], &["wait", "8080", "--for", "free", "--in", "1"], &["-A", "--in", "1"]]
    {
        assert_eq!(run(refused).code, 2, "{refused:?}");
    }
}

#[test]
fn a_container_is_called_by_its_name() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&[]) else { return };
        let name = format!("web-{}", std::process::id());
        docker.publish(&name, "127.0.0.1:4000");
        let answer = json(&["-A"]);
        let ports = answer["ports"].as_array().unwrap();
        let inside: Vec<&Value> = ports.iter().filter(|port| port["namespace"]["name"] == *name).collect();
        let [port] = inside[..] else { panic!("{answer:#}") };
        assert_eq!((&port["port"], &port["protocol"]), (&value!(80), &value!("tcp")));
        let table = run(&["-A"]).stdout;
        let rows: Vec<&str> = table.lines().filter(|row| row.trim_start().starts_with("80 ")).collect();
        assert_eq!(rows.iter().filter(|row| row.contains(&format!(" {name} "))).count(), 1, "{table}");

        let pid = port["sockets"][0]["owners"]["pids"][0].as_u64().unwrap();
        let id = docker.docker(&["inspect", "--format", "{{.Id}}", &name]);
        for place in [&*name, &id[..12], &*id] {
            let answer = json(&["--in", place, "80/tcp"]);
            let (status, owners, is_asked) = the_port(&answer);
            assert_eq!((status, is_asked), (&value!("held"), true));
            assert_eq!(owners, [u32::try_from(pid).unwrap()], "{answer:#}");
        }
        let report = run(&["--in", &name, "80"]);
        let expected = format!("80/tcp in container {name} is in use: ");
        assert!(report.first_line().starts_with(&expected), "{report:?}");
        assert!(report.stdout.contains(&format!("stop {name}")) || report.stdout.contains("docker"), "{report:?}");
    });
}
