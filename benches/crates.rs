//! The crates that list sockets with their processes, by their own calls, for comparison. Prints how
//! many they found: `crates netstat2` or `crates listeners`.

use netstat2::{AddressFamilyFlags, ProtocolFlags, get_sockets_info};

fn main() {
    let count = match std::env::args().nth(1).as_deref() {
        Some("netstat2") => {
            let families = AddressFamilyFlags::IPV4 | AddressFamilyFlags::IPV6;
            get_sockets_info(families, ProtocolFlags::TCP).map_or(0, |sockets| sockets.len())
        }
        #[cfg(target_os = "linux")]
        Some("listeners") => listeners::get_all().map_or(0, |sockets| sockets.len()),
        // Cargo runs it with arguments of its own.
        _ => return println!("the name of a crate is needed: netstat2 or listeners"),
    };
    println!("{count}");
}
