//! IANA's assigned names of TCP and UDP ports, built in and searched without being parsed.

use crate::model::Protocol;

/// The registry's rows as text, sorted by port; `scripts/renew-iana` writes the file.
///
/// The text itself is the table. It takes about 110 KB of the binary. An array of `(u16, Protocol,
/// &str)` would take about three times that: 16 bytes of `&str` for every name, and a relocation
/// for each in a position-independent executable. And unlike a generated array, changes of the text
/// can be read in a diff.
const TABLE: &str = include_str!("iana.tsv");

/// One line of the table: a name, and the protocols that have it on the port.
#[derive(Clone, Copy)]
struct Row {
    port: u16,
    protocols: &'static str,
    name: &'static str,
}

impl Row {
    /// Comment lines of the header do not start with a port, so they are not rows.
    fn parse(line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        Some(Self { port: columns.next()?.parse().ok()?, protocols: columns.next()?, name: columns.next()? })
    }

    /// Only the port on a line.
    fn port_on(line: &str) -> Option<u16> {
        line.split_once('\t')?.0.parse().ok()
    }

    /// Only the name on a line. A test ensures that no comment has a tab.
    fn name_on(line: &str) -> Option<&str> {
        line.rsplit_once('\t').map(|(_, name)| name)
    }

    fn covers(self, protocol: Protocol) -> bool {
        self.protocols.contains(match protocol {
            Protocol::Tcp => 't',
            Protocol::Udp => 'u',
        })
    }

    fn keys(self) -> impl Iterator<Item = (u16, Protocol)> {
        [Protocol::Tcp, Protocol::Udp]
            .into_iter()
            .filter(move |&protocol| self.covers(protocol))
            .map(move |protocol| (self.port, protocol))
    }
}

/// The name IANA has assigned to a port, or `None` if the registry has none.
///
/// Where the registry gives a port several names, this is the primary one: `http` for 80, not
/// its duplicates `www` and `www-http`.
pub fn name(port: u16, protocol: Protocol) -> Option<&'static str> {
    TABLE[first_row_from(port)..]
        .lines()
        .map_while(Row::parse)
        .take_while(|row| row.port == port)
        .find(|row| row.covers(protocol))
        .map(|row| row.name)
}

/// The ports from `first` to `last` that IANA has assigned to a service of one of these protocols;
/// ascending.
pub fn assigned(first: u16, last: u16, protocols: &[Protocol]) -> impl Iterator<Item = u16> {
    TABLE[first_row_from(first)..]
        .lines()
        .map_while(Row::parse)
        .take_while(move |row| row.port <= last)
        .filter(|row| protocols.iter().any(|&protocol| row.covers(protocol)))
        .map(|row| row.port)
}

/// The ports to which IANA has assigned `name`, ignoring case; sorted.
pub fn ports_named(name: &str) -> impl Iterator<Item = (u16, Protocol)> {
    let has_name = move |line: &&str| Row::name_on(line).is_some_and(|other| other.eq_ignore_ascii_case(name));
    TABLE.lines().filter(has_name).filter_map(Row::parse).flat_map(Row::keys)
}

/// Every assigned name, by ascending port. A name of several ports comes several times.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter_map(Row::name_on)
}

/// The offset of the first row whose port is not below `port`. The file is ASCII (a test ensures it),
/// so every offset is a valid cut.
fn first_row_from(port: u16) -> usize {
    let start = STARTS[usize::from(port / BLOCK)];
    let is_below = |line: &&str| Row::port_on(line).is_some_and(|there| there < port);
    start + TABLE[start..].split_inclusive('\n').take_while(is_below).map(str::len).sum::<usize>()
}

/// So many ports share an entry of [`STARTS`]. All of them may have a row.
const BLOCK: u16 = 64;

/// For each block of ports the offset of the first row that is not below it.
static STARTS: [usize; 1024] = starts();

