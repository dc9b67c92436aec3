//! Interfaces whose packets this program writes and reads (tun.txt of the kernel's documentation).
//!
//! No crate used here makes these two calls, so this file makes them itself.

#![allow(unsafe_code, reason = "two calls of ioctl that no safe crate offers")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// The longest name of an interface, with its NUL (`IFNAMSIZ`).
const NAME: usize = 16;
/// linux/if_tun.h
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETIFINDEX: libc::c_ulong = 0x4004_54da;
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;

/// `struct ifreq`, as `TUNSETIFF` reads it.
#[repr(C)]
struct Request {
    name: [u8; NAME],
    flags: u16,
    padding: [u8; 22],
}

/// An interface. It ends with this value.
#[derive(Debug)]
pub struct Tun(File);

impl Tun {
    /// Makes one in the network namespace of this thread.
    pub fn make(name: &str, index: u32) -> io::Result<Self> {
        let mut request = Request { name: [0; NAME], flags: IFF_TUN | IFF_NO_PI, padding: [0; 22] };
        let room = request.name.get_mut(..name.len()).filter(|room| room.len() < NAME);
        room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
        let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        // SAFETY: the kernel reads a number behind the pointer, and writes nothing.
        let numbered = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFINDEX as _, std::ptr::from_ref(&index)) };
        // SAFETY: the kernel reads and writes a `struct ifreq` behind the pointer, which has its size.
        let made = || unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, std::ptr::from_mut(&mut request)) };
        if numbered < 0 || { made }() < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(file))
    }

    /// Lets a packet arrive.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        (&self.0).write(packet).map(drop)
    }

    /// Takes the next packet that left; `None` if there is none.
    pub fn next<'a>(&self, room: &'a mut [u8]) -> Option<&'a [u8]> {
        let length = (&self.0).read(room).ok()?;
        room.get(..length)
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
