//! `SO_EXCLUSIVEADDRUSE`, without which Windows lets a second socket bind a wildcard beside a specific address.

// No crate offers this option without it.
#![allow(unsafe_code)]

use std::io;
use std::os::windows::io::AsRawSocket;

use socket2::Socket;
use windows_sys::Win32::Networking::WinSock::{SO_EXCLUSIVEADDRUSE, SOL_SOCKET, setsockopt};

/// Makes a bind of `socket` fail if anybody has the port on an address that overlaps, and keeps others from it afterwards.
///
/// # Errors
///
/// As Winsock says, such as for a socket that is bound already.
pub fn set(socket: &Socket) -> io::Result<()> {
    const YES: [u8; 4] = 1_i32.to_ne_bytes();
    let raw = usize::try_from(socket.as_raw_socket()).map_err(io::Error::other)?;
    // SAFETY: the socket is open as long as it is borrowed, and Winsock reads the four bytes of YES and keeps no pointer to them.
    let result = unsafe { setsockopt(raw, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, YES.as_ptr(), 4) };
    // setsockopt leaves its reason where the last error of the thread is.
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