const fn starts() -> [usize; 1024] {
    let text = TABLE.as_bytes();
    let mut starts = [text.len(); 1024];
    let (mut block, mut at) = (0, 0);
    while at < text.len() {
        let line = at;
        let mut port = 0;
        while text[at].is_ascii_digit() {
            port = 10 * port + (text[at] - b'0') as usize;
            at += 1;
        }
        // Lines of the header have no port.
        while at > line && block <= port / BLOCK as usize {
            starts[block] = line;
            block += 1;
        }
        while text[at] != b'\n' {
            at += 1;
        }
        at += 1;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Tcp, Udp};

    fn rows() -> impl Iterator<Item = Row> {
        TABLE.lines().filter_map(Row::parse)
    }

    #[test]
    fn the_table_is_ascii_with_plain_newlines_and_nothing_but_header_and_rows() {
        assert!(TABLE.is_ascii());
        assert!(!TABLE.contains('\r'), "see .gitattributes");
        assert!(TABLE.ends_with('\n'));
        let header = TABLE.lines().take_while(|line| line.starts_with('#')).count();
        assert_eq!(rows().count() + header, TABLE.lines().count());
        assert!(rows().count() > 6000);
    }

    #[test]
    fn the_table_is_sorted_and_names_each_port_and_protocol_once() {
        let keys: Vec<_> = rows().flat_map(Row::keys).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert!(rows().all(|row| matches!(row.protocols, "t" | "u" | "tu")));
        assert!(rows().all(|row| !row.name.is_empty()));
    }

    #[test]
    fn the_name_alone_is_the_name_of_the_row() {
        assert!(names().eq(rows().map(|row| row.name)));
    }

    #[test]
    fn a_port_has_its_primary_name() {
        let known = [
            (1, "tcpmux"), // the first row
            (22, "ssh"),
            (80, "http"),
            (443, "https"),
            (631, "ipp"),
            (2049, "nfs"),
            (3000, "hbci"),
            (5432, "postgresql"),
            (6063, "x11"), // the end of a range
            (8080, "http-alt"),
            (49150, "inspider"), // the last row
        ];
        for (port, expected) in known {
            assert_eq!(name(port, Tcp), Some(expected), "{port}");
        }
    }

    #[test]
    fn tcp_and_udp_are_told_apart() {
        assert_eq!((name(514, Tcp), name(514, Udp)), (Some("shell"), Some("syslog")));
        assert_eq!((name(6379, Tcp), name(6379, Udp)), (Some("redis"), None));
        assert_eq!((name(4173, Tcp), name(4173, Udp)), (None, Some("mma-discovery")));
    }

    #[test]
    fn reserved_and_unassigned_ports_have_no_name() {
        for port in [0, 4, 1024, 5173, 49151, 62893, u16::MAX] {
            assert_eq!((name(port, Tcp), name(port, Udp)), (None, None), "{port}");
        }
    }

    #[test]
    fn the_search_finds_for_every_port_what_a_walk_over_all_rows_finds() {
        let mut walked = vec![[None; 2]; usize::from(u16::MAX) + 1];
        for row in rows() {
            for (slot, protocol) in [Tcp, Udp].into_iter().enumerate() {
                if row.covers(protocol) {
                    walked[usize::from(row.port)][slot] = Some(row.name);
                }
            }
        }
        for port in 0..=u16::MAX {
            let found = [name(port, Tcp), name(port, Udp)];
            assert_eq!(found, walked[usize::from(port)], "{port}");
        }
    }

    #[test]
    fn assigned_ports_are_those_with_a_name() {
        for (first, last) in [(1, u16::MAX), (20000, 29999), (80, 80), (49152, u16::MAX), (u16::MAX, u16::MAX)] {
            for protocols in [&[Tcp, Udp][..], &[Tcp], &[Udp]] {
                let mut found: Vec<u16> = assigned(first, last, protocols).collect();
                found.dedup();
                let has_name = |port: &u16| protocols.iter().any(|&protocol| name(*port, protocol).is_some());
                assert_eq!(found, (first..=last).filter(has_name).collect::<Vec<_>>(), "{first}-{last}");
            }
        }
    }

    #[test]
    fn names_lead_back_to_ports_in_any_case() {
        let ports = |name| ports_named(name).collect::<Vec<_>>();
        assert_eq!(ports("PostgreSQL"), [(5432, Tcp), (5432, Udp)]);
        assert_eq!(ports("redis"), [(6379, Tcp)]);
        // The registry has several ports for it.
        assert_eq!(ports("http-alt"), [591, 8008, 8080].map(|p| [(p, Tcp), (p, Udp)]).concat());
        assert_eq!(ports("no-such-service"), []);
        assert_eq!(ports(""), []);
    }
}
