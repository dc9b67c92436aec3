//! Units of systemd: what a socket unit listens on (systemd.socket(5)), and the options of a
//! service.

use std::path::Path;

use super::lines::Lines;
use super::variables::Variables;
use super::wanted::{Asked, Fault, Kind, Wanted, address, port};
use crate::model::Protocol;

/// What the unit asks for.
pub fn read(file: &Path, text: &str) -> Result<Vec<Wanted>, Fault> {
    let unit = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut lines = Lines::of(file, Kind::Systemd);
    let mut section = String::new();
    for (line, text) in joined(text) {
        let text = text.trim();
        if let Some(name) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            name.clone_into(&mut section);
            continue;
        }
        let Some((key, value)) = text.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match (&*section, key) {
            ("Socket", "ListenStream") => listen(&mut lines, line, &unit, value, Protocol::Tcp)?,
            ("Socket", "ListenDatagram") => listen(&mut lines, line, &unit, value, Protocol::Udp)?,
            ("Service", "Environment") if value.trim_matches('"').starts_with("PORT=") => {
                lines.add_command(line, &unit, value, &Variables::default());
            }
            ("Service", "ExecStart") => lines.add_command(line, &unit, value, &Variables::default()),
            _ => {}
        }
    }
    Ok(lines.wanted)
}

/// The lines of a unit, with those that a backslash continues in one; each with its number.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut is_continued = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (part, goes_on) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match joined.last_mut().filter(|_| is_continued) {
            Some((_, before)) => {
                before.push(' ');
                before.push_str(part);
            }
            None => joined.push((index + 1, part.to_owned())),
        }
        is_continued = goes_on;
    }
    joined
}

/// Adds what a `Listen...=` line names, unless that is no port.
fn listen(lines: &mut Lines, line: usize, unit: &str, value: &str, protocol: Protocol) -> Result<(), Fault> {
    // A path, an abstract name, a machine, or nothing, which clears the list.
    if value.is_empty() || value.starts_with(['/', '@']) || value.starts_with("vsock:") {
        return Ok(());
    }
    if value.contains('%') {
        let why = format!("{value} depends on the instance");
        lines.add(line, unit, Asked::Unresolved(why)).protocol = protocol;
        return Ok(());
    }
    let (place, digits) = value.rsplit_once(':').unwrap_or(("", value));
    let wrong = || lines.fault(line, format!("'{value}' is neither a port nor an address with a port"));
    let number = port(digits).ok_or_else(wrong)?;
    let address = if place.is_empty() { None } else { Some(address(place).ok_or_else(wrong)?) };
    let wanted = lines.add(line, unit, Asked::One(number));
    (wanted.address, wanted.protocol) = (address, protocol);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_services() {
        let read = |name: &str, text: &str| read(Path::new(name), text);
        let socket = "[Unit]\nListenStream=1\n[Socket]\nListenStream=8080\nListenStream=127.0.0.1:81\nListenStream=[::1]:82\n\
                      ListenStream=/run/x\nListenDatagram=53\nListenStream=%i\n";
        let found = read("web.socket", socket).unwrap();
        let words: Vec<String> = found
            .iter()
            .map(|one| format!("{} {:?} {:?} {}", one.spot.line, one.address, one.port, one.protocol))
            .collect();
        assert_eq!(words.len(), 5, "{words:?}");
        assert_eq!((&*words[0], &*words[3]), ("4 None One(8080) tcp", "8 None One(53) udp"));
        assert!(words[2].contains("::1") && words[4].contains("Unresolved"));
        let service = "[Service]\nEnvironment=PORT=3000\nExecStart=/usr/bin/web \\\n  --port 3001\n";
        let found = read("web.service", service).unwrap();
        assert_eq!((&found[0].port, &found[1].port, found[1].spot.line), (&Asked::One(3000), &Asked::One(3001), 3));
        assert_eq!(read("web.socket", "[Socket]\nListenStream=x\n").unwrap_err().spot.line, 2);
    }
}
