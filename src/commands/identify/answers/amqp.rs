//! AMQP: the frame Connection.Start of 0-9-1, or the header of the version that a server wants.

use super::{Answer, shortened};
use crate::model::Spoken;

pub fn read(bytes: &[u8]) -> Option<Answer> {
    if let [b'A', b'M', b'Q', b'P', id, major, minor, revision, ..] = bytes {
        let version = format!("{major}.{minor}.{revision} (protocol {id})");
        return Some(Answer::new(Spoken::Amqp).with("version", Some(version)));
    }
    // A method frame of channel 0: class 10, method 10.
    let &[1, 0, 0, _, _, _, _, 0, 10, 0, 10, major, minor, ..] = bytes else { return None };
    let (product, version) = (property(bytes, b"\x07product"), property(bytes, b"\x07version"));
    let server = product.map(|product| format!("{product} {}", version.unwrap_or_default()).trim().to_owned());
    Some(Answer::new(Spoken::Amqp).by(server).with("version", Some(format!("{major}.{minor}"))))
}

/// A text among the properties of the server: its name, `S`, its length, itself.
fn property(bytes: &[u8], name: &[u8]) -> Option<String> {
    let at = bytes.windows(name.len()).position(|window| window == name)?;
    let (head, rest) = bytes.get(at + name.len()..)?.split_first_chunk::<5>()?;
    let &[b'S', a, b, c, d] = head else { return None };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    Some(shortened(rest.get(..length)?))
}
