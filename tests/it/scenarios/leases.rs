//! Ports that `portcheck free` gave to a caller. They may be unbound, and still are taken.

use std::net::TcpListener;

use crate::common::lease::{Leases, Somebody, can_bind, leased};
use crate::scenarios::scenarios;
use crate::scenarios::stage::{Stage, becomes_free};

scenarios! {
    a_leased_port: rows [], proves ["leased"];
    a_held_port: rows ["7"], proves ["leased"];
    a_taken_name: rows [], proves ["lease-name-taken"];
}

fn a_leased_port(stage: &Stage) -> Result<(), String> {
    let _leases = Leases;
    let somebody = Somebody::new();
    let port = somebody.pick_one(&[]);
    let (tcp, udp) = (format!("{port}/tcp"), format!("{port}/udp"));
    stage.expect_as_nobody(&tcp, "held", &["leased"]);
    stage.expect(&udp, "held", &["leased"], &[]);
    // A program that does not call `portcheck free` can still bind it.
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    stage.expect(&tcp, "held", &["listener", "leased"], &[std::process::id()]);
    drop(listener);
    stage.expect(&tcp, "held", &["leased"], &[]).cure("leased");
    assert!(leased().is_empty());
    becomes_free(&tcp);
    Ok(())
}

fn a_held_port(stage: &Stage) -> Result<(), String> {
    let _leases = Leases;
    let somebody = Somebody::new();
    let port = somebody.pick_one(&["--hold"]);
    let tcp = format!("{port}/tcp");
    let look = stage.look(&[&tcp]);
    let keeper = look.finding("leased")["pids"][0].as_u64().unwrap();
    look.is("held", &["leased"], &[u32::try_from(keeper).unwrap()]);
    assert!(look.bind("127.0.0.1") == "in-use" && look.bind_with("127.0.0.1", true) == "ok");
    // The holder could not be inspected. The lease tells whose it is.
    stage.expect_as_nobody(&tcp, "held", &["leased", "hidden-owner"]);
    look.cure("leased");
    assert!(can_bind([127, 0, 0, 1], port, false));
    becomes_free(&tcp);
    Ok(())
}

fn a_taken_name(stage: &Stage) -> Result<(), String> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, socket};
    let name = SocketAddrUnix::new_abstract_name(b"portcheck.lease.20010").unwrap();
    let squatter = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    bind(&squatter, &name).unwrap();
    stage.expect("20010/tcp", "free", &["lease-name-taken", "free"], &[]);
    drop(squatter);
    stage.expect("20010/tcp", "free", &["free"], &[]);
    Ok(())
}
