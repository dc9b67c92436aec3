//! One connection: what the server says by itself, then one question.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::address::Typed;
use super::answers::{self, Answer};
use super::channel::{Channel, End, ask_udp, connect, gather};
use super::question::{self, Question};
use super::tls;
use crate::model::{Asked, Identified, Protocol, Spoken};

/// How long a server may take, from the connection to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait for a server that speaks first.
const BANNER: Duration = Duration::from_millis(300);

/// Whom to ask what.
#[derive(Debug, Clone)]
pub struct Call {
    /// Where to connect.
    pub address: SocketAddr,
    /// The protocol of the port.
    pub protocol: Protocol,
    /// The question.
    pub question: Question,
    /// The port, and that of the server behind it if it is forwarded.
    pub ports: Vec<u16>,
    /// The URL that was typed, if it was one.
    pub typed: Option<Typed>,
}

/// Connects once, and tells what answered.
pub fn ask(call: &Call) -> Identified {
    let deadline = Instant::now() + PATIENCE;
    if call.protocol == Protocol::Udp {
        return ask_over_udp(call);
    }
    let stream = match connect(call.address, PATIENCE) {
        Ok(stream) => stream,
        Err(error) => {
            return Identified::unknown(Asked::NoConnection, Some(call.address), format!("no connection: {error}"));
        }
    };
    let mut channel = Channel::new(stream, deadline);
    match call.question {
        Question::Tls => ask_over_tls(call, channel),
        question => ask_plainly(call, question, &mut channel),
    }
}

fn ask_over_udp(call: &Call) -> Identified {
    match ask_udp(call.address, answers::DNS_QUERY, PATIENCE) {
        Ok(bytes) => call.judge(&bytes, Question::Dns, End::Enough),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Identified::unknown(Asked::NoConnection, Some(call.address), "nobody receives datagrams there")
        }
        Err(_) => call.silent(),
    }
}

/// Without TLS: the server may speak first.
fn ask_plainly(call: &Call, question: Question, channel: &mut Channel) -> Identified {
    let (bytes, end) = converse(call, question, channel);
    call.judge(&bytes, question, end)
}

/// Listens, asks if the server is silent, and returns what it said.
fn converse(call: &Call, question: Question, channel: &mut Channel) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let deadline = channel.deadline;
    let is_greeting = |bytes: &[u8]| answers::greeting(bytes, call.port()).is_some();
    // A URL says what is spoken there, so its server is not expected to begin.
    if question != Question::Nothing {
        let patience = if call.typed.as_ref().is_some_and(Typed::is_url) { Duration::ZERO } else { BANNER };
        channel.deadline = deadline.min(Instant::now() + patience);
    }
    let end = gather(channel, &mut bytes, is_greeting);
    channel.deadline = deadline;
    match end {
        // It has begun to speak: it is not interrupted.
        End::GivenUp if !bytes.is_empty() => {
            let end = gather(channel, &mut bytes, is_greeting);
            (bytes, end)
        }
        End::GivenUp if question != Question::Nothing => put(call, question, channel),
        end => (bytes, end),
    }
}

/// Asks, and reads the answer.
fn put(call: &Call, question: Question, channel: &mut (impl Read + Write)) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    // A server that hangs up may have answered before.
    let _ = channel.write_all(&call.words(question)).and_then(|()| channel.flush());
    let is_enough = |bytes: &[u8]| answers::is_enough(bytes, question, call.port());
    let end = gather(channel, &mut bytes, is_enough);
    (bytes, end)
}

