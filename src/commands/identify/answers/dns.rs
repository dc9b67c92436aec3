//! DNS: the answer to the question for the server's version (RFC 4892).

use super::{Answer, shortened};
use crate::model::Spoken;

/// A query for `version.bind`, TXT, class CH. Nothing is resolved for it.
pub const QUERY: &[u8] = b"\x70\x63\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";
/// Its length, as it is written before it over TCP.
pub const LENGTH: &[u8] = &[0, 30];
/// The length of the header.
const HEADER: usize = 12;

pub fn read(bytes: &[u8]) -> Option<Answer> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let is_ours = header[..2] == QUERY[..2] && header[2] & 0x80 != 0;
    is_ours.then(|| Answer::new(Spoken::Dns).by(version(bytes)).with("response", response(header[3] & 15)))
}

/// What a response code means, if it is no answer.
fn response(code: u8) -> Option<String> {
    let name = match code {
        0 => return None,
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        other => return Some(other.to_string()),
    };
    Some(name.to_owned())
}

/// The text of the first answer, which stands behind the question.
fn version(bytes: &[u8]) -> Option<String> {
    let has_answer = bytes.get(6..8)? != [0, 0];
    let record = bytes.get(QUERY.len()..).filter(|_| has_answer && bytes[HEADER..].starts_with(&QUERY[HEADER..]))?;
    // The name: a pointer, or in full.
    let name = if *record.first()? & 0xc0 == 0xc0 { 2 } else { record.iter().position(|&byte| byte == 0)? + 1 };
    let (fixed, text) = record.get(name..)?.split_first_chunk::<11>()?;
    // Type TXT; the last byte is the length of its first text.
    (fixed[..2] == [0, 16]).then_some(())?;
    Some(shortened(text.get(..usize::from(fixed[10]))?))
}
