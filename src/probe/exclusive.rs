//! Binds with `SO_EXCLUSIVEADDRUSE`. Without it Windows lets a second socket bind a wildcard beside
//! a specific address.

// No crate sets this option without unsafe code of ours.
#![allow(unsafe_code)]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::windows::io::AsRawSocket;

use socket2::{Domain, Socket, Type};
use windows_sys::Win32::Networking::WinSock::{SO_EXCLUSIVEADDRUSE, SOL_SOCKET, WSAEADDRINUSE, setsockopt};

use super::Spot;

/// Binds `socket` so that nobody else can have the port on an overlapping address. It fails if
/// somebody has it already, with one exception: beside a non-exclusive wildcard of the same user,
/// any server can bind a specific address.
pub fn bind(socket: &Socket, kind: Type, address: SocketAddr, spot: Spot) -> io::Result<()> {
    set(socket)?;
    socket.bind(&address.into()).map_err(|error| {
        let is_refused = error.kind() == io::ErrorKind::PermissionDenied;
        if is_refused && is_held(kind, address, spot) { io::Error::from_raw_os_error(WSAEADDRINUSE) } else { error }
    })
}

/// Whether a wildcard is in use. If anybody holds the port, Winsock says so of a wildcard ("Using
/// SO_REUSEADDR and SO_EXCLUSIVEADDRUSE", Winsock's documentation).
fn is_held(kind: Type, address: SocketAddr, spot: Spot) -> bool {
    let is_in_use = |wildcard: SocketAddr| {
        let bound = Socket::new(Domain::for_address(wildcard), kind, None).and_then(|socket| {
            if wildcard.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            set(&socket)?;
            socket.bind(&wildcard.into())
        });
        bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    let port = address.port();
    let takes_ipv4 = address.is_ipv4() || spot.v6only == Some(false);
    (takes_ipv4 && is_in_use((Ipv4Addr::UNSPECIFIED, port).into()))
        || (address.is_ipv6() && is_in_use((Ipv6Addr::UNSPECIFIED, port).into()))
}

/// Sets the option. This must come before the bind.
fn set(socket: &Socket) -> io::Result<()> {
    const YES: [u8; 4] = 1_i32.to_ne_bytes();
    let raw = usize::try_from(socket.as_raw_socket()).map_err(io::Error::other)?;
    // SAFETY: the socket is open while it is borrowed. Winsock reads the four bytes of YES and
    // keeps no pointer to them.
    let result = unsafe { setsockopt(raw, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, YES.as_ptr(), 4) };
    // The reason is in the thread's last error.
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