/// With TLS: the handshake, then what is inside.
fn ask_over_tls(call: &Call, channel: Channel) -> Identified {
    let inner = question::inside(&call.ports);
    let alpn: &[&[u8]] = if inner == Some(Question::Http) { &[b"http/1.1"] } else { &[] };
    let host = call.typed.as_ref().map_or("localhost", Typed::host);
    let mut session = match tls::shake(channel, host, alpn) {
        Ok(session) => session,
        Err(failure) => return call.failed(failure),
    };
    let (bytes, end, asked) = match inner {
        None => (Vec::new(), End::Enough, Question::Nothing),
        Some(Question::Nothing) => {
            let mut bytes = Vec::new();
            let end = gather(&mut session, &mut bytes, |bytes| answers::greeting(bytes, call.port()).is_some());
            (bytes, end, Question::Nothing)
        }
        Some(question) => {
            let (bytes, end) = put(call, question, &mut session);
            (bytes, end, question)
        }
    };
    let mut found = call.judge(&bytes, asked, end);
    if found.asked != Asked::Answered {
        found.asked = Asked::Answered;
        found.spoken = Some(Spoken::Tls);
        found.note = Some("what is inside TLS was not recognised".to_owned());
    }
    found.tls = Some(Box::new(session.facts()));
    found
}

impl Call {
    /// Whether it asks for TLS.
    pub fn is_tls(&self) -> bool {
        self.question == Question::Tls
    }

    fn port(&self) -> u16 {
        self.ports.last().copied().unwrap_or(self.address.port())
    }

    /// The question as bytes.
    fn words(&self, question: Question) -> Vec<u8> {
        match question {
            Question::Nothing | Question::Tls => Vec::new(),
            Question::Http => self.http(),
            Question::Http2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
            Question::Postgresql => vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f],
            Question::Redis => b"PING\r\n".to_vec(),
            Question::Amqp => b"AMQP\0\0\x09\x01".to_vec(),
            Question::Mongodb => answers::MONGODB_HELLO.to_vec(),
            // Over TCP the length comes first (RFC 1035, section 4.2.2).
            Question::Dns => [answers::DNS_LENGTH, answers::DNS_QUERY].concat(),
        }
    }

    fn http(&self) -> Vec<u8> {
        let (host, path) = match &self.typed {
            Some(typed) => (typed.authority.clone(), &*typed.path),
            None if self.address.ip().is_loopback() => (format!("localhost:{}", self.address.port()), "/"),
            None => (self.address.to_string(), "/"),
        };
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: portcheck/{version}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        )
        .into_bytes()
    }

    /// What was said, as far as it was recognised.
    fn judge(&self, bytes: &[u8], question: Question, end: End) -> Identified {
        let Some(Answer { spoken, server, status, detail }) = answers::answer(bytes, question, self.port()) else {
            return match (bytes, end) {
                ([], End::Closed) => self.hung_up(),
                ([], _) => self.silent(),
                _ => self.unknown("the server answered, but in no protocol that portcheck recognises"),
            };
        };
        let is_plain = spoken == Spoken::Tls;
        let note =
            is_plain.then(|| format!("to see the certificate, ask for https://localhost:{}", self.address.port()));
        let address = Some(self.address);
        Identified { address, asked: Asked::Answered, spoken: Some(spoken), server, status, tls: None, detail, note }
    }

    fn hung_up(&self) -> Identified {
        let port = self.address.port();
        let hint = match self.question {
            Question::Http => format!("; if it speaks TLS, ask for https://localhost:{port}"),
            _ => String::new(),
        };
        self.unknown(&format!("the server hung up without an answer{hint}"))
    }

    fn silent(&self) -> Identified {
        self.unknown("the server is silent")
    }

    fn unknown(&self, why: &str) -> Identified {
        Identified::unknown(Asked::Unknown, Some(self.address), why)
    }

    /// There was no handshake: what the server said may be plain text, or a refusal.
    fn failed(&self, failure: tls::Failure) -> Identified {
        let tls::Failure { seen, why, facts } = failure;
        let mut found = self.judge(&seen, Question::Nothing, End::Closed);
        match found.spoken {
            Some(Spoken::Tls) => {
                found.note = Some(format!("the handshake failed: {why}"));
                found.tls = facts;
            }
            Some(_) => found.note = Some("it was asked for TLS, and answered without".to_owned()),
            None if facts.is_some() => {
                found = Identified {
                    spoken: Some(Spoken::Tls),
                    tls: facts,
                    ..Identified::unknown(Asked::Answered, Some(self.address), format!("the handshake failed: {why}"))
                };
            }
            None if !seen.is_empty() => found.note = Some(format!("the handshake of TLS failed: {why}")),
            None => {}
        }
        found
    }
}
