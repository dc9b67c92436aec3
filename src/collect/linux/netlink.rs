//! Asks the kernel over netlink(7), and splits its answers into messages and attributes.
//!
//! The protocols know what the messages mean: `sock_diag`, `links`, `generic`, `unix_sockets`.
//! Splitting is pure.

use std::io;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::error::Error;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The kernel does not have what was asked for, or not the module that shows it (`ENOENT`).
    #[error("the kernel offers no such table")]
    NoSuch,
    /// The kernel refused.
    #[error("netlink refused: {0}")]
    Refused(io::Error),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Whether more datagrams of the answer follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    Done,
}

/// A netlink socket.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// More than the kernel puts into one datagram of a dump (32 KiB, net/netlink/af_netlink.c).
const BUFFER: usize = 64 * 1024;

// linux/netlink.h
pub const HEADER: usize = 16;
pub const ERROR: u16 = 2;
pub const DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
/// Make it (`NLM_F_CREATE`), unless it is there (`NLM_F_EXCL`).
const CREATE: u16 = 0x400 | 0x200;
pub const DUMP_INTERRUPTED: u16 = 0x10;
const ATTRIBUTE_HEADER: usize = 4;
/// Attribute types carry two flags in their upper bits.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

impl Netlink {
    /// Opens a socket. No privilege is needed.
    pub fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let kind = SocketType::DGRAM;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, protocol)?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Asks for everything of `kind`, and calls `each` with type and payload of every message of
    /// the answer. Returns whether the answer was interrupted because the tables changed meanwhile.
    pub fn dump(
        &mut self,
        kind: u16,
        payload: &[u8],
        mut each: impl FnMut(u16, &[u8]) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        self.sequence += 1;
        let request = message(kind, NLM_F_REQUEST | NLM_F_DUMP, self.sequence, payload);
        let mut interrupted = false;
        self.send(&request)?;
        while self.receive(&mut interrupted, &mut each)? == Progress::More {}
        Ok(interrupted)
    }

    /// Asks for one thing, and calls `each` with type and payload of the message that answers.
    pub fn ask(
        &mut self,
        kind: u16,
        payload: &[u8],
        mut each: impl FnMut(u16, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.sequence += 1;
        self.send(&message(kind, NLM_F_REQUEST, self.sequence, payload))?;
        let mut is_answered = false;
        while !is_answered {
            let each = |kind: u16, payload: &[u8]| {
                is_answered = true;
                each(kind, payload)
            };
            if self.receive(&mut false, each)? == Progress::Done {
                break;
            }
        }
        Ok(())
    }

    /// Tells the kernel to do something, and waits for its acknowledgement.
    pub fn command(&mut self, kind: u16, payload: &[u8]) -> Result<(), Failure> {
        self.tell(kind, NLM_F_REQUEST | NLM_F_ACK, payload)
    }

    /// Tells the kernel to make something that is not there yet.
    pub fn create(&mut self, kind: u16, payload: &[u8]) -> Result<(), Failure> {
        self.tell(kind, NLM_F_REQUEST | NLM_F_ACK | CREATE, payload)
    }

    fn tell(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<(), Failure> {
        self.sequence += 1;
        self.send(&message(kind, flags, self.sequence, payload))?;
        let sequence = self.sequence;
        loop {
            let answer = self.next_datagram()?;
            // An acknowledgement is an error with number 0.
            if u32_at(answer, 8)? == sequence && u16_at(answer, 4)? == ERROR {
                return fail_on(i32_at(answer, HEADER)?);
            }
        }
    }

    fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        // A sandbox that allows the socket but not its use refuses here.
        rustix::net::send(&self.socket, request, SendFlags::empty())
            .map(drop)
            .map_err(|errno| Failure::Refused(errno.into()))
    }

    fn receive(
        &mut self,
        interrupted: &mut bool,
        each: impl FnMut(u16, &[u8]) -> Result<(), Failure>,
    ) -> Result<Progress, Failure> {
        let sequence = self.sequence;
        read(self.next_datagram()?, sequence, interrupted, each)
    }

    fn next_datagram(&mut self) -> Result<&[u8], Failure> {
        let (_, length) = loop {
            self.buffer.clear();
            match rustix::net::recv(&self.socket, spare_capacity(&mut self.buffer), RecvFlags::TRUNC) {
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(Error::Call { call: "recv on the netlink socket", source: errno.into() }.into());
                }
                Ok(received) => break received,
            }
        };
        self.buffer.get(..length).ok_or_else(|| malformed("a datagram that exceeds the buffer"))
    }
}

