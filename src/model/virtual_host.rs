//! Virtual hosts: what a server is told to serve on a port, by its configuration.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::path::PathBuf;

/// A site that a server serves on its ports, or a place that it passes on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualHost {
    /// The server: `nginx`, `apache`, `caddy`, `haproxy`.
    pub server: &'static str,
    /// The names that it answers to; empty for the one that answers to any.
    pub names: Vec<String>,
    /// The ports that it is served on, as first and last ones.
    pub ports: Vec<(u16, u16)>,
    /// Where it passes on everything, as it is written: `db.example:5432`. Empty if it serves by
    /// itself, or looks into what it passes on.
    pub passes_to: Vec<String>,
    /// The file that defines it.
    pub file: PathBuf,
    /// The line there, counted from 1.
    pub line: usize,
    /// Whether the file is newer than the server's youngest process. Then the server may not have
    /// read it yet.
    pub is_newer: bool,
}

impl VirtualHost {
    /// One of which only its place is known.
    #[cfg(target_os = "linux")]
    pub fn at(server: &'static str, file: &Path, line: usize) -> Self {
        let (names, ports, passes_to) = (Vec::new(), Vec::new(), Vec::new());
        Self { server, names, ports, passes_to, file: file.to_owned(), line, is_newer: false }
    }

    /// Whether it is served on `port`.
    pub fn is_on(&self, port: u16) -> bool {
        self.ports.iter().any(|&(first, last)| (first..=last).contains(&port))
    }
}
