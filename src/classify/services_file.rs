//! The machine's services file: where it is, and how to read its lines.

use std::path::{Path, PathBuf};

use crate::model::Protocol;

/// One name of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) is_alias: bool,
    pub(super) name: Box<str>,
}

/// The text of the machine's services file. `None` if it cannot be read.
pub(super) fn read() -> Option<String> {
    read_from(&etc("services")?)
}

/// The text of a file. Bytes that are not UTF-8 spoil only their own names.
fn read_from(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The entries of a services file, sorted by port and protocol. Names come before aliases, both in
/// the order of the file.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    // Windows editors may put a byte order mark before the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries: Vec<_> = text.lines().filter_map(parse_line).flatten().collect();
    // The sort is stable, so the first of a port's several names stays first.
    entries.sort_by_key(|entry| (entry.port, entry.protocol, entry.is_alias));
    entries
}

/// The same of these ports, and perhaps of others. Most lines are not even split.
pub(super) fn entries_for(text: &str, ports: &[u16]) -> Vec<Entry> {
    const FEW: usize = 8;
    if ports.len() > FEW {
        return entries(text);
    }
    let ports: Vec<String> = ports.iter().map(|port| format!("{port}/")).collect();
    let lines: Vec<&str> = text.lines().filter(|line| ports.iter().any(|port| line.contains(port))).collect();
    entries(&lines.join("\n"))
}

/// The path of a system file such as `services` or `hosts`. `None` if Windows does not say where it
/// is.
pub(crate) fn etc(file: &str) -> Option<PathBuf> {
    if cfg!(windows) {
        let root = PathBuf::from(std::env::var_os("SystemRoot")?);
        Some(root.join(r"System32\drivers\etc").join(file))
    } else {
        Some(Path::new("/etc").join(file))
    }
}

/// The entries of one line: a name and its aliases. `None` for a line without a TCP or UDP service.
fn parse_line(line: &str) -> Option<impl Iterator<Item = Entry>> {
    let line = line.split('#').next()?;
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?;
    let (port, protocol) = words.next()?.split_once('/')?;
    // Rust would read "+80" as a number. No services file means that.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok()?;
    let protocol = if protocol.eq_ignore_ascii_case("tcp") {
        Protocol::Tcp
    } else if protocol.eq_ignore_ascii_case("udp") {
        Protocol::Udp
    } else {
        return None;
    };
    let entry = move |name: &str, is_alias| Entry { port, protocol, is_alias, name: name.into() };
    Some(std::iter::once(entry(name, false)).chain(words.map(move |alias| entry(alias, true))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Tcp, Udp};

    fn entry(port: u16, protocol: Protocol, is_alias: bool, name: &str) -> Entry {
        Entry { port, protocol, is_alias, name: name.into() }
    }

    #[test]
    fn a_ports_names_come_before_its_aliases_and_in_the_files_order() {
        let text = "zeta 9/tcp alpha\nbeta 9/tcp # gamma\nlow 7/udp\n";
        let expected = [
            entry(7, Udp, false, "low"),
            entry(9, Tcp, false, "zeta"),
            entry(9, Tcp, false, "beta"),
            entry(9, Tcp, true, "alpha"),
        ];
        assert_eq!(entries(text), expected);
    }

    #[test]
    fn few_ports_have_the_entries_that_they_have_among_all() {
        let text = "\u{feff}echo 7/tcp ping\nseventeen 17/udp\nzeros 0007/udp\nother 70/tcp # 7/tcp\n";
        let all = entries(text);
        assert_eq!(all.len(), 5);
        for ports in [&[][..], &[7], &[17, 70], &[9], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            let of_these = |entries: Vec<Entry>| -> Vec<Entry> {
                entries.into_iter().filter(|entry| ports.contains(&entry.port)).collect()
            };
            assert_eq!(of_these(entries_for(text, ports)), of_these(all.clone()), "{ports:?}");
        }
        assert_eq!(entries_for(text, &[9]), []);
    }

    #[test]
    fn malformed_lines_are_passed_over_and_the_rest_is_read() {
        let text = "\
alone
no-slash 80
huge 65536/tcp
huger 99999999999999999999/tcp
negative -1/tcp
signed +81/tcp
blank /tcp
worded eighty/tcp
no-protocol 82/
two 83/tcp/udp
83/tcp
other 84/sctp
other 85/dccp
# commented 86/tcp
half 87#/tcp
good 88/tcp
";
        assert_eq!(entries(text), [entry(88, Tcp, false, "good")]);
    }

    #[test]
    fn empty_files_have_no_entries() {
        for text in ["", "\n\n", "# nothing\n", "\u{feff}", "   \t \r\n"] {
            assert_eq!(entries(text), [], "{text:?}");
        }
    }

    #[test]
    fn windows_line_ends_and_byte_order_mark_are_no_part_of_a_name() {
        let text = "\u{feff}echo 7/tcp\r\nqotd 17/UDP quote\r\n";
        let expected = [entry(7, Tcp, false, "echo"), entry(17, Udp, false, "qotd"), entry(17, Udp, true, "quote")];
        assert_eq!(entries(text), expected);
    }

    #[test]
    fn bytes_that_are_not_utf_8_spoil_only_the_names_they_stand_in() {
        let file = std::env::temp_dir().join(format!("portcheck-services-{}", std::process::id()));
        std::fs::write(&file, b"caf\xe9 8/tcp\necho 7/tcp # d\xe9j\xe0 vu\n").unwrap();
        let text = read_from(&file);
        std::fs::remove_file(&file).unwrap();
        let expected = [entry(7, Tcp, false, "echo"), entry(8, Tcp, false, "caf\u{fffd}")];
        assert_eq!(entries(&text.unwrap()), expected);
        assert_eq!(read_from(&file), None, "a missing file is no error");
    }
}
