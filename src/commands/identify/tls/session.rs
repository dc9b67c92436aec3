//! The handshake itself, by rustls, and the certificate, by x509-parser.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::channel::Channel;
use super::Failure;
use crate::model::{Certificate, Tls};

/// The most names of a certificate that are kept.
const MOST_NAMES: usize = 50;

/// A connection with TLS.
pub struct Session {
    stream: StreamOwned<ClientConnection, Channel>,
    witness: Arc<Witness>,
}

/// Shakes hands with the server as `host`.
pub fn shake(mut channel: Channel, host: &str, alpn: &[&[u8]]) -> Result<Session, Failure> {
    let provider = Arc::new(ring::default_provider());
    let witness = Arc::new(Witness { provider: Arc::clone(&provider), leaf: Mutex::new(None) });
    let connection = begin(provider, Arc::clone(&witness), host, alpn);
    let mut connection = match connection {
        Ok(connection) => connection,
        Err(error) => return Err(Failure { seen: Vec::new(), why: error.to_string(), facts: None }),
    };
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut channel) {
            let facts = witness.certificate().map(|leaf| Box::new(Tls { certificate: Some(leaf), ..Tls::default() }));
            return Err(Failure { seen: channel.seen, why: error.to_string(), facts });
        }
    }
    Ok(Session { stream: StreamOwned::new(connection, channel), witness })
}

fn begin(
    provider: Arc<CryptoProvider>,
    witness: Arc<Witness>,
    host: &str,
    alpn: &[&[u8]],
) -> Result<ClientConnection, Error> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(witness).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.enable_sni = host.parse::<IpAddr>().is_err();
    let name = ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::from(IpAddr::from([127, 0, 0, 1])));
    ClientConnection::new(Arc::new(config), name)
}

impl Session {
    /// What the handshake showed.
    pub fn facts(&self) -> Tls {
        let version = self.stream.conn.protocol_version().and_then(|version| version.as_str());
        let version = version.map(|version| version.replace('_', "."));
        let alpn = self.stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        Tls { version, alpn, certificate: self.witness.certificate() }
    }
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Takes every certificate, and remembers it. Nothing secret is sent and nothing received is
/// trusted: which certificate the server has is the answer itself, whether it is valid or not.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    leaf: Mutex<Option<CertificateDer<'static>>>,
}

impl Witness {
    fn certificate(&self) -> Option<Certificate> {
        read(self.leaf.lock().unwrap_or_else(PoisonError::into_inner).as_deref()?)
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.leaf.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaf.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a certificate says; `None` if it cannot be read.
fn read(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let mut names: Vec<String> =
        alternatives.iter().flat_map(|names| &names.value.general_names).filter_map(name).take(MOST_NAMES).collect();
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(short).take(1));
    }
    let validity = certificate.validity();
    Some(Certificate {
        names,
        subject: short(&certificate.subject().to_string()),
        issuer: short(&certificate.issuer().to_string()),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        is_self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(short(name)),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(ipv4) => Some(IpAddr::from(ipv4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|ipv6| IpAddr::from(ipv6).to_string()),
        },
        _ => None,
    }
}

fn short(text: &str) -> String {
    text.chars().take(255).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_certificate_is_none() {
        for bytes in [&b""[..], b"\x30", b"\x30\x82\xff\xff", b"hello"] {
            assert_eq!(super::read(bytes), None);
        }
    }
}
