//! The protocol of a lock: one packet asks, one packet answers. Both are lines of text, so later
//! versions can add to them.

use std::time::Duration;

use super::caller::Identity;
use crate::commands::free::LONGEST_TTL;
use crate::model::LeaseKind;

/// A request to a lease daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// For whom is it, and how long?
    Tell,
    /// End it.
    Release,
    /// Give it to the same caller of the same project, or to the next one if that caller has ended.
    Reclaim {
        /// The key of the sticky order: see
        /// [`Order::sticky_key`](crate::commands::free::Order::sticky_key).
        key: u64,
        /// The caller of the process that asks.
        caller: Identity,
    },
}

/// The longest packet that is read.
pub const LONGEST: usize = 1024;

impl Request {
    /// The packet.
    pub fn encode(&self) -> String {
        match self {
            Self::Tell => "tell".to_owned(),
            Self::Release => "release".to_owned(),
            Self::Reclaim { key, caller } => format!("reclaim {key:016x} {caller}"),
        }
    }

    /// `None` if it is not a request.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        match std::str::from_utf8(packet).ok()? {
            "tell" => Some(Self::Tell),
            "release" => Some(Self::Release),
            other => {
                let (key, caller) = other.strip_prefix("reclaim ")?.split_once(' ')?;
                Some(Self::Reclaim { key: u64::from_str_radix(key, 16).ok()?, caller: caller.parse().ok()? })
            }
        }
    }
}

/// Precedes a port, in the packet that brings its descriptors to the lease daemon.
pub const PORT: &str = "port ";
/// Follows the last port.
pub const END: &[u8] = b"end";
/// The daemon has all of them.
pub const READY: &[u8] = b"ready";

/// The answer to [`Request::Release`] and [`Request::Reclaim`].
pub const DONE: &[u8] = b"done";
/// The other answer to them: no.
pub const REFUSED: &[u8] = b"refused";

/// The answer to [`Request::Tell`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    pub kind: LeaseKind,
    pub expires_in: Duration,
    /// The client.
    pub client: Option<Identity>,
    /// Whether it ends with the client.
    pub ends_with_client: bool,
}

impl Story {
    /// The packet.
    pub fn encode(&self) -> String {
        let Self { kind, expires_in, client, ends_with_client } = self;
        let client = client.as_ref().map(|client| format!("client {client}\n")).unwrap_or_default();
        let (kind, left) = (kind.into_str(), expires_in.as_millis());
        format!("kind {kind}\nexpires_in_ms {left}\n{client}ends_with_client {ends_with_client}\n")
    }

    /// `None` if it is not an answer. Unknown lines are ignored.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(packet).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let kind = match field("kind")? {
            "reserved" => LeaseKind::Reserved,
            "held" => LeaseKind::Held,
            _ => return None,
        };
        let expires_in = Duration::from_millis(field("expires_in_ms")?.parse().ok()?);
        // Nobody can ask for a longer one.
        (expires_in <= LONGEST_TTL).then(|| Self {
            kind,
            expires_in,
            client: field("client").and_then(|client| client.parse().ok()),
            ends_with_client: field("ends_with_client") == Some("true"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client() -> Identity {
        "pid:[4026531836] 4242 1234567".parse().unwrap()
    }

    #[test]
    fn requests_are_understood() {
        for request in [Request::Tell, Request::Release, Request::Reclaim { key: u64::MAX, caller: client() }] {
            assert_eq!(Request::decode(request.encode().as_bytes()), Some(request));
        }
        for nonsense in ["", "tel", "reclaim", "reclaim x 1", "reclaim 1", "reclaim 1 2 3", "\u{0}"] {
            assert_eq!(Request::decode(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }

    #[test]
    fn stories_are_understood() {
        let story = Story {
            kind: LeaseKind::Held,
            expires_in: Duration::from_millis(53_211),
            client: Some(client()),
            ends_with_client: true,
        };
        assert_eq!(Story::decode(story.encode().as_bytes()), Some(story.clone()));
        let unknown = Story { client: None, ..story.clone() };
        assert_eq!(Story::decode(unknown.encode().as_bytes()), Some(unknown));
        assert_eq!(Story::decode(b"kind other\nexpires_in_ms 1\n"), None);
        let for_ever = Story { expires_in: LONGEST_TTL + Duration::from_millis(1), ..story };
        assert_eq!(Story::decode(for_ever.encode().as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::decode(&packet);
            let _ = Story::decode(&packet);
        }
    }
}
