//! Several situations at once.

use std::net::{SocketAddr, TcpStream};

use crate::common::json;
use crate::common::role::{Role, listening};
use crate::scenarios::scenarios;
use crate::scenarios::stage::{Stage, part, run_command, settles, wait_until};

scenarios! {
    a_listener_among_its_connections: rows [], proves ["listener"];
    one_server_on_each_loopback_address: rows [], proves ["listener", "split-localhost"];
    a_reuseport_group_with_a_stopped_member: rows [], proves ["reuseport-group", "stopped-holder"];
    a_remnant_in_the_ephemeral_range: rows [], proves ["time-wait", "ephemeral-port"];
    tcp_and_udp_by_different_processes: rows [], proves ["listener"];
}

fn a_listener_among_its_connections(stage: &Stage) -> Result<(), String> {
    let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    let server = listening(address, &["reuse-address"]);
    // One that lives, one that has ended, one that nobody accepted.
    let _client = TcpStream::connect(address).unwrap();
    let _accepted = server.accept().unwrap();
    let ended = TcpStream::connect(address).unwrap();
    drop(server.accept().unwrap());
    drop(ended);
    let has = |state: &str| stage.look(&["8080/tcp", "--all"]).port["sockets"].to_string().contains(state);
    wait_until("one has ended", || has("\"time-wait\""));
    for arguments in [&["8080/tcp"][..], &["8080/tcp", "--all"]] {
        let look = stage.look(arguments);
        look.says("held", &["listener"]);
        let pids = crate::common::numbers(&look.finding("listener")["pids"]);
        assert_eq!(pids, [std::process::id()]);
    }
    let all = stage.look(&["8080/tcp", "--all"]);
    let states: Vec<&str> =
        all.port["sockets"].as_array().unwrap().iter().map(|socket| socket["state"].as_str().unwrap()).collect();
    assert!(states.contains(&"time-wait") && states.contains(&"established"), "{states:?}");
    Ok(())
}

fn one_server_on_each_loopback_address(stage: &Stage) -> Result<(), String> {
    let (ipv4, _) = Role::playing("listen 127.0.0.1:8080");
    let (ipv6, _) = Role::playing("listen [::1]:8080");
    let both = &[ipv4.pid(), ipv6.pid()];
    stage.expect("8080/tcp", "held", &["listener", "listener", "split-localhost"], both);
    stage.expect("localhost:8080/tcp", "held", &["listener", "listener", "split-localhost"], both);
    stage.expect("127.0.0.1:8080/tcp", "held", &["listener"], &[ipv4.pid()]);
    stage.expect("[::1]:8080/tcp", "held", &["listener"], &[ipv6.pid()]);
    Ok(())
}

fn a_reuseport_group_with_a_stopped_member(stage: &Stage) -> Result<(), String> {
    let part = "listen 127.0.0.1:8080 reuse-port";
    let (running, _) = Role::playing(part);
    let (stopped, _) = Role::playing(part);
    run_command(&format!("kill -STOP {}", stopped.pid()));
    let is_stopped = || std::fs::read_to_string(format!("/proc/{}/stat", stopped.pid())).unwrap().contains(") T ");
    wait_until("it is stopped", is_stopped);
    let expected = &["listener", "listener", "stopped-holder", "reuseport-group"];
    let look = stage.expect("8080/tcp", "held", expected, &[running.pid(), stopped.pid()]);
    assert_eq!(crate::common::numbers(&look.finding("stopped-holder")["pids"]), [stopped.pid()]);
    Ok(())
}

fn a_remnant_in_the_ephemeral_range(stage: &Stage) -> Result<(), String> {
    let address: SocketAddr = "127.0.0.1:40001".parse().unwrap();
    let server = listening(address, &["reuse-address"]);
    let client = TcpStream::connect(address).unwrap();
    drop(server.accept().unwrap());
    drop((server, client));
    settles("40001/tcp", "time-wait");
    stage.expect("40001/tcp", "held", &["time-wait", "ephemeral-port"], &[]);
    stage.look(&["40001/tcp", "--reuse-addr"]).is("free", &["ephemeral-port", "free"], &[]);
    Ok(())
}

fn tcp_and_udp_by_different_processes(stage: &Stage) -> Result<(), String> {
    let (tcp, _) = Role::playing("listen 127.0.0.1:8080");
    let (udp, _) = Role::playing("udp 127.0.0.1:8080");
    let answer = json(&["8080"]);
    stage.note_all(&answer);
    part(&answer, 8080, "tcp").is("held", &["listener"], &[tcp.pid()]);
    part(&answer, 8080, "udp").is("held", &["listener"], &[udp.pid()]);
    // Neither is the only one, so neither is called so.
    assert!(!["tcp-only", "udp-only"].iter().any(|code| answer.to_string().contains(code)), "{answer:#}");
    Ok(())
}
