//! netstat2's own call, for comparison: every TCP socket with its processes.

use netstat2::{AddressFamilyFlags, ProtocolFlags, get_sockets_info};

fn main() {
    let sockets = get_sockets_info(AddressFamilyFlags::IPV4 | AddressFamilyFlags::IPV6, ProtocolFlags::TCP);
    println!("{}", sockets.map_or(0, |sockets| sockets.len()));
}
