//! Reads files that a user names, and files that these name: regular ones of a limited size. A FIFO
//! would hang the reader, and a device could fill its memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest size of a file that is read.
const MOST: u64 = 1024 * 1024;

/// Reads a regular file of at most 1 MiB. A link is followed: whoever names a file means where it
/// leads.
pub fn read(path: &Path) -> io::Result<String> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    // It may grow.
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Opens it without waiting.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    // Some devices act when they are opened.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_limited_size_are_read() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::write(path("full"), vec![b'x'; 1024 * 1024]).unwrap();
        std::fs::write(path("large"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
        std::fs::write(path("binary"), [0xff, 0xfe]).unwrap();
        assert_eq!(read(&path("full")).unwrap().len(), 1024 * 1024);
        for refused in ["large", "binary", "missing"] {
            assert!(read(&path(refused)).is_err(), "{refused}");
        }
        assert!(read(root.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_waits_for_a_fifo_or_reads_a_device() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(read(&fifo).is_err() && read(Path::new("/dev/zero")).is_err());
    }
}
