//! Real servers on a port that `portcheck free --hold` keeps for them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::lease::{Leases, can_bind, pick_one};
use crate::common::programs::{Postgres, nginx_config};
use crate::common::server::{Server, program};
use crate::common::{codes, in_namespace, json, port, run, skip};
use tempfile::TempDir;

/// Talks to the server, so that remnants of the connection are left.
fn talk_to(port: u16) {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // A server may close the connection at any time.
    let _ = client.write_all(b"\r\n\r\n");
    let _ = client.shutdown(Shutdown::Write);
    let _ = client.read(&mut [0; 64]);
}

/// A server on a held port: it serves, restarts in spite of remnants, and leaves the hold in place.
#[track_caller]
fn serves_and_restarts(name: &str, start: impl Fn(u16) -> Server) {
    let held = pick_one(&["--hold", "--ttl", "10m"]);
    for _ in 0..2 {
        let server = start(held);
        talk_to(held);
        let answer = json(&[&format!("{held}/tcp")]);
        let found = codes(port(&answer, held, "tcp"));
        assert!(found.contains(&"leased") && found.contains(&"listener"), "{name}: {found:?}");
        drop(server);
        assert!(!can_bind(Ipv4Addr::LOCALHOST, held, false), "{name}: the hold is gone");
    }
    run(&["--release", &held.to_string()]);
}

fn in_directory(program: &Path, directory: &TempDir) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    command
}

#[test]
fn python_serves_on_a_held_port() {
    in_namespace(|| {
        let Some(python) = program("python3") else { return skip("no python3") };
        let _leases = Leases;
        let directory = tempfile::tempdir().unwrap();
        serves_and_restarts("http.server", |port| {
            let mut command = in_directory(&python, &directory);
            command.args(["-u", "-m", "http.server", &port.to_string()]);
            Server::start(command, "Serving HTTP on", 1)
        });
        let script = "import asyncio, sys
async def serve(reader, writer):
    writer.close()
async def main():
    server = await asyncio.start_server(serve, None, int(sys.argv[1]))
    print('ready', flush=True)
    await server.serve_forever()
asyncio.run(main())";
        serves_and_restarts("asyncio", |port| {
            let mut command = in_directory(&python, &directory);
            command.args(["-c", script, &port.to_string()]);
            Server::start(command, "ready", 1)
        });
    });
}

#[test]
fn node_serves_on_a_held_port() {
    in_namespace(|| {
        let Some(node) = program("node") else { return skip("no node") };
        let _leases = Leases;
        // Both families by one socket, as it does by default.
        let script = "require('http').createServer().listen(process.argv[1], () => console.log('listens'))";
        serves_and_restarts("node", |port| {
            let mut command = Command::new(&node);
            command.args(["-e", script, &port.to_string()]);
            Server::start(command, "listens", 1)
        });
    });
}

#[test]
fn nginx_serves_on_a_held_port() {
    in_namespace(|| {
        let Some(nginx) = program("nginx") else { return skip("no nginx") };
        let _leases = Leases;
        let directory = tempfile::tempdir().unwrap();
        serves_and_restarts("nginx", |port| {
            let file = directory.path().join("nginx.conf");
            std::fs::write(&file, nginx_config(port)).unwrap();
            let mut command = Command::new(&nginx);
            command.arg("-p").arg(directory.path()).arg("-c").arg(file);
            Server::start(command, "start worker process ", 3)
        });
    });
}

#[test]
fn redis_serves_on_a_held_port() {
    in_namespace(|| {
        let Some(redis) = program("redis-server") else { return skip("no redis-server") };
        let _leases = Leases;
        let directory = tempfile::tempdir().unwrap();
        serves_and_restarts("redis", |port| {
            let mut command = in_directory(&redis, &directory);
            command.args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "::1",
                "--save",
                "",
                "--daemonize",
                "no",
            ]);
            Server::start(command, "Ready to accept connections", 1)
        });
    });
}

#[test]
fn postgres_serves_on_a_held_port() {
    in_namespace(|| {
        let Some(postgres) = Postgres::set_up() else { return };
        let _leases = Leases;
        serves_and_restarts("postgres", |port| postgres.start(None, port));
    });
}

#[test]
fn rust_serves_on_a_held_port() {
    in_namespace(|| {
        let _leases = Leases;
        let held = pick_one(&["--hold"]);
        for _ in 0..3 {
            let server = TcpListener::bind((Ipv4Addr::LOCALHOST, held)).unwrap();
            let client = TcpStream::connect((Ipv4Addr::LOCALHOST, held)).unwrap();
            drop((server.accept().unwrap(), server));
            drop(client);
        }
    });
}
