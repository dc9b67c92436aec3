//! Connections and their remnants, while nothing listens.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{SockRef, Socket};

use crate::common::is_root;
use crate::common::role::{Role, listening};
use crate::scenarios::scenarios;
use crate::scenarios::stage::{Stage, becomes_free, paste, run_command, set_up, settles};

scenarios! {
    time_wait_of_a_server_without_reuse_address: rows ["10"], proves ["time-wait-stubborn"];
    time_wait_of_a_server_with_reuse_address: rows ["11"], proves ["time-wait"];
    an_orphan_whose_peer_is_open: rows ["12"], proves ["orphaned-connection"];
    an_orphan_with_unsent_data: rows ["13"], proves ["orphaned-connection"];
    accepted_connections_live_on: rows ["14"], proves ["leftover-connections"];
    an_outgoing_connection: rows ["15"], proves ["outgoing-connection", "ephemeral-port"];
    an_outgoing_connection_from_another_address: rows ["15b"], proves ["outgoing-connection", "wildcard-overlap"];
    an_outgoing_ipv6_connection: rows ["15c"], proves ["outgoing-connection", "dual-stack-overlap"];
    time_wait_of_a_client: rows ["15d"], proves ["time-wait-stubborn", "ephemeral-port"];
    connected_to_itself: rows ["16"], proves ["self-connect"];
}

const SERVER: &str = "127.0.0.1:8080";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A connection to a server on `SERVER`: the listener, the client's end, the server's end.
fn connection(options: &[&str]) -> (Socket, TcpStream, Socket) {
    let listener = listening(address(SERVER), options);
    let client = TcpStream::connect(SERVER).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (listener, client, accepted)
}

/// Leaves a TIME_WAIT on the server's port: the side that closes first keeps it.
fn leave_time_wait(options: &[&str]) {
    let (listener, client, accepted) = connection(options);
    drop((listener, accepted));
    drop(client);
    settles("8080/tcp", "time-wait");
}

/// Whether the kernel drops remnants on request. This needs root in the network namespace and in
/// the machine.
fn cure_by_dropping(look: &crate::scenarios::stage::Look, code: &str) {
    if is_root() {
        look.cure(code);
        becomes_free("8080/tcp");
    }
}

fn time_wait_of_a_server_without_reuse_address(stage: &Stage) -> Result<(), String> {
    leave_time_wait(&[]);
    let look = stage.expect("8080/tcp", "held", &["time-wait-stubborn"], &[]);
    assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", "in-use"));
    let remaining = look.finding("time-wait-stubborn")["details"]["remaining_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&remaining), "{remaining}");
    stage.look(&["8080/tcp", "--reuse-addr"]).is("held", &["time-wait-stubborn"], &[]);
    stage.expect_as_nobody("8080/tcp", "held", &["time-wait-stubborn"]);
    cure_by_dropping(&look, "time-wait-stubborn");
    Ok(())
}

fn time_wait_of_a_server_with_reuse_address(stage: &Stage) -> Result<(), String> {
    leave_time_wait(&["reuse-address"]);
    let look = stage.expect("8080/tcp", "held", &["time-wait"], &[]);
    assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", "ok"));
    stage.look(&["8080/tcp", "--reuse-addr"]).is("free", &["free"], &[]);
    drop(listening(address(SERVER), &["reuse-address"]));
    cure_by_dropping(&look, "time-wait");
    Ok(())
}

fn an_orphan_whose_peer_is_open(stage: &Stage) -> Result<(), String> {
    for (options, with_reuse) in [(&["reuse-address"][..], "ok"), (&[], "in-use")] {
        let (listener, client, accepted) = connection(options);
        drop((listener, accepted));
        settles("8080/tcp", "fin-wait-2");
        let look = stage.expect("8080/tcp", "held", &["orphaned-connection"], &[]);
        assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", with_reuse));
        let remaining = look.finding("orphaned-connection")["details"]["remaining_ms"].as_u64().unwrap();
        assert!((1..=60_000).contains(&remaining), "{remaining}");
        if !is_root() {
            return Ok(());
        }
        cure_by_dropping(&look, "orphaned-connection");
        drop(client);
        becomes_free("8080/tcp");
    }
    Ok(())
}

fn an_orphan_with_unsent_data(stage: &Stage) -> Result<(), String> {
    let (listener, client, accepted) = connection(&["reuse-address"]);
    SockRef::from(&client).set_recv_buffer_size(4096).unwrap();
    accepted.set_nonblocking(true).unwrap();
    let mut server = TcpStream::from(accepted);
    // Until nothing more fits. The rest is still unsent when the server has ended.
    while server.write(&[0; 8192]).is_ok() {}
    drop((listener, server));
    let look = stage.expect("8080/tcp", "held", &["orphaned-connection"], &[]);
    assert_eq!(look.port["sockets"][0]["state"], "fin-wait-1");
    assert!(look.port["sockets"][0]["send_queue"].as_u64().unwrap() > 0);
    assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", "ok"));
    cure_by_dropping(&look, "orphaned-connection");
    drop(client);
    Ok(())
}

fn accepted_connections_live_on(stage: &Stage) -> Result<(), String> {
    for (options, with_reuse) in [("reuse-address", "ok"), ("", "in-use")] {
        let (server, _) = Role::playing(format!("accept {SERVER} {options}").trim_end());
        let client = TcpStream::connect(SERVER).unwrap();
        // It closes its listener after it has accepted.
        settles("8080/tcp", "established");
        let look = stage.expect("8080/tcp", "held", &["leftover-connections"], &[server.pid()]);
        assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", with_reuse));
        drop(client);
        look.cure("leftover-connections");
        becomes_free("8080/tcp");
    }
    Ok(())
}

/// A server on a low port, and a client of it in a process of its own. Returns the client's own
/// port.
fn client_of(server: &str) -> (TcpListener, Role, u16) {
    let listener = TcpListener::bind(server).unwrap();
    let (client, own) = Role::playing(&format!("connect {server}"));
    let port = address(&own).port();
    (listener, client, port)
}

fn an_outgoing_connection(stage: &Stage) -> Result<(), String> {
    let (listener, client, port) = client_of(SERVER);
    let target = format!("{port}/tcp");
    let expected = &["outgoing-connection", "ephemeral-port"];
    let look = stage.expect(&target, "held", expected, &[client.pid()]);
    for place in ["127.0.0.1", "0.0.0.0", "::"] {
        assert_eq!((look.bind_with(place, false), look.bind_with(place, true)), ("in-use", "in-use"), "{place}");
    }
    stage.expect_as_nobody(&target, "held", expected);
    drop(client);
    drop(listener);
    if is_root() {
        // The command does not free the port. It keeps others from taking it the next time.
        std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "8080").unwrap();
        let (_listener, _client, port) = client_of("127.0.0.1:8081");
        let look = stage.look(&[&format!("{port}/tcp")]);
        look.cure("outgoing-connection");
        let reserved = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap();
        assert_eq!(reserved.trim(), format!("8080,{port}"), "what was reserved stays so");
        let codes = crate::common::codes(&stage.look(&[&format!("{port}/tcp")]).port).join(" ");
        assert!(codes.contains("reserved-port") && !codes.contains("ephemeral-port"), "{codes}");
    }
    Ok(())
}

