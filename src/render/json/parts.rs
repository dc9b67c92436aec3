//! Types of the JSON that several parts of the document use, and how they are made.

use std::net::{IpAddr, SocketAddr};

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

#[cfg(test)]
use strum::VariantNames;

use crate::diagnose::Remedy;
#[cfg(test)]
use crate::diagnose::RemedyKind;
use crate::model::Protocol;
use crate::render::escape;

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Remedy"))]
pub struct WireRemedy<'a> {
    #[cfg_attr(test, schemars(extend("enum" = RemedyKind::VARIANTS)))]
    pub kind: &'static str,
    pub text: &'a str,
    /// The exact command, if there is one, as it is typed into a shell.
    pub command: Option<String>,
}

pub fn remedy(remedy: &Remedy) -> WireRemedy<'_> {
    WireRemedy {
        kind: remedy.kind.into_str(),
        text: &remedy.text,
        command: remedy.command.as_deref().map(escape::typed),
    }
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Endpoint"))]
pub struct WireEndpoint {
    #[cfg_attr(test, schemars(with = "String"))]
    pub address: IpAddr,
    pub port: u16,
}

pub fn endpoint(address: SocketAddr) -> WireEndpoint {
    WireEndpoint { address: address.ip(), port: address.port() }
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "PortName"))]
pub struct WirePortName {
    pub port: u16,
    #[cfg_attr(test, schemars(extend("enum" = Protocol::VARIANTS)))]
    pub protocol: &'static str,
}

pub fn port_name((port, protocol): (u16, Protocol)) -> WirePortName {
    WirePortName { port, protocol: protocol.into_str() }
}

/// The values of a list in the schema that may also be null.
#[cfg(test)]
pub fn or_null(values: &[&'static str]) -> Vec<Option<&'static str>> {
    values.iter().copied().map(Some).chain([None]).collect()
}
