//! devcontainer.json: the ports that the editor forwards to this machine, and those that are
//! published.

use std::path::Path;

use serde_json::Value;

use super::json_text::{line_of, parse};
use super::lines::Lines;
use super::wanted::{Asked, Fault, Kind, Wanted, address, port};

/// The most ports that are read of a list.
const MOST: usize = 1000;

/// What the file asks for.
pub fn read(file: &Path, text: &str) -> Result<Vec<Wanted>, Fault> {
    let root = parse(file, text)?;
    let mut lines = Lines::of(file, Kind::Devcontainer);
    for key in ["forwardPorts", "appPort"] {
        let value = root.get(key).cloned().unwrap_or(Value::Null);
        let items = match value {
            Value::Array(items) => items,
            Value::Null => continue,
            one => vec![one],
        };
        if items.len() > MOST {
            return Err(lines.fault(line_of(text, &[key]), format!("{key} has more than {MOST} ports")));
        }
        let quoted = format!("\"{key}\"");
        for item in &items {
            let written = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            add(&mut lines, line_of(text, &[&quoted, &written]), key, &written)?;
        }
    }
    Ok(lines.wanted)
}

/// Adds `3000`, `db:5432` (which is forwarded to the same port here), or `127.0.0.1:8080:80`.
fn add(lines: &mut Lines, line: usize, key: &str, written: &str) -> Result<(), Fault> {
    let parts: Vec<&str> = written.split(':').collect();
    let (place, number) = match (key, &parts[..]) {
        (_, [number]) | ("appPort", [number, _]) | ("forwardPorts", [_, number]) => (None, *number),
        (_, [place, number, _]) => (address(place), *number),
        _ => (None, ""),
    };
    let port = port(number).ok_or_else(|| lines.fault(line, format!("'{written}' in {key} is no port")))?;
    let wanted = lines.add(line, key, Asked::One(port));
    // Forwarded ports are bound on loopback only.
    wanted.address = if key == "forwardPorts" { Some(std::net::Ipv4Addr::LOCALHOST.into()) } else { place };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_and_published_ports() {
        let text =
            "{\n  // mine\n  \"forwardPorts\": [3000,\n    \"db:5432\"],\n  \"appPort\": \"127.0.0.1:8080:80\",\n}\n";
        let found = read(Path::new("devcontainer.json"), text).unwrap();
        let words: Vec<String> =
            found.iter().map(|one| format!("{} {:?} {:?}", one.spot.line, one.address, one.port)).collect();
        assert_eq!(
            words,
            ["3 Some(127.0.0.1) One(3000)", "4 Some(127.0.0.1) One(5432)", "5 Some(127.0.0.1) One(8080)"]
        );
        assert!(read(Path::new("x"), "{\"forwardPorts\": [\"x\"]}").is_err());
        assert!(read(Path::new("x"), "{}").unwrap().is_empty());
    }
}
