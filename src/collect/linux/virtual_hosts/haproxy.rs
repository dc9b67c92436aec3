//! The configuration of haproxy: `frontend web`, `bind :80`, `default_backend shop`, and the servers of backends.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Files, first_of};
use crate::model::VirtualHost;

/// Where the configuration is unless it is named.
const PLACES: [&str; 2] = ["/etc/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg"];

/// The frontends of a haproxy with this command line and working directory.
pub fn hosts(command: &[String], cwd: Option<&Path>, files: &mut Files) -> Option<Vec<VirtualHost>> {
    let mut named: Vec<PathBuf> = Vec::new();
    for (index, _) in command.iter().enumerate().filter(|(_, argument)| *argument == "-f") {
        // A directory stands for its files that end with .cfg, in order.
        let path = PathBuf::from(command.get(index + 1)?);
        let path = if path.is_absolute() { path } else { cwd?.join(path) };
        let within = Files::matching(&path, "*.cfg");
        named.extend(if within.is_empty() { vec![path] } else { within });
    }
    if named.is_empty() {
        named.push(first_of(&PLACES)?);
    }
    let mut reader = Reader::default();
    for path in &named {
        reader.text(&files.read(path).unwrap_or_default(), path);
    }
    Some(reader.finish())
}

/// A frontend, and the backends that it may choose.
struct Frontend {
    host: VirtualHost,
    backends: Vec<String>,
}

/// What a line belongs to.
#[derive(Default)]
enum Section {
    #[default]
    Other,
    /// The last frontend, or `listen`, which is a backend as well.
    Frontend,
    Backend(String),
}

#[derive(Default)]
struct Reader {
    section: Section,
    frontends: Vec<Frontend>,
    servers: HashMap<String, Vec<String>>,
}

impl Reader {
    fn text(&mut self, text: &str, path: &Path) {
        for (index, line) in text.lines().enumerate() {
            let line = line.split_once('#').map_or(line, |(line, _)| line);
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["frontend" | "listen", name, ..] => {
                    let host = VirtualHost::at("haproxy", path, index + 1);
                    let host = VirtualHost { names: vec![name.to_owned()], ..host };
                    self.frontends.push(Frontend { host, backends: Vec::new() });
                    self.section = Section::Frontend;
                }
                ["backend", name, ..] => self.section = Section::Backend(name.to_owned()),
                ["global" | "defaults" | "userlist" | "peers" | "resolvers" | "program" | "cache", ..] => {
                    self.section = Section::Other;
                }
                _ => self.directive(&words),
            }
        }
    }

    fn directive(&mut self, words: &[&str]) {
        match (&self.section, self.frontends.last_mut(), words) {
            (Section::Frontend, Some(frontend), ["bind", places, ..]) => {
                frontend.host.ports.extend(places.split(',').filter_map(ports));
            }
            (Section::Frontend, Some(frontend), ["default_backend" | "use_backend", name, ..]) => {
                frontend.backends.push((*name).to_owned());
            }
            (Section::Frontend, Some(frontend), ["server", _, place, ..]) => {
                frontend.host.passes_to.push((*place).to_owned());
            }
            (Section::Backend(name), _, ["server", _, place, ..]) => {
                self.servers.entry(name.clone()).or_default().push((*place).to_owned());
            }
            _ => {}
        }
    }

    fn finish(self) -> Vec<VirtualHost> {
        let servers = |name: &String| self.servers.get(name).into_iter().flatten().cloned();
        let host = |Frontend { mut host, backends }: Frontend| {
            host.passes_to.extend(backends.iter().flat_map(servers));
            host
        };
        self.frontends.into_iter().map(host).collect()
    }
}

/// `:80`, `*:80`, `[::]:443`, `ipv4@10.0.0.1:8000-8010`. Other places have no port.
fn ports(place: &str) -> Option<(u16, u16)> {
    let text = place.rsplit_once(':')?.1;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frontends_are_read_with_the_servers_of_their_backends() {
        let directory = tempfile::tempdir().unwrap();
        let text = "global\n  daemon\ndefaults\n  mode tcp\nfrontend web # the shop\n  bind :8080,127.0.0.1:8443 ssl\n  \
            default_backend shop\nbackend shop\n  server one 10.0.0.1:80 check\n  server two 10.0.0.2:80\n\
            listen db\n  bind *:5432-5433\n  bind unix@/run/x\n  server db db.example:5432\nlisten\nserver x\nbind\n";
        std::fs::write(directory.path().join("a.cfg"), text).unwrap();
        let command = ["haproxy", "-W", "-f", "."].map(str::to_owned);
        let hosts = hosts(&command, Some(directory.path()), &mut Files::default()).unwrap();
        let found: Vec<String> = hosts
            .iter()
            .map(|host| format!("{:?} {:?} {} {:?}", host.names, host.ports, host.line, host.passes_to))
            .collect();
        let expected = [
            r#"["web"] [(8080, 8080), (8443, 8443)] 5 ["10.0.0.1:80", "10.0.0.2:80"]"#,
            r#"["db"] [(5432, 5433)] 11 ["db.example:5432"]"#,
        ];
        assert_eq!(found, expected);
    }
}
