//! A file to which NAME=port lines are appended: what later steps of a CI job read (GITHUB_ENV, GITHUB_OUTPUT, dotenv).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The file, open: whether it can be written shows before any port is picked.
#[derive(Debug)]
pub struct EnvFile {
    file: File,
    path: PathBuf,
}

impl EnvFile {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        match file {
            Ok(file) => Ok(Self { file, path: path.to_owned() }),
            Err(source) => Err(Error::Append { path: path.to_owned(), source }),
        }
    }

    /// Appends a line for each port, all in one write: others may append to the file, too.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn append(mut self, names: &[String], ports: &[u16]) -> Result<(), Error> {
        let mut lines: Vec<String> = names.iter().zip(ports).map(|(name, port)| format!("{name}={port}\n")).collect();
        if ends_in_mid_line(&self.path).unwrap_or(false) {
            lines.insert(0, "\n".to_owned());
        }
        self.file.write_all(lines.concat().as_bytes()).map_err(|source| Error::Append { path: self.path, source })
    }
}

/// Whether somebody has left the last line of the file without an end. Unknown for what is no regular file.
fn ends_in_mid_line(path: &Path) -> io::Result<bool> {
    if !path.metadata()?.is_file() {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    let mut last = [b'\n'];
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_never_joined() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        let append = |names: &[&str], ports: &[u16]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            EnvFile::open(&path).unwrap().append(&names, ports).unwrap();
        };
        append(&["HTTP", "ADMIN"], &[20123, 20124]);
        append(&["PORT"], &[20125]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "HTTP=20123\nADMIN=20124\nPORT=20125\n");
        std::fs::write(&path, "A=b").unwrap();
        append(&["PORT"], &[20126]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "A=b\nPORT=20126\n");
    }

    #[test]
    fn what_cannot_be_written_is_an_error_with_the_path_in_it() {
        let error = EnvFile::open(Path::new("/nonexistent/env")).unwrap_err();
        assert!(error.to_string().starts_with("cannot append to /nonexistent/env: "), "{error}");
    }
}