/// Lays out a message.
pub fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = HEADER + payload.len();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0u32.to_ne_bytes());
    message.extend_from_slice(payload);
    message
}

/// Lays out an attribute, with its padding.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = ATTRIBUTE_HEADER + value.len();
    let mut bytes = u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// Reads one datagram of the answer to the request numbered `sequence`.
pub fn read(
    datagram: &[u8],
    sequence: u32,
    interrupted: &mut bool,
    mut each: impl FnMut(u16, &[u8]) -> Result<(), Failure>,
) -> Result<Progress, Failure> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = u32_at(rest, 0)? as usize;
        if length < HEADER || length > rest.len() {
            return Err(malformed("a message with a length that cannot be"));
        }
        let (message, after) = rest.split_at(length);
        // Messages are aligned to 4 bytes. The last one may lack its padding.
        rest = after.get(length.next_multiple_of(4) - length..).unwrap_or_default();
        if u32_at(message, 8)? != sequence {
            continue;
        }
        *interrupted |= u16_at(message, 6)? & DUMP_INTERRUPTED != 0;
        let payload = &message[HEADER..];
        match u16_at(message, 4)? {
            ERROR => {
                fail_on(i32_at(payload, 0)?)?;
                return Err(malformed("an acknowledgement that was not asked for"));
            }
            DONE => {
                // Since Linux 2.6.39 the end carries the result of the dump.
                if !payload.is_empty() {
                    fail_on(i32_at(payload, 0)?)?;
                }
                return Ok(Progress::Done);
            }
            kind => each(kind, payload)?,
        }
    }
    Ok(Progress::More)
}

/// Turns a negative errno of the kernel into an error.
fn fail_on(result: i32) -> Result<(), Failure> {
    const ENOENT: i32 = 2;
    match result {
        0.. => Ok(()),
        _ if result == -ENOENT => Err(Failure::NoSuch),
        _ => Err(Failure::Refused(io::Error::from_raw_os_error(result.saturating_neg()))),
    }
}

/// Removes the next attribute from the front: returns its type and its value.
pub fn next_attribute<'a>(attributes: &mut &'a [u8]) -> Result<Option<(u16, &'a [u8])>, Failure> {
    if attributes.len() < ATTRIBUTE_HEADER {
        return Ok(None);
    }
    let length = usize::from(u16_at(attributes, 0)?);
    let kind = u16_at(attributes, 2)? & ATTRIBUTE_TYPE;
    let value = attributes
        .get(ATTRIBUTE_HEADER..length)
        .ok_or_else(|| malformed("an attribute with a length that cannot be"))?;
    *attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Ok(Some((kind, value)))
}

/// The value of the first attribute of `kind`, if there is one.
pub fn find_attribute(mut attributes: &[u8], kind: u16) -> Result<Option<&[u8]>, Failure> {
    while let Some((found, value)) = next_attribute(&mut attributes)? {
        if found == kind {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The text of an attribute, which ends with a NUL.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value)).into_owned()
}

/// Something that does not follow the format.
pub fn malformed(problem: &'static str) -> Failure {
    Failure::Failed(Error::Malformed { from: "the kernel's netlink", problem })
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Failure> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .ok_or_else(|| malformed("a message that ends too soon"))
}

pub fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Failure> {
    bytes_at(bytes, at).map(u16::from_ne_bytes)
}

pub fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Failure> {
    bytes_at(bytes, at).map(u32::from_ne_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Result<i32, Failure> {
    bytes_at(bytes, at).map(i32::from_ne_bytes)
}
