//! Reads files that anybody may have put there. A FIFO or a server that does not answer would hang
//! the reader, and a link to a device could fill its memory. Only this file reads such files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

/// The largest size of a file that is read.
const MOST: u64 = 64 * 1024;

/// Reads a regular file of at most 64 KiB, without following a link.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Some devices act when they are opened.
    check(&fs::symlink_metadata(path)?)?;
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let mut options = File::options();
    let file = options.read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    // It may be another file by now, and it may grow.
    check(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

fn check(metadata: &fs::Metadata) -> io::Result<()> {
    match metadata.len() {
        _ if !metadata.is_file() => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        length if length > MOST => Err(io::ErrorKind::FileTooLarge.into()),
        _ => Ok(()),
    }
}

/// The result of `look`, if it comes in time. Nothing else ends a read from a file system that no
/// longer answers.
pub fn within<T: Send + 'static>(deadline: Duration, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    // If it is late, nobody receives it.
    let run = move || drop(sender.send(look()));
    thread::Builder::new().name("files".to_owned()).spawn(run).ok()?;
    receiver.recv_timeout(deadline).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_small_regular_files_are_read() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("small"), "x").unwrap();
        fs::write(path("full"), vec![b'x'; 64 * 1024]).unwrap();
        fs::write(path("large"), vec![b'x'; 64 * 1024 + 1]).unwrap();
        symlink(path("small"), path("link")).unwrap();
        symlink("/dev/zero", path("endless")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        assert_eq!((read(&path("small")).unwrap(), read(&path("full")).unwrap().len()), (vec![b'x'], 64 * 1024));
        for refused in ["large", "link", "endless", "fifo", "missing"] {
            assert!(read(&path(refused)).is_err(), "{refused}");
        }
        assert!(read(Path::new("/dev/zero")).is_err() && read(root.path()).is_err());
    }

    #[test]
    fn nobody_waits_for_a_look_that_takes_too_long() {
        let (release, until) = mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(1), move || until.recv().is_err()), None);
        drop(release);
        assert_eq!(within(Duration::from_mins(1), || 7), Some(7));
    }
}
