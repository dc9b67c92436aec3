//! What tests of `portcheck free` share: leases that end with the test, and reading the printed
//! ports.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Background, json, numbers, run};

/// Ends all leases of the network namespace when dropped, even if the test fails: their processes
/// would outlive it.
pub struct Leases;

impl Drop for Leases {
    fn drop(&mut self) {
        release_all();
    }
}

/// The ports that are leased, ascending.
pub fn leased() -> Vec<u16> {
    ports_of(&json(&["--leases"]))
}

/// Ends all leases that can be ended.
pub fn release_all() {
    for port in leased() {
        run(&["--release", &port.to_string()]);
    }
}

/// The ports that an answer of `--free` or `--leases` names.
#[track_caller]
pub fn ports_of(answer: &Value) -> Vec<u16> {
    numbers(&answer["free"]["ports"]).into_iter().map(|port| u16::try_from(port).unwrap()).collect()
}

/// The ports on standard output, one a line and nothing else.
#[track_caller]
pub fn printed(stdout: &str) -> Vec<u16> {
    stdout.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("no port: {stdout:?}"))).collect()
}

/// Picks ports, and expects success.
#[track_caller]
pub fn pick(arguments: &[&str]) -> Vec<u16> {
    let run = run(&[&["--free"], arguments].concat());
    assert_eq!((run.code, &*run.stderr), (0, ""), "{arguments:?}: {run:?}");
    printed(&run.stdout)
}

/// Picks one.
#[track_caller]
pub fn pick_one(arguments: &[&str]) -> u16 {
    match pick(arguments)[..] {
        [port] => port,
        ref ports => panic!("{arguments:?}: {ports:?}"),
    }
}

/// Another caller, which neither is this test nor started it.
pub struct Somebody(Background);

impl Somebody {
    pub fn new() -> Self {
        Self(Background::spawn(std::process::Command::new("sleep").arg("600")))
    }

    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Picks a port for that caller.
    #[track_caller]
    pub fn pick_one(&self, arguments: &[&str]) -> u16 {
        pick_one(&[&["--pid", &self.pid().to_string()], arguments].concat())
    }
}

/// Whether a TCP socket can be bound.
pub fn can_bind(address: impl Into<IpAddr>, port: u16, reuse_address: bool) -> bool {
    bind(address, port, Type::STREAM, reuse_address).is_ok()
}

/// A bound socket.
pub fn bind(address: impl Into<IpAddr>, port: u16, kind: Type, reuse_address: bool) -> std::io::Result<Socket> {
    let address = SocketAddr::new(address.into(), port);
    let socket = Socket::new(Domain::for_address(address), kind, None::<Protocol>)?;
    socket.set_reuse_address(reuse_address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
