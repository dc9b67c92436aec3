//! The order in which candidates are tried.
//!
//! An order gives each port a rank of its own, so nothing is shuffled or stored. The same key
//! always gives the same order, whichever ports are candidates (rendezvous hashing, Thaler and
//! Ravishankar 1996).

use std::hash::{BuildHasher, RandomState};

/// An order of ports, by ascending rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Scattered by this key. Another key gives another order.
    Scattered(u64),
    /// The nearest to this port first. Of two at the same distance, the higher one.
    Near(u16),
}

impl Order {
    /// A random order. Parallel callers start far apart, so they rarely try the same port.
    pub fn random() -> Self {
        // The standard library seeds it from the system's randomness.
        Self::Scattered(RandomState::new().hash_one(std::process::id()))
    }

    /// The key for a user, a directory and a name. It never changes, and is the same on every
    /// machine.
    pub fn sticky_key(uid: u32, directory: &[u8], name: &str) -> u64 {
        // The lengths distinguish ("ab", "c") from ("a", "bc").
        let length = u64::try_from(directory.len()).unwrap_or(u64::MAX);
        let parts: [&[u8]; 4] = [&uid.to_le_bytes(), &length.to_le_bytes(), directory, name.as_bytes()];
        parts.iter().copied().flatten().copied().fold(FNV_OFFSET, fnv)
    }

    /// The rank of `port`. The lowest rank is tried first.
    pub fn rank(self, port: u16) -> u64 {
        match self {
            Self::Scattered(key) => mix(key ^ (u64::from(port) << 48 | u64::from(port))),
            Self::Near(wanted) => u64::from(wanted.abs_diff(port)) * 2 + u64::from(port < wanted),
        }
    }
}

// FNV-1a with 64 bits (draft-eastlake-fnv). The standard library's hasher may change, and a sticky
// port must not.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

/// Spreads the bits (the finaliser of SplitMix64, Steele, Lea and Flood 2014).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(order: Order, ports: std::ops::RangeInclusive<u16>) -> Vec<u16> {
        let mut ports: Vec<u16> = ports.collect();
        ports.sort_by_key(|&port| order.rank(port));
        ports
    }

    #[test]
    fn near_means_near() {
        assert_eq!(sorted(Order::Near(8080), 8077..=8082), [8080, 8081, 8079, 8082, 8078, 8077]);
        assert_eq!(sorted(Order::Near(u16::MAX), 65533..=65535), [65535, 65534, 65533]);
    }

    /// A change here would give every project another port.
    #[test]
    fn what_sticks_today_sticks_tomorrow() {
        let order = Order::Scattered(Order::sticky_key(1000, b"/srv/demo", "web"));
        assert_eq!(sorted(order, 20000..=29999)[..3], [28057, 20516, 26543]);
        let others = [Order::sticky_key(1001, b"/srv/demo", "web"), Order::sticky_key(1000, b"/srv/demow", "eb")];
        assert!(others.iter().all(|&other| Order::Scattered(other) != order));
    }

    #[test]
    fn the_order_of_the_rest_does_not_depend_on_who_is_missing() {
        let order = Order::Scattered(7);
        let all = sorted(order, 20000..=20999);
        let some: Vec<u16> = all.iter().copied().filter(|port| port % 3 != 0).collect();
        assert_eq!(sorted(order, 20000..=20999).into_iter().filter(|port| port % 3 != 0).collect::<Vec<_>>(), some);
    }

    #[test]
    fn a_random_order_is_another_one_each_time_and_even() {
        assert_ne!(sorted(Order::random(), 20000..=20099), sorted(Order::random(), 20000..=20099));
        // Picks the first of 100 ports 10,000 times. Each port should be first about 100 times; 80
        // is 8 standard deviations.
        let mut counts = [0_u32; 100];
        for key in 0..10_000 {
            counts[usize::from(sorted(Order::Scattered(key), 20000..=20099)[0] - 20000)] += 1;
        }
        assert!(counts.iter().all(|count| (20..180).contains(count)), "{counts:?}");
    }
}
