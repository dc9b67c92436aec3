//! The record of a lease: a small JSON file beside the lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::Pid;

/// What is recorded of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub kind: RecordKind,
    /// The key of a sticky lease.
    pub key: Option<u64>,
    /// In milliseconds since 1970.
    pub expires_at_ms: u64,
    /// The process that has the lock, if it is a command.
    pub process: Option<Pid>,
    pub client: Option<Client>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// For a while.
    Reserved,
    /// While the lock is held.
    Command,
}

/// The caller it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub pid: Pid,
    pub name: String,
    /// In seconds since 1970.
    pub started: Option<u64>,
    pub ends_lease: bool,
}

fn path(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!("{port}.json"))
}

impl Record {
    /// Reads the record of `port`. `None` if there is none, or it is malformed.
    pub fn read(directory: &Path, port: u16) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(directory, port)).ok()?).ok()
    }

    /// Writes it in one step, so nobody reads a part of it. Only the holder of the lock writes.
    pub fn write(&self, directory: &Path, port: u16) -> io::Result<()> {
        let unfinished = directory.join(format!("{port}.new"));
        fs::write(&unfinished, serde_json::to_vec(self)?)?;
        fs::rename(unfinished, path(directory, port))
    }

    /// Removes it.
    pub fn remove(directory: &Path, port: u16) -> io::Result<()> {
        fs::remove_file(path(directory, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let client = Client { pid: 42, name: "sh".to_owned(), started: Some(1), ends_lease: true };
        let record =
            Record { kind: RecordKind::Reserved, key: Some(7), expires_at_ms: 5, process: None, client: Some(client) };
        assert_eq!(Record::read(directory.path(), 20123), None);
        record.write(directory.path(), 20123).unwrap();
        record.write(directory.path(), 20123).unwrap();
        assert_eq!(Record::read(directory.path(), 20123), Some(record));
        Record::remove(directory.path(), 20123).unwrap();
        fs::write(directory.path().join("20123.json"), "{\"kind\":").unwrap();
        assert_eq!(Record::read(directory.path(), 20123), None);
    }
}
