//! Tunnels and forwards: where they lead, who is at their end, and what ends with them. By real ssh, sshd and socat.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json as value};

use crate::common::role::Role;
use crate::common::server::{Server, holders, program, ssh_programs, with_own_run};
use crate::common::{codes, in_namespace, json, port, run, skip};

/// A server of ssh on 127.0.0.1:2222 that lets root in by a key.
struct Ssh {
    directory: tempfile::TempDir,
    _sshd: Server,
}

impl Ssh {
    /// `None`, said aloud, where that is not possible.
    fn start() -> Option<Self> {
        let [sshd, keygen, _] = ssh_programs()?;
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
        let path = |name: &str| directory.path().join(name);
        let make = Command::new(keygen).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path("key")).status();
        assert!(make.unwrap().success());
        let key = path("key").display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:2222\nHostKey {key}\nAuthorizedKeysFile {key}.pub\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin yes\n"
        );
        std::fs::write(path("sshd_config"), config).unwrap();
        std::fs::write(path("empty"), "").unwrap();
        let mut command = with_own_run(&sshd, &["sshd"]);
        command.args(["-D", "-e", "-f"]).arg(path("sshd_config"));
        let sshd = Server::start(command, "Server listening on 127.0.0.1 port 2222", 1);
        Some(Self { directory, _sshd: sshd })
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// A client that is logged in, and has these arguments besides. It has said `ready`.
    fn client_of(&self, config: &str, arguments: &[&str], ready: &str) -> Server {
        let mut command = Command::new("ssh");
        command.args(["-v", "-F", &self.path(config), "-i", &self.path("key"), "-p", "2222"]);
        let options = ["BatchMode=yes", "StrictHostKeyChecking=no", "ExitOnForwardFailure=yes"];
        command.args(options.iter().flat_map(|option| ["-o", option]));
        command.arg(format!("-oUserKnownHostsFile={}", self.path("known_hosts")));
        command.args(arguments).arg("root@127.0.0.1");
        Server::start(command, ready, 1)
    }

    fn client(&self, arguments: &[&str]) -> Server {
        self.client_of("empty", arguments, "Entering interactive session")
    }
}

/// The one port that was asked about.
fn look(target: &str) -> Value {
    let answer = json(&[target]);
    assert_eq!(answer["ports"].as_array().unwrap().len(), 1, "{answer:#}");
    answer["ports"][0].clone()
}

fn has(port: &Value, code: &str) -> bool {
    codes(port).contains(&code)
}

#[test]
fn a_tunnel_is_named_however_it_was_typed() {
    in_namespace(|| {
        let Some(ssh) = Ssh::start() else { return };
        let (server, _) = Role::playing("listen 127.0.0.1:5432");
        let spellings: [&[&str]; 6] = [
            &["-N", "-L", "15432:127.0.0.1:5432"],
            &["-NL15432:127.0.0.1:5432"],
            &["-NTL", "15432:127.0.0.1:5432"],
            &["-N", "-o", "LocalForward=15432 127.0.0.1:5432"],
            &["-N", "-oLocalForward 15432 127.0.0.1:5432"],
            &["-N", "-L", "[::1]:15432:127.0.0.1:5432"],
        ];
        for spelling in spellings {
            let client = ssh.client(spelling);
            let tcp = look("15432/tcp");
            assert_eq!((&tcp["status"], has(&tcp, "forwarder")), (&value!("held"), true), "{spelling:?} {tcp:#}");
            assert!(!has(&tcp, "listener") && !has(&tcp, "dead-forward"), "{tcp:#}");
            let forwards = tcp["forwards"].as_array().unwrap();
            assert_eq!(forwards.len(), 1, "{forwards:#?}");
            let forward = &forwards[0];
            assert_eq!(
                (&forward["kind"], &forward["by"], &forward["pids"], &forward["confidence"]),
                (&value!("local-forward"), &value!("ssh"), &value!([client.pid()]), &value!("known"))
            );
            assert_eq!(forward["to"], value!({ "address": "127.0.0.1", "port": 5432, "namespace": null }));
            assert_eq!(forward["through"], "root@127.0.0.1");
            assert_eq!(forward["ends_at"][0]["pid"], server.pid(), "{forward:#}");
            let report = run(&["15432/tcp"]);
            assert_eq!(
                report.first_line(),
                "15432/tcp is in use: ssh forwards it to 127.0.0.1:5432 on 127.0.0.1 (as root)"
            );
            let end = format!("(pid {}), on 127.0.0.1:5432", server.pid());
            assert!(report.stdout.contains(&end), "{report:?}");
        }
    });
}

