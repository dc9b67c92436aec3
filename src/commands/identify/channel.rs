//! A connection that cannot last, and from which no more is read than is useful.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// The most that is read of a server.
const MOST: usize = 64 * 1024;

/// Connects within `patience`. A connection that reached itself is refused.
pub fn connect(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, patience)?;
    if stream.local_addr()? == stream.peer_addr()? {
        // The kernel picked the same port for our own end, so the connection reached itself (RFC
        // 9293, simultaneous open). An ordinary close would leave a TIME_WAIT, which would block
        // the awaited server.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        return Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "nobody listens there: the connection reached itself",
        ));
    }
    Ok(stream)
}

/// Asks once over UDP. Only the address that was asked may answer.
pub fn ask_udp(address: SocketAddr, question: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(question)?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// A connection with an end.
pub struct Channel {
    stream: TcpStream,
    /// When reading and writing end.
    pub deadline: Instant,
    /// The first bytes that were read.
    pub seen: Vec<u8>,
    left: usize,
}

impl Channel {
    /// A connection that ends at `deadline`.
    pub fn new(stream: TcpStream, deadline: Instant) -> Self {
        // Small questions are sent at once. Without this option they are only later.
        let _ = stream.set_nodelay(true);
        Self { stream, deadline, seen: Vec::new(), left: MOST }
    }

    fn rest(&self) -> io::Result<Duration> {
        let rest = self.deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(rest) }
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("it sends more than is read"));
        }
        self.stream.set_read_timeout(Some(self.rest()?))?;
        let most = buffer.len().min(self.left);
        let length = self.stream.read(&mut buffer[..most])?;
        self.left -= length;
        let room = 512_usize.saturating_sub(self.seen.len());
        self.seen.extend(buffer[..length].iter().take(room));
        Ok(length)
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.rest()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What was read is enough.
    Enough,
    /// The server closed the connection, or it broke.
    Closed,
    /// The time ran out, or more was sent than is read.
    GivenUp,
}

/// Reads into `bytes` until they are enough.
pub fn gather(from: &mut dyn Read, bytes: &mut Vec<u8>, is_enough: impl Fn(&[u8]) -> bool) -> End {
    let mut buffer = [0; 4096];
    while bytes.len() < MOST {
        match from.read(&mut buffer) {
            Ok(0) => return End::Closed,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                return End::GivenUp;
            }
            Err(_) => return End::Closed,
        }
        if is_enough(bytes) {
            return End::Enough;
        }
    }
    End::GivenUp
}
