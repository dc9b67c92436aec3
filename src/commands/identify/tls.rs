//! TLS: a handshake with whoever answers, and what its certificate says. Without the feature `tls`
//! nothing is asked.

#[cfg(feature = "tls")]
mod session;

use crate::model::Tls;

#[cfg(feature = "tls")]
pub use session::shake;

/// Why there was no handshake.
pub struct Failure {
    /// The first bytes of the server.
    pub seen: Vec<u8>,
    /// The reason.
    pub why: String,
    /// What was learned before it failed.
    pub facts: Option<Box<Tls>>,
}

#[cfg(not(feature = "tls"))]
mod without {
    use super::super::channel::Channel;
    use super::{Failure, Tls};

    /// Never one.
    pub enum Session {}

    impl Session {
        pub fn facts(&self) -> Tls {
            match *self {}
        }
    }

    impl std::io::Read for Session {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            match *self {}
        }
    }

    impl std::io::Write for Session {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            match *self {}
        }

        fn flush(&mut self) -> std::io::Result<()> {
            match *self {}
        }
    }

    pub fn shake(_: Channel, _: &str, _: &[&[u8]]) -> Result<Session, Failure> {
        let why = "this portcheck was built without TLS (cargo feature tls)".to_owned();
        Err(Failure { seen: Vec::new(), why, facts: None })
    }
}

#[cfg(not(feature = "tls"))]
pub use without::shake;
