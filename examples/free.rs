//! Starts a server on a port that was free, and asks about it: `cargo run --example free`.

use std::net::TcpListener;

use portcheck::{Picker, Protocol, Query};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let reservation = Picker::new().protocol(Protocol::Tcp).pick()?;
    let port = reservation.ports()[0];
    println!("nobody else can bind {port} now");

    drop(reservation);
    let server = TcpListener::bind(("127.0.0.1", port))?;
    let address = server.local_addr()?;
    let diagnosis = Query::port(port).on(address.ip()).protocol(Protocol::Tcp).check()?;
    for finding in &diagnosis.ports[0].verdict.findings {
        println!("{}", diagnosis.summary(finding));
    }
    Ok(())
}
