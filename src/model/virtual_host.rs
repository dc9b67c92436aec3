//! Virtual hosts: what a web server serves on a port, by its configuration.

use std::path::PathBuf;

/// A site that a web server serves on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualHost {
    /// The server: `nginx`, `apache`, `caddy`.
    pub server: &'static str,
    /// The names that it answers to; empty for the one that answers to any.
    pub names: Vec<String>,
    /// The file that defines it.
    pub file: PathBuf,
    /// The line there, counted from 1.
    pub line: usize,
    /// Whether the file is newer than the server's youngest process. Then the server may not have
    /// read it yet.
    pub is_newer: bool,
}
