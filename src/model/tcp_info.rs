//! What the kernel measured of a TCP connection.

#[cfg(any(target_os = "linux", test))]
use super::State;

/// A part of `struct tcp_info` (linux/tcp.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// The smoothed round-trip time, in microseconds.
    pub rtt_us: u32,
    /// Segments that were sent again, since the connection began.
    pub retransmits: u32,
    /// Payload sent, without what was sent again. `None` before Linux 4.19.
    pub bytes_sent: Option<u64>,
    /// Payload received. `None` before Linux 4.1.
    pub bytes_received: Option<u64>,
    /// How long ago data was last sent or received, in milliseconds.
    pub idle_ms: u32,
}

#[cfg(any(target_os = "linux", test))]
impl TcpInfo {
    /// Reads the attribute `INET_DIAG_INFO` of a socket in `state`. Kernels add fields at its end.
    /// `None` if it is too short for what every kernel has.
    pub fn parse(bytes: &[u8], state: State) -> Option<Self> {
        let u32_at = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        let u64_at = |at: usize| bytes.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
        let (last_sent, last_received) = (u32_at(44)?, u32_at(52)?);
        let sent = u64_at(200).map(|sent| sent.saturating_sub(u64_at(208).unwrap_or(0)));
        // The kernel counts the end of the stream as a byte (`tcp_rcv_nxt_update`, net/ipv4/tcp_input.c).
        let has_ended = matches!(state, State::CloseWait | State::LastAck | State::Closing);
        Some(Self {
            rtt_us: u32_at(68)?,
            retransmits: u32_at(100)?,
            bytes_sent: sent,
            bytes_received: u64_at(128).map(|received| received.saturating_sub(has_ended.into())),
            idle_ms: last_sent.min(last_received),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_tells_less() {
        let mut bytes = vec![0; 232];
        let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        for (at, value) in [(44, 900), (52, 7), (68, 45), (100, 3), (128, 90), (200, 1210), (208, 10)] {
            put(at, value);
        }
        let whole = TcpInfo::parse(&bytes, State::Established).unwrap();
        assert_eq!((whole.rtt_us, whole.idle_ms), (45, 7));
        assert_eq!((whole.retransmits, whole.bytes_sent, whole.bytes_received), (3, Some(1200), Some(90)));
        let old = TcpInfo::parse(&bytes[..136], State::CloseWait).unwrap();
        assert_eq!((old.bytes_sent, old.bytes_received), (None, Some(89)), "without the end of the stream");
        let short = [&bytes[..103], &[]].map(|bytes| TcpInfo::parse(bytes, State::Established));
        assert_eq!(short, [None, None]);
    }
}
