//! Ports that are asked for twice.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Row;
use super::wanted::{Kind, Wanted};
use crate::model::Protocol;

/// Tells each row of another one that asks for the same port on an address in common.
pub fn mark(rows: &mut [Row]) {
    let mut by_port: HashMap<(u16, Protocol), Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let Some(port) = row.port else { continue };
        if row.wanted.kind.is_started_with_others() && !row.wanted.is_default {
            by_port.entry((port, row.wanted.protocol)).or_default().push(at);
        }
    }
    for group in by_port.values().filter(|group| group.len() > 1) {
        for &at in group {
            let collides = |&&other: &&usize| other != at && collide(&rows[at].wanted, &rows[other].wanted);
            let other = group.iter().find(collides).copied();
            rows[at].collides_with = other;
        }
    }
}

/// Whether both cannot be bound at once.
fn collide(one: &Wanted, other: &Wanted) -> bool {
    overlap(one.address, other.address) && !is_one_unit(one, other)
}

/// Whether two addresses have one in common; `None` is every address.
pub fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    one == other || one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified())
}

/// A socket unit opens the port that its service then has.
fn is_one_unit(one: &Wanted, other: &Wanted) -> bool {
    let stem = |wanted: &Wanted| wanted.service.rsplit_once('.').map(|(stem, _)| stem.to_owned());
    (one.kind, other.kind) == (Kind::Systemd, Kind::Systemd) && one.service != other.service && stem(one) == stem(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_common() {
        let is = |one: &str, other: &str| overlap(one.parse().ok(), other.parse().ok());
        for (one, other) in
            [("", "127.0.0.1"), ("", ""), ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")]
        {
            assert!(is(one, other) && is(other, one), "{one} {other}");
        }
        for (one, other) in [("127.0.0.1", "127.0.0.2"), ("0.0.0.0", "::1"), ("::", "127.0.0.1"), ("::1", "127.0.0.1")]
        {
            assert!(!is(one, other) && !is(other, one), "{one} {other}");
        }
    }
}
