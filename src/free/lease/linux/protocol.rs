//! What is said over a lock: one packet asks, one packet answers. Lines of text, so that later versions can add to them.

use std::time::Duration;

use crate::model::{Client, LeaseKind, Pid};

/// What somebody wants of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To know for whom it is, and how long.
    Tell,
    /// That it ends.
    Release,
    /// To have it, as the same caller of the same project, or the next one after that has ended.
    Reclaim {
        /// The order that the name makes: see [`Order::sticky_key`](crate::free::Order::sticky_key).
        key: u64,
        /// Who called the one who asks.
        caller: Pid,
    },
}

/// The longest packet that is read.
pub const LONGEST: usize = 1024;

impl Request {
    /// The packet.
    pub fn encode(self) -> String {
        match self {
            Self::Tell => "tell".to_owned(),
            Self::Release => "release".to_owned(),
            Self::Reclaim { key, caller } => format!("reclaim {key:016x} {caller}"),
        }
    }

    /// `None` for what is no request.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(packet).ok()?.split(' ');
        match words.next()? {
            "tell" => Some(Self::Tell),
            "release" => Some(Self::Release),
            "reclaim" => Some(Self::Reclaim {
                key: u64::from_str_radix(words.next()?, 16).ok()?,
                caller: words.next()?.parse().ok()?,
            }),
            _ => None,
        }
    }
}

/// Stands before a port, in the packet that brings its descriptors to the lease daemon.
pub const PORT: &str = "port ";
/// Comes after the last one.
pub const END: &[u8] = b"end";
/// The daemon has them all.
pub const READY: &[u8] = b"ready";

/// The answer to [`Request::Release`] and [`Request::Reclaim`].
pub const DONE: &[u8] = b"done";
/// The other answer to them.
pub const REFUSED: &[u8] = b"refused";

/// The answer to [`Request::Tell`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    pub kind: LeaseKind,
    pub expires_in: Duration,
    pub client: Option<Client>,
    /// In which the client's pid means what it says.
    pub pid_namespace: String,
}

impl Story {
    /// The packet.
    pub fn encode(&self) -> String {
        let head = format!("kind {}\nexpires_in_ms {}\n", self.kind.into_str(), self.expires_in.as_millis());
        let Some(Client { name, pid, ends_lease }) = &self.client else { return head };
        let (pid, namespace) = (pid.unwrap_or(0), &self.pid_namespace);
        // A process may put a line break into its name.
        let name = name.replace(char::is_control, "?");
        format!(
            "{head}client_pid {pid}\npid_namespace {namespace}\nends_with_client {ends_lease}\nclient_name {name}\n"
        )
    }

    /// `None` for what is no story. Lines that are not known are passed over.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(packet).ok()?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let kind = match field("kind")? {
            "reserved" => LeaseKind::Reserved,
            "held" => LeaseKind::Held,
            _ => return None,
        };
        let client = field("client_name").map(|name| Client {
            name: name.to_owned(),
            pid: field("client_pid").and_then(|pid| pid.parse().ok()).filter(|&pid| pid != 0),
            ends_lease: field("ends_with_client") == Some("true"),
        });
        Some(Self {
            kind,
            expires_in: Duration::from_millis(field("expires_in_ms")?.parse().ok()?),
            client,
            pid_namespace: field("pid_namespace").unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_understood() {
        for request in [Request::Tell, Request::Release, Request::Reclaim { key: u64::MAX, caller: 4242 }] {
            assert_eq!(Request::decode(request.encode().as_bytes()), Some(request));
        }
        for nonsense in ["", "tel", "reclaim", "reclaim x 1", "reclaim 1", "\u{0}"] {
            assert_eq!(Request::decode(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }

    #[test]
    fn stories_are_understood() {
        let client = Client { name: "my shell".to_owned(), pid: Some(4242), ends_lease: true };
        let story = Story {
            kind: LeaseKind::Held,
            expires_in: Duration::from_millis(53_211),
            client: Some(client),
            pid_namespace: "pid:[4026531836]".to_owned(),
        };
        assert_eq!(Story::decode(story.encode().as_bytes()), Some(story.clone()));
        let unknown = Story { client: None, pid_namespace: String::new(), ..story };
        assert_eq!(Story::decode(unknown.encode().as_bytes()), Some(unknown));
        assert_eq!(Story::decode(b"kind other\nexpires_in_ms 1\n"), None);
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let client = Client { name: "a\nkind held".to_owned(), pid: None, ends_lease: false };
        let story = Story {
            kind: LeaseKind::Reserved,
            expires_in: Duration::ZERO,
            client: Some(client),
            pid_namespace: String::new(),
        };
        assert_eq!(Story::decode(story.encode().as_bytes()).unwrap().kind, LeaseKind::Reserved);
        assert_eq!(story.encode().lines().count(), 6);
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::decode(&packet);
            let _ = Story::decode(&packet);
        }
    }
}
