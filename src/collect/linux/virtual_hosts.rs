//! The virtual hosts of web servers, read from their configuration as it is on disk.
//!
//! Files are read as the user who asks, and no server is started or asked.

mod apache;
mod caddy;
mod nginx;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::model::{Process, VirtualHost};
use crate::platform::foreign;

/// So many files belong to one server at most.
const MOST_FILES: usize = 256;

/// A site as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Site {
    /// The names that it answers to.
    names: Vec<String>,
    /// The ports that it is served on.
    ports: Vec<(u16, u16)>,
    file: PathBuf,
    line: usize,
}

/// The sites that `holders`, the processes of one server, serve on `port`.
pub fn of(holders: &[&Process], port: u16) -> Vec<VirtualHost> {
    let Some((server, sites)) = holders.iter().find_map(|holder| sites_of(holder)) else { return Vec::new() };
    let youngest = holders.iter().filter_map(|holder| holder.started_at).max();
    let is_on = |site: &Site| site.ports.iter().any(|&(first, last)| (first..=last).contains(&port));
    let host = |site: Site| {
        let changed = fs::metadata(&site.file).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let is_newer = youngest.is_some_and(|youngest| changed > youngest);
        VirtualHost { server, names: site.names, file: site.file, line: site.line, is_newer }
    };
    sites.into_iter().filter(is_on).map(host).collect()
}

/// The sites of a web server. In a container, its files are not here.
fn sites_of(process: &Process) -> Option<(&'static str, Vec<Site>)> {
    if process.container.is_some() {
        return None;
    }
    let program = process.exe.as_ref()?.file_name()?.to_str()?;
    match program.trim_end_matches(" (deleted)") {
        "nginx" => Some(("nginx", nginx::sites(&process.command, &mut Files::default())?)),
        "apache2" | "httpd" => Some(("apache", apache::sites(&process.command, &mut Files::default())?)),
        "caddy" => Some(("caddy", caddy::sites(&process.command, process.cwd.as_deref(), &mut Files::default())?)),
        _ => None,
    }
}

/// Reads the files of a server, not more than a few, and none twice.
#[derive(Debug, Default)]
struct Files {
    read: Vec<PathBuf>,
}

impl Files {
    /// The text of a file; `None` if it was read before, or cannot be read.
    fn read(&mut self, path: &Path) -> Option<String> {
        if self.read.len() >= MOST_FILES || self.read.iter().any(|known| known == path) {
            return None;
        }
        self.read.push(path.to_owned());
        // Debian links enabled sites.
        let file = fs::canonicalize(path).ok()?;
        foreign::read(&file).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The files that a pattern of an include names, in order. Patterns are relative to `base`.
    fn matching(base: &Path, pattern: &str) -> Vec<PathBuf> {
        let pattern = base.join(pattern);
        let found = pattern.to_str().and_then(|pattern| glob::glob(pattern).ok());
        found.into_iter().flatten().flatten().take(MOST_FILES).filter(|path| path.is_file()).collect()
    }
}

/// What follows an option: `-c FILE`, `--config FILE`, `--config=FILE`.
fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(name)? {
        "" => words.get(index + 1).copied(),
        value => value.strip_prefix('='),
    })
}

/// The first of these files that there is.
fn first_of(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|path| path.is_file())
}
