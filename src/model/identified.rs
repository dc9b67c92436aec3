//! What answered on a port.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A protocol that an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Spoken {
    /// HTTP/1.
    Http,
    /// HTTP/2 without TLS, as gRPC servers speak it.
    Http2,
    /// TLS with something inside that was not recognised.
    Tls,
    /// SSH.
    Ssh,
    /// PostgreSQL.
    Postgresql,
    /// MySQL or MariaDB.
    Mysql,
    /// Redis and what is compatible with it.
    Redis,
    /// SMTP.
    Smtp,
    /// FTP.
    Ftp,
    /// POP3.
    Pop3,
    /// IMAP.
    Imap,
    /// AMQP.
    Amqp,
    /// MongoDB.
    Mongodb,
    /// DNS.
    Dns,
}

impl Spoken {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP/2",
            Self::Tls => "TLS",
            Self::Ssh => "SSH",
            Self::Postgresql => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Redis => "Redis",
            Self::Smtp => "SMTP",
            Self::Ftp => "FTP",
            Self::Pop3 => "POP3",
            Self::Imap => "IMAP",
            Self::Amqp => "AMQP",
            Self::Mongodb => "MongoDB",
            Self::Dns => "DNS",
        }
    }
}

/// How asking went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Asked {
    /// What answers was recognised.
    Answered,
    /// Nobody listens, or the connection failed.
    NoConnection,
    /// Silence, or an answer that was not recognised.
    Unknown,
}

/// What answered on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Where it was asked; `None` if nobody listens.
    pub address: Option<SocketAddr>,
    /// How that went.
    pub asked: Asked,
    /// The protocol: inside TLS, that of what is inside.
    pub spoken: Option<Spoken>,
    /// What the server calls itself.
    pub server: Option<String>,
    /// The status of HTTP.
    pub status: Option<u16>,
    /// The certificate and the like, if there was a handshake.
    pub tls: Option<Box<Tls>>,
    /// What else it said.
    pub detail: BTreeMap<&'static str, String>,
    /// What else matters: why it is unknown, how to learn more.
    pub note: Option<String>,
}

impl Identified {
    /// One that is not known, for this reason.
    pub fn unknown(asked: Asked, address: Option<SocketAddr>, note: impl Into<String>) -> Self {
        let note = Some(note.into());
        Self { address, asked, spoken: None, server: None, status: None, tls: None, detail: BTreeMap::new(), note }
    }
}

/// What a TLS handshake showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// `TLSv1.3`; `None` if the server ended the handshake.
    pub version: Option<String>,
    /// The protocol that the server picked by ALPN.
    pub alpn: Option<String>,
    /// The server's certificate, if it could be read.
    pub certificate: Option<Certificate>,
}

/// A certificate, as it says of itself. Nobody checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The names and addresses it is for.
    pub names: Vec<String>,
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// Whether subject and issuer are the same.
    pub is_self_signed: bool,
}