/// Clients of such a port connect, and are cut off: nothing showed why.
#[test]
fn a_tunnel_to_nobody_is_dead() {
    in_namespace(|| {
        let Some(ssh) = Ssh::start() else { return };
        let _client = ssh.client(&["-N", "-L", "15433:localhost:5433", "-L", "15434:192.0.2.1:5433"]);
        let tcp = look("15433/tcp");
        assert!(has(&tcp, "forwarder") && has(&tcp, "dead-forward"), "{tcp:#}");
        assert_eq!(tcp["forwards"][0]["ends_at"], value!([]));
        let report = run(&["15433/tcp"]).stdout;
        assert!(report.contains("nothing listens on localhost:5433, where ssh forwards it"), "{report}");
        // Of another machine nobody knows.
        assert!(!has(&look("15434/tcp"), "dead-forward"));
    });
}

#[test]
fn a_kill_says_which_forwards_end() {
    in_namespace(|| {
        let Some(ssh) = Ssh::start() else { return };
        let client = ssh.client(&["-N", "-D", "1080", "-L", "15432:127.0.0.1:5432", "-R", "16000:localhost:3000"]);
        let report = run(&["1080/tcp"]);
        assert_eq!(report.first_line(), "1080/tcp is in use: ssh offers a SOCKS proxy through 127.0.0.1 (as root)");
        let tcp = look("1080/tcp");
        let forward = &tcp["forwards"][0];
        assert_eq!(
            (&forward["kind"], &forward["to"], &forward["confidence"]),
            (&value!("dynamic-forward"), &value!(null), &value!("known"))
        );
        let also = "the same ssh forwards 15432 to 127.0.0.1:5432 and 16000 on 127.0.0.1 to localhost:3000";
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&report.stdout).contains(also), "{report:?}");
        assert!(report.stdout.contains("to end it (this ends all three forwards):  "), "{report:?}");
        assert!(report.stdout.contains(&format!("process       ssh (pid {})", client.pid())), "{report:?}");
        let killed = json(&["kill", "1080/tcp", "--yes"]);
        assert_eq!((&killed["kill"]["outcome"], &killed["exit_code"]), (&value!("freed"), &value!(0)), "{killed:#}");
        assert_eq!(killed["kill"]["steps"][0]["pid"], client.pid());
        assert_eq!(holders(15432), [] as [u32; 0]);
    });
}

/// Ending the session would log its user out.
#[test]
fn the_session_that_holds_a_remote_forward_is_never_ended() {
    in_namespace(|| {
        let Some(ssh) = Ssh::start() else { return };
        let _client = ssh.client_of("empty", &["-N", "-R", "16000:localhost:3000"], "remote forward success");
        let tcp = look("16000/tcp");
        assert!(has(&tcp, "forwarder") && !has(&tcp, "dead-forward"), "{tcp:#}");
        let forward = &tcp["forwards"][0];
        assert_eq!(
            (&forward["kind"], &forward["by"], &forward["to"], &forward["confidence"]),
            (&value!("remote-forward"), &value!("sshd"), &value!(null), &value!("unknown"))
        );
        let line = run(&["16000/tcp"]).first_line().to_owned();
        assert_eq!(line, "16000/tcp is in use: the ssh session of root forwards it; only its client knows where to");
        let before = holders(16000);
        for flags in [&["--force"][..], &["--supervisor"], &["--clients", "--grace", "0s", "--force"]] {
            let answer = json(&[&["kill", "16000/tcp", "--yes"], flags].concat());
            assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("refused"), &value!(1)));
        }
        let refused = run(&["kill", "16000/tcp", "--yes"]).stdout;
        let words = refused.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("ending it would end the whole ssh login of root"), "{refused}");
        assert!(words.contains("close the tunnel (ssh -R) in the ssh session of root"), "{refused}");
        assert_eq!((holders(16000), before.len()), (before, 1));
    });
}