fn an_outgoing_connection_from_another_address(stage: &Stage) -> Result<(), String> {
    set_up("ip addr add 10.9.9.1/32 dev lo")?;
    let (_listener, client, port) = client_of("10.9.9.1:8080");
    let expected = &["outgoing-connection", "wildcard-overlap", "ephemeral-port"];
    let look = stage.expect(&format!("{port}/tcp"), "held", expected, &[client.pid()]);
    assert_eq!((look.bind("127.0.0.1"), look.bind("0.0.0.0"), look.bind("::")), ("ok", "in-use", "in-use"));
    stage.expect(&format!("127.0.0.1:{port}/tcp"), "free", &["ephemeral-port", "free"], &[]);
    Ok(())
}

fn an_outgoing_ipv6_connection(stage: &Stage) -> Result<(), String> {
    let (_listener, client, port) = client_of("[::1]:8080");
    let expected = &["outgoing-connection", "dual-stack-overlap", "ephemeral-port"];
    let look = stage.expect(&format!("{port}/tcp"), "held", expected, &[client.pid()]);
    assert_eq!((look.bind("127.0.0.1"), look.bind("0.0.0.0"), look.bind("::")), ("ok", "in-use", "in-use"));
    stage.expect(&format!("0.0.0.0:{port}/tcp"), "held", expected, &[client.pid()]);
    stage.expect(&format!("127.0.0.1:{port}/tcp"), "free", &["ephemeral-port", "free"], &[]);
    Ok(())
}

fn time_wait_of_a_client(stage: &Stage) -> Result<(), String> {
    let listener = TcpListener::bind(SERVER).unwrap();
    let client = TcpStream::connect(SERVER).unwrap();
    let port = client.local_addr().unwrap().port();
    let (accepted, _) = listener.accept().unwrap();
    drop(client);
    drop(accepted);
    let target = format!("{port}/tcp");
    settles(&target, "time-wait");
    let look = stage.expect(&target, "held", &["time-wait-stubborn", "ephemeral-port"], &[]);
    assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", "in-use"));
    if is_root() {
        run_command(look.commands("time-wait-stubborn")[0]);
        becomes_free(&target);
    }
    Ok(())
}

fn connected_to_itself(stage: &Stage) -> Result<(), String> {
    let (poller, _) = Role::playing("itself 127.0.0.1:40001");
    let look = stage.expect("40001/tcp", "held", &["self-connect", "ephemeral-port"], &[poller.pid()]);
    for place in ["127.0.0.1", "0.0.0.0", "::"] {
        assert_eq!((look.bind_with(place, false), look.bind_with(place, true)), ("in-use", "in-use"), "{place}");
    }
    stage.expect_as_nobody("40001/tcp", "held", &["self-connect", "ephemeral-port"]);
    // The first command ends it, and the second one prevents it. After that, no remaining socket is
    // connected to itself.
    let left = paste(look.commands("self-connect")[0]);
    assert_eq!(left.status.code(), Some(1), "{left:?}");
    stage.expect("40001/tcp", "held", &["time-wait-stubborn", "ephemeral-port"], &[]);
    if is_root() {
        run_command(stage.look(&["40001/tcp"]).commands("time-wait-stubborn")[0]);
        becomes_free("40001/tcp");
    }
    Ok(())
}
