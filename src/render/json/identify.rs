//! What answered on a port, as JSON: the types, and how they are made.

use std::collections::BTreeMap;

#[cfg(test)]
use super::parts::or_null;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use super::parts::{WireEndpoint, endpoint};
use crate::duration::rfc3339;
#[cfg(test)]
use crate::model::{Asked, Spoken};
use crate::model::{Certificate, Identified, Tls};

/// What answered, if `identify` asked.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Identified"))]
pub struct WireIdentified<'a> {
    /// How asking went.
    #[cfg_attr(test, schemars(extend("enum" = Asked::VARIANTS)))]
    pub result: &'static str,
    /// Where it was asked; null if nobody listens.
    pub address: Option<WireEndpoint>,
    /// The protocol; inside TLS, that of what is inside. Null if unknown.
    #[cfg_attr(test, schemars(extend("enum" = or_null(Spoken::VARIANTS))))]
    pub protocol: Option<&'static str>,
    /// What the server calls itself.
    pub server: Option<&'a str>,
    /// The status of HTTP.
    pub status: Option<u16>,
    /// What the handshake of TLS showed.
    pub tls: Option<WireTls<'a>>,
    /// What else it said, such as `title`, `location`, `greeting`.
    pub detail: &'a BTreeMap<&'static str, String>,
    /// Why it is unknown, or how to learn more.
    pub note: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Tls"))]
pub struct WireTls<'a> {
    /// `TLSv1.3`; null if the server ended the handshake.
    pub version: Option<&'a str>,
    /// The protocol that the server picked by ALPN.
    pub alpn: Option<&'a str>,
    /// The names and addresses of the certificate.
    pub names: &'a [String],
    pub subject: Option<&'a str>,
    pub issuer: Option<&'a str>,
    /// RFC 3339, UTC.
    pub not_before: Option<String>,
    /// RFC 3339, UTC.
    pub expires_at: Option<String>,
    /// Whether subject and issuer are the same.
    pub self_signed: Option<bool>,
}

pub fn identified(found: &Identified) -> WireIdentified<'_> {
    WireIdentified {
        result: found.asked.into_str(),
        address: found.address.map(endpoint),
        protocol: found.spoken.map(|spoken| spoken.into_str()),
        server: found.server.as_deref(),
        status: found.status,
        tls: found.tls.as_deref().map(tls),
        detail: &found.detail,
        note: found.note.as_deref(),
    }
}

fn tls(tls: &Tls) -> WireTls<'_> {
    let certificate: Option<&Certificate> = tls.certificate.as_ref();
    WireTls {
        version: tls.version.as_deref(),
        alpn: tls.alpn.as_deref(),
        names: certificate.map_or(&[], |certificate| &certificate.names),
        subject: certificate.map(|certificate| &*certificate.subject),
        issuer: certificate.map(|certificate| &*certificate.issuer),
        not_before: certificate.and_then(|certificate| rfc3339(certificate.not_before)),
        expires_at: certificate.and_then(|certificate| rfc3339(certificate.not_after)),
        self_signed: certificate.map(|certificate| certificate.is_self_signed),
    }
}