/// Its configuration is not read, so where it leads to is not known: never a wrong answer.
#[test]
fn what_ssh_was_told_elsewhere_is_unknown() {
    in_namespace(|| {
        let Some(ssh) = Ssh::start() else { return };
        std::fs::write(Path::new(&ssh.path("config")), "LocalForward 15432 127.0.0.1:5432\n").unwrap();
        let _client = ssh.client_of("config", &["-N", "-L", "15433:127.0.0.1:5432"], "Entering interactive session");
        let tcp = look("15432/tcp");
        let forward = &tcp["forwards"][0];
        assert_eq!(
            (&forward["kind"], &forward["to"], &forward["confidence"], has(&tcp, "dead-forward")),
            (&value!("local-forward"), &value!(null), &value!("unknown"), false)
        );
        let line = run(&["15432/tcp"]).first_line().to_owned();
        assert_eq!(line, "15432/tcp is in use: ssh forwards it; its command line does not say where to");
    });
}

#[test]
fn socat_leads_to_a_server_or_to_nobody() {
    in_namespace(|| {
        let Some(socat) = program("socat") else { return skip("no socat") };
        let start = |addresses: &[&str]| {
            let mut command = Command::new(&socat);
            command.args(["-d", "-d"]).args(addresses);
            Server::start(command, "listening on", 1)
        };
        let forward = start(&["TCP4-LISTEN:8080,bind=127.0.0.1,fork", "TCP:localhost:5433"]);
        let dead = look("8080/tcp");
        assert!(has(&dead, "forwarder") && has(&dead, "dead-forward"), "{dead:#}");
        let report = run(&["8080/tcp"]);
        assert_eq!(report.first_line(), "8080/tcp is in use: socat forwards it to localhost:5433");
        assert!(report.stdout.contains("nothing listens on localhost:5433, where socat forwards it"), "{report:?}");

        let (server, _) = Role::playing("listen [::1]:5433");
        let alive = look("8080/tcp");
        assert!(has(&alive, "forwarder") && !has(&alive, "dead-forward"), "{alive:#}");
        assert_eq!(alive["forwards"][0]["ends_at"][0]["pid"], server.pid());
        let listed = json(&["list"]);
        assert_eq!(port(&listed, 8080, "tcp")["forwards"][0]["ends_at"][0]["pid"], server.pid());
        let killed = json(&["kill", "8080/tcp", "--yes"]);
        assert_eq!(killed["kill"]["outcome"], "freed", "{killed:#}");
        drop(forward);

        // It runs a program for each connection, which is a server like any other.
        let _plain = start(&["TCP4-LISTEN:8080,fork", "EXEC:cat"]);
        let plain = look("8080/tcp");
        assert_eq!((&plain["forwards"], has(&plain, "listener")), (&value!([]), true), "{plain:#}");
    });
}

/// Anybody can call a process `ssh`, and give it arguments.
#[test]
fn a_name_makes_no_tunnel() {
    in_namespace(|| {
        let Some(python) = program("python3") else { return skip("no python3") };
        let mut command = Command::new("bash");
        let server = "import socket, time\ns = socket.socket(); s.bind(('127.0.0.1', 8080)); s.listen()\n\
                      print('listens', flush=True); time.sleep(600)";
        // It would look for its modules beside the ssh on PATH.
        let home = Command::new(&python).args(["-c", "import sys; print(sys.prefix)"]).output().unwrap().stdout;
        command.env("PYTHONHOME", String::from_utf8(home).unwrap().trim());
        command.args(["-c", "exec -a ssh \"$@\"", "bash"]).arg(python).args(["-c", server, "-L", "8080:db:5432", "h"]);
        let _server = Server::start(command, "listens", 1);
        let tcp = look("8080/tcp");
        assert_eq!((&tcp["forwards"], has(&tcp, "listener")), (&value!([]), true), "{tcp:#}");
    });
}
