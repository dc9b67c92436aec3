//! What bytes of a server say: pure parsers, a file for each protocol that has more than a line.
//! They take any bytes, and never panic.

mod amqp;
mod dns;
mod greeting;
mod http;
mod mongodb;
mod mysql;

use std::collections::BTreeMap;

use super::question::Question;
use crate::model::Spoken;

pub use dns::{LENGTH as DNS_LENGTH, QUERY as DNS_QUERY};
pub use http::is_whole as is_whole_http;
pub use mongodb::HELLO as MONGODB_HELLO;

/// The longest text that is kept of a server.
const LONGEST: usize = 200;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The protocol.
    pub spoken: Spoken,
    /// What the server calls itself.
    pub server: Option<String>,
    /// The status of HTTP.
    pub status: Option<u16>,
    /// What else it said.
    pub detail: BTreeMap<&'static str, String>,
}

impl Answer {
    fn new(spoken: Spoken) -> Self {
        Self { spoken, server: None, status: None, detail: BTreeMap::new() }
    }

    fn by(self, server: Option<String>) -> Self {
        Self { server: server.filter(|server| !server.is_empty()), ..self }
    }

    fn with(mut self, key: &'static str, value: Option<String>) -> Self {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.detail.insert(key, value);
        }
        self
    }
}

/// What a server says that speaks first. `port` decides between protocols that greet in the same
/// way.
pub fn greeting(bytes: &[u8], port: u16) -> Option<Answer> {
    mysql::read(bytes).or_else(|| greeting::read(bytes, port))
}

/// What a server answers to a question. It may speak another protocol than the one that was asked
/// for.
pub fn answer(bytes: &[u8], question: Question, port: u16) -> Option<Answer> {
    let asked = match question {
        Question::Postgresql => postgresql(bytes),
        Question::Redis => redis(bytes),
        Question::Amqp => amqp::read(bytes),
        Question::Mongodb => mongodb::read(bytes),
        Question::Dns => dns::read(bytes).or_else(|| dns::read(bytes.get(2..)?)),
        Question::Nothing | Question::Http | Question::Http2 | Question::Tls => None,
    };
    let anyhow = || greeting(bytes, port).or_else(|| http2(bytes)).or_else(|| amqp::read(bytes)).or_else(|| tls(bytes));
    asked.or_else(|| http::read(bytes)).or_else(anyhow)
}

/// Whether more bytes would not change what is known.
pub fn is_enough(bytes: &[u8], question: Question, port: u16) -> bool {
    if bytes.starts_with(b"HTTP/") {
        return is_whole_http(bytes);
    }
    answer(bytes, question, port).is_some()
}

/// A record of TLS: an alert, as an answer to something else than TLS.
fn tls(bytes: &[u8]) -> Option<Answer> {
    let &[21, 3, 0..=4, 0, 2, 1 | 2, _, ..] = bytes else { return None };
    Some(Answer::new(Spoken::Tls))
}

/// A frame SETTINGS of stream 0 (RFC 9113, section 3.4), with which every server of HTTP/2 begins.
fn http2(bytes: &[u8]) -> Option<Answer> {
    let &[0, high, low, 4, 0 | 1, 0, 0, 0, 0, ..] = bytes else { return None };
    (u16::from_be_bytes([high, low]) % 6 == 0).then(|| Answer::new(Spoken::Http2))
}

/// The answer to SSLRequest: one byte, or an error of a server that does not know it.
fn postgresql(bytes: &[u8]) -> Option<Answer> {
    let answer = Answer::new(Spoken::Postgresql);
    match bytes {
        b"S" => Some(answer.with("encryption", Some("offered".to_owned()))),
        b"N" => Some(answer.with("encryption", Some("not offered".to_owned()))),
        [b'E', 0, 0, _, _, b'S', ..] => Some(answer),
        _ => None,
    }
}

/// The answer to PING: RESP, whether or not a password is asked for.
fn redis(bytes: &[u8]) -> Option<Answer> {
    let line = line(bytes)?;
    let is_refusal =
        ["-NOAUTH ", "-DENIED ", "-LOADING ", "-MASTERDOWN ", "-ERR "].iter().any(|code| line.starts_with(code));
    let refusal = line.strip_prefix('-').filter(|_| is_refusal).map(|text| shortened(text.as_bytes()));
    (line == "+PONG" || is_refusal).then(|| Answer::new(Spoken::Redis).with("refusal", refusal))
}

/// The first line, if it has ended.
fn line(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().take(4096).position(|&byte| byte == b'\n')?;
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    Some(String::from_utf8_lossy(line).into_owned())
}

/// A text of a server, in one line and not too long.
fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests;
