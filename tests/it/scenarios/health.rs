//! Servers that hold the port as they should, but do not answer, or run an old build.

use std::net::TcpStream;
use std::process::Command;

use crate::common::cgroup::Cgroup;
use crate::common::role::{Role, listening};
use crate::common::server::{Server, program};
use crate::scenarios::scenarios;
use crate::scenarios::stage::{Stage, need_root, wait_until};

scenarios! {
    connections_that_nobody_accepts: rows ["37", "38"], proves ["accept-queue", "backlog-full"];
    a_stopped_holder: rows ["39"], proves ["stopped-holder"];
    a_frozen_holder: rows ["39"], proves ["stopped-holder"];
    a_forward_to_nobody: rows [], proves ["forwarder", "dead-forward"];
    a_program_that_was_replaced: rows ["42"], proves ["deleted-executable"];
}

fn connections_that_nobody_accepts(stage: &Stage) -> Result<(), String> {
    let address = "127.0.0.1:8080".parse().unwrap();
    let _listener = listening(address, &["backlog=2"]);
    let own = std::process::id();
    let mut clients: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    let look = stage.expect("8080/tcp", "held", &["listener", "accept-queue"], &[own]);
    assert_eq!(look.finding("accept-queue")["details"]["waiting"], 2);
    // The clients' connections and those in the queue are no orphans.
    stage.look(&["8080/tcp", "--all"]).says("held", &["listener", "accept-queue"]);
    clients.push(TcpStream::connect(address).unwrap());
    let look = stage.expect("8080/tcp", "held", &["listener", "backlog-full"], &[own]);
    assert_eq!(look.finding("backlog-full")["details"]["waiting"], 3);
    Ok(())
}

fn state_of(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().next().unwrap().to_owned()
}

fn a_stopped_holder(stage: &Stage) -> Result<(), String> {
    let (server, _) = Role::playing("listen 127.0.0.1:8080");
    stage.expect("8080/tcp", "held", &["listener"], &[server.pid()]);
    crate::scenarios::stage::run_command(&format!("kill -STOP {}", server.pid()));
    wait_until("it is stopped", || state_of(server.pid()) == "T");
    let look = stage.expect("8080/tcp", "held", &["listener", "stopped-holder"], &[server.pid()]);
    look.cure("stopped-holder");
    wait_until("it runs on", || state_of(server.pid()) != "T");
    stage.expect("8080/tcp", "held", &["listener"], &[server.pid()]);
    Ok(())
}

fn a_frozen_holder(stage: &Stage) -> Result<(), String> {
    need_root()?;
    let cgroup = Cgroup::make(&format!("/portcheck-test-frozen-{}", std::process::id()))?;
    let (server, _) = Role::playing("listen 127.0.0.1:8080");
    cgroup.add(server.pid());
    stage.expect("8080/tcp", "held", &["listener"], &[server.pid()]);
    let is_frozen = || std::fs::read_to_string(cgroup.path().join("cgroup.events")).unwrap().contains("frozen 1");
    std::fs::write(cgroup.path().join("cgroup.freeze"), "1").map_err(|error| error.to_string())?;
    wait_until("it is frozen", is_frozen);
    let look = stage.expect("8080/tcp", "held", &["listener", "stopped-holder"], &[server.pid()]);
    assert_eq!(look.finding("stopped-holder")["details"]["state"], "frozen");
    look.cure("stopped-holder");
    wait_until("it runs on", || !is_frozen());
    stage.expect("8080/tcp", "held", &["listener"], &[server.pid()]);
    drop(server);
    Ok(())
}

fn a_forward_to_nobody(stage: &Stage) -> Result<(), String> {
    let socat = program("socat").ok_or("no socat")?;
    let mut command = Command::new(socat);
    command.args(["-d", "-d", "TCP4-LISTEN:8080,bind=127.0.0.1", "TCP:127.0.0.1:8081"]);
    let socat = Server::start(command, "listening on", 1);
    let look = stage.expect("8080/tcp", "held", &["forwarder", "dead-forward"], &[socat.pid()]);
    assert_eq!(look.finding("dead-forward")["details"]["to"], "127.0.0.1:8081");
    let (server, _) = Role::playing("listen 127.0.0.1:8081");
    let look = stage.expect("8080/tcp", "held", &["forwarder"], &[socat.pid()]);
    assert_eq!(look.port["forwards"][0]["ends_at"][0]["pid"], server.pid());
    look.cure("forwarder");
    Ok(())
}

fn a_program_that_was_replaced(stage: &Stage) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("server");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut server = Role::start_as(&program, "listen 127.0.0.1:8080");
    server.go();
    stage.expect("8080/tcp", "held", &["listener"], &[server.pid()]);
    std::fs::remove_file(&program).unwrap();
    let look = stage.expect("8080/tcp", "held", &["listener", "deleted-executable"], &[server.pid()]);
    assert_eq!(look.finding("deleted-executable")["details"]["path"], program.to_str().unwrap());
    Ok(())
}
