//! The Caddyfile: blocks that begin with the addresses of a site, `shop.example, :8080 {`.

use std::path::{Path, PathBuf};

use super::{Files, first_of, option};
use crate::model::VirtualHost;

/// Where the Caddyfile is unless it is named.
const PLACES: [&str; 1] = ["/etc/caddy/Caddyfile"];

/// The sites of a Caddy with this command line and working directory.
pub fn hosts(command: &[String], cwd: Option<&Path>, files: &mut Files) -> Option<Vec<VirtualHost>> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let named = option(&words, "--config").or_else(|| option(&words, "-c")).map(PathBuf::from);
    let own = || cwd.map(|cwd| cwd.join("Caddyfile")).filter(|file| file.is_file());
    let named = named.and_then(|file| Some(cwd?.join(file))).or_else(own);
    let file = named.or_else(|| first_of(&PLACES))?;
    let text = files.read(&file)?;
    Some(parse(&text, &file))
}

fn parse(text: &str, file: &Path) -> Vec<VirtualHost> {
    let mut sites = Vec::new();
    let mut depth = 0_usize;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        // Global options and snippets have no address.
        if let Some(head) =
            line.strip_suffix('{').filter(|head| depth == 0 && !head.starts_with('(') && !head.is_empty())
        {
            let places: Vec<&str> = head.split([',', ' ']).filter(|place| !place.is_empty()).collect();
            let names = places.iter().filter_map(|place| name(place)).collect();
            let ports = places.iter().map(|place| port(place)).map(|port| (port, port)).collect();
            sites.push(VirtualHost { names, ports, ..VirtualHost::at("caddy", file, index + 1) });
        }
        depth += usize::from(line.ends_with('{'));
        depth = depth.saturating_sub(usize::from(line == "}"));
    }
    sites
}

fn name(place: &str) -> Option<String> {
    let host = place.split_once("://").map_or(place, |(_, rest)| rest);
    let host = host.split(['/', ':']).next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

/// The port of an address; Caddy serves by HTTPS unless it is told otherwise.
fn port(place: &str) -> u16 {
    let (scheme, rest) = place.split_once("://").unwrap_or(("https", place));
    let host = rest.split('/').next().unwrap_or_default();
    let usual = if scheme == "http" { 80 } else { 443 };
    host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_read_by_their_addresses() {
        let text = "{\n  email a@b\n}\n(snippet) {\n}\nshop.example, http://www.shop.example {\n  handle {\n  }\n}\n:8080 {\n}\n}\n";
        let sites = parse(text, Path::new("Caddyfile"));
        let found: Vec<String> =
            sites.iter().map(|site| format!("{} {:?} {}", site.names.join(" "), site.ports, site.line)).collect();
        assert_eq!(found, ["shop.example www.shop.example [(443, 443), (80, 80)] 6", " [(8080, 8080)] 10"]);
    }
}
