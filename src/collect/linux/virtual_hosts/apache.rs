//! The configuration of Apache: `<VirtualHost *:80>` with `ServerName`, and its includes.

use std::path::{Path, PathBuf};

use super::{Files, first_of, option};
use crate::model::VirtualHost;

/// Where the configuration is unless it is named: in Debian, Red Hat, BSD and macOS.
const PLACES: [&str; 5] = [
    "/etc/apache2/apache2.conf",
    "/etc/httpd/conf/httpd.conf",
    "/usr/local/etc/apache24/httpd.conf",
    "/opt/homebrew/etc/httpd/httpd.conf",
    "/etc/apache2/httpd.conf",
];

/// How deep includes may go.
const DEEPEST: usize = 16;

/// The sites of an Apache with this command line.
pub fn hosts(command: &[String], files: &mut Files) -> Option<Vec<VirtualHost>> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let root = option(&words, "-d").map(PathBuf::from);
    let named = option(&words, "-f").map(|file| root.clone().unwrap_or_default().join(file));
    let file = named.filter(|file| file.is_absolute()).or_else(|| first_of(&PLACES))?;
    let own = || file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut reader = Reader { files, root: root.unwrap_or_else(own), sites: Vec::new() };
    reader.file(&file, DEEPEST);
    Some(reader.sites)
}

struct Reader<'a> {
    files: &'a mut Files,
    /// What includes are relative to (`ServerRoot`).
    root: PathBuf,
    sites: Vec<VirtualHost>,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, deeper: usize) {
        let Some(text) = self.files.read(path) else { return };
        let mut site: Option<VirtualHost> = None;
        for (index, line) in text.lines().enumerate() {
            let words = shlex::split(line.trim()).unwrap_or_default();
            let Some((directive, values)) = words.split_first() else { continue };
            match &*directive.to_ascii_lowercase() {
                "serverroot" => self.root = values.first().map_or_else(|| self.root.clone(), PathBuf::from),
                "include" | "includeoptional" if deeper > 0 => {
                    let found: Vec<PathBuf> =
                        values.iter().flat_map(|pattern| Files::matching(&self.root, pattern)).collect();
                    for file in &found {
                        self.file(file, deeper - 1);
                    }
                }
                "<virtualhost" => {
                    let ports = values.iter().filter_map(|place| port(place)).map(|port| (port, port)).collect();
                    site = Some(VirtualHost { ports, ..VirtualHost::at("apache", path, index + 1) });
                }
                "</virtualhost>" => self.sites.extend(site.take()),
                "servername" | "serveralias" => {
                    if let Some(site) = &mut site {
                        site.names.extend(values.iter().map(|name| bare(name)));
                    }
                }
                _ => {}
            }
        }
    }
}

/// The port of `*:80>`, `[::1]:8080`, `_default_:443`.
fn port(place: &str) -> Option<u16> {
    place.trim_end_matches('>').rsplit_once(':')?.1.parse().ok()
}

/// A name without scheme and port: `https://shop.example:443`.
fn bare(name: &str) -> String {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    name.split_once(':').map_or(name, |(host, _)| host).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_hosts_are_read_with_their_includes() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("apache2.conf");
        std::fs::create_dir(directory.path().join("sites-enabled")).unwrap();
        std::fs::write(&main, "Listen 80\n# <VirtualHost *:1>\nIncludeOptional sites-enabled/*.conf\n").unwrap();
        let site = "\n<VirtualHost *:80 [::]:8080>\n  ServerName https://shop.example:443\n  ServerAlias www.shop.example\n\
            </VirtualHost>\n<VirtualHost 127.0.0.1:81>\n</VirtualHost>\n<virtualhost\n";
        std::fs::write(directory.path().join("sites-enabled/shop.conf"), site).unwrap();
        let command = ["apache2", "-f", main.to_str().unwrap(), "-k", "start"].map(str::to_owned);
        let found = hosts(&command, &mut Files::default()).unwrap();
        assert_eq!(found.len(), 2, "{found:#?}");
        assert_eq!(
            (&*found[0].names, found[0].line),
            (&["shop.example", "www.shop.example"].map(str::to_owned)[..], 2)
        );
        assert_eq!((&*found[0].ports, &*found[1].ports), (&[(80, 80), (8080, 8080)][..], &[(81, 81)][..]));
    }
}
