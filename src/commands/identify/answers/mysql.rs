//! The first packet of a MySQL or MariaDB server: its version, or why it refuses.

use super::{Answer, shortened};
use crate::model::Spoken;

/// What MariaDB writes before its version, for old replicas.
const FOR_REPLICAS: &str = "5.5.5-";

pub fn read(bytes: &[u8]) -> Option<Answer> {
    let (&[low, middle, high, 0], rest) = bytes.split_first_chunk::<4>()? else { return None };
    let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
    let body = rest.get(..length).filter(|_| (8..4096).contains(&length))?;
    match body {
        [10, version @ ..] => {
            let end = version.iter().position(|&byte| byte == 0)?;
            let version = shortened(&version[..end]);
            // "5.5.5-10.11.6-MariaDB", "8.0.35", "8.0.11-TiDB-v7": a version begins with a digit.
            version.starts_with(|first: char| first.is_ascii_digit()).then(|| {
                let version = version.strip_prefix(FOR_REPLICAS).unwrap_or(&version);
                let name = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
                Answer::new(Spoken::Mysql).by(Some(format!("{name} {version}")))
            })
        }
        // An error before the handshake has no state: too many connections, a host that is blocked.
        [255, 0x10..=0x7f, 4, text @ ..] if text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') => {
            Some(Answer::new(Spoken::Mysql).with("refusal", Some(shortened(text))))
        }
        _ => None,
    }
}
