//! The ports that browsers refuse to connect to.

/// The bad ports of the WHATWG Fetch Standard (section "Port blocking"), ascending.
const BAD_PORTS: &[u16] = &[
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Whether a browser refuses to open `http://localhost:port/` (Chrome's `ERR_UNSAFE_PORT`).
pub fn refuses(port: u16) -> bool {
    BAD_PORTS.binary_search(&port).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_ascending_and_knows_the_well_known_cases() {
        assert!(BAD_PORTS.is_sorted());
        assert!(refuses(22) && refuses(6000) && refuses(6666) && refuses(10080));
        assert!(!refuses(80) && !refuses(443) && !refuses(3000) && !refuses(8080) && !refuses(6670));
    }
}
