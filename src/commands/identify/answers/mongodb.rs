//! MongoDB: its answer to `isMaster`, which every version gives before anybody logs in.

use super::Answer;
use crate::model::Spoken;

/// OP_QUERY on `admin.$cmd` with `{isMaster: 1}`.
pub const HELLO: &[u8] = b"\x3a\0\0\0\x01\0\0\0\0\0\0\0\xd4\x07\0\0\0\0\0\0admin.$cmd\0\0\0\0\0\x01\0\0\0\
                           \x13\0\0\0\x10isMaster\0\x01\0\0\0\0";

/// OP_REPLY, and OP_MSG.
const REPLIES: [u32; 2] = [1, 2013];

pub fn read(bytes: &[u8]) -> Option<Answer> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
    let is_reply = REPLIES.contains(&word(12)?) && word(8)? == 1;
    let version = number(bytes, b"\x10maxWireVersion\0")?;
    is_reply.then(|| Answer::new(Spoken::Mongodb).with("wire_version", Some(version.to_string())))
}

/// A number of 32 bits in BSON, behind its type and name.
fn number(bytes: &[u8], name: &[u8]) -> Option<i32> {
    let at = bytes.windows(name.len()).position(|window| window == name)?;
    Some(i32::from_le_bytes(*bytes.get(at + name.len()..)?.first_chunk::<4>()?))
}
