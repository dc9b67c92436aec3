//! A file that gets NAME=port lines, for later steps of a CI job (GITHUB_ENV, GITHUB_OUTPUT,
//! dotenv).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Lines that were appended, and can still be taken back. By default there are none.
#[derive(Debug, Default)]
pub struct Appended {
    path: PathBuf,
    /// The length of the file before and after. `None` if it has no length, such as a pipe.
    lengths: Option<(u64, u64)>,
}

/// Appends a line for each port in one write, as others may append to the file, too. If that fails,
/// no part of it is left.
pub fn append(path: &Path, names: &[String], ports: &[u16]) -> Result<Appended, Error> {
    let failed = |source| Error::Append { path: path.to_owned(), source };
    let mut opened = open(path).map_err(failed)?;
    let lines = lines(&opened, names, ports);
    let before = opened.length();
    let written = opened.file.write(lines.as_bytes()).map_err(failed)?;
    let lengths = before.map(|before| (before, before + u64::try_from(written).unwrap_or(0)));
    let appended = Appended { path: path.to_owned(), lengths };
    if written < lines.len() {
        appended.take_back();
        return Err(failed(io::Error::new(io::ErrorKind::StorageFull, "only a part of the lines could be written")));
    }
    Ok(appended)
}

impl Appended {
    /// Takes the lines back, unless somebody has appended to the file since.
    pub fn take_back(self) {
        let Some((before, since)) = self.lengths else { return };
        let Ok(opened) = open(&self.path) else { return };
        if opened.length() == Some(since) {
            // The reason for taking them back is reported anyway.
            let _ = opened.file.set_len(before);
        }
    }
}

/// `NAME=port`, one a line. Starts a new line if the file ends within one.
fn lines(opened: &Opened, names: &[String], ports: &[u16]) -> String {
    let mut lines: Vec<String> = names.iter().zip(ports).map(|(name, port)| format!("{name}={port}\n")).collect();
    if opened.length().is_some() && opened.ends_in_mid_line().unwrap_or(false) {
        lines.insert(0, "\n".to_owned());
    }
    lines.concat()
}

/// A file that is open for appending, and its path after symbolic links.
struct Opened {
    file: File,
    path: PathBuf,
}

impl Opened {
    /// `None` if it is not a regular file.
    fn length(&self) -> Option<u64> {
        self.file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
    }

    fn ends_in_mid_line(&self) -> io::Result<bool> {
        let mut file = open_to_read(&self.path)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(last != *b"\n")
    }
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<Opened> {
    Ok(Opened { file: File::options().append(true).create(true).open(path)?, path: path.to_owned() })
}

#[cfg(not(unix))]
fn open_to_read(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
use unix::{open, open_to_read};

#[cfg(unix)]
mod unix {
    use std::fs::{File, read_link, symlink_metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    use rustix::fs::{Mode, OFlags};

    use super::Opened;

    /// Opens or creates the file for appending. Does not wait for the reader of a pipe, and does
    /// not follow another user's symbolic link, which may lead anywhere.
    pub(super) fn open(path: &Path) -> io::Result<Opened> {
        /// As many as the kernel follows (path_resolution(7)).
        const MOST_LINKS: usize = 40;
        const HOW: OFlags = OFlags::WRONLY.union(OFlags::APPEND).union(OFlags::CREATE);
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            // /dev/stdout and the like end in a link that is not a path: `pipe:[4242]`.
            let is_own_descriptor = path
                .parent()
                .is_some_and(|parent| parent == Path::new("/proc/self/fd") || parent == Path::new("/dev/fd"));
            let nofollow = if is_own_descriptor { OFlags::empty() } else { OFlags::NOFOLLOW };
            match open_with(&path, HOW | nofollow) {
                Err(_) if path.is_symlink() => path = target(&path)?,
                opened => return Ok(Opened { file: opened?, path }),
            }
        }
        Err(rustix::io::Errno::LOOP.into())
    }

    pub(super) fn open_to_read(path: &Path) -> io::Result<File> {
        open_with(path, OFlags::RDONLY)
    }

    /// Opens a file without waiting.
    fn open_with(path: &Path, how: OFlags) -> io::Result<File> {
        let mode = Mode::from_raw_mode(0o666);
        let opened = rustix::fs::open(path, how | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY, mode);
        match opened {
            Ok(file) => Ok(file.into()),
            Err(rustix::io::Errno::NXIO) => Err(io::Error::other("it is a pipe that nobody reads, or a socket")),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The target of a symbolic link that belongs to us or root.
    fn target(link: &Path) -> io::Result<PathBuf> {
        let refused = |reason: &str| io::Error::new(io::ErrorKind::PermissionDenied, reason.to_owned());
        let before = symlink_metadata(link)?;
        if ![0, rustix::process::geteuid().as_raw()].contains(&before.uid()) {
            return Err(refused("it is another user's symbolic link"));
        }
        let target = read_link(link)?;
        let since = symlink_metadata(link)?;
        let identity = |link: &std::fs::Metadata| (link.dev(), link.ino(), link.ctime(), link.ctime_nsec());
        if identity(&before) != identity(&since) {
            return Err(refused("it was replaced just now"));
        }
        Ok(link.parent().unwrap_or(Path::new("")).join(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append_to(path: &Path, names: &[&str], ports: &[u16]) -> Result<Appended, Error> {
        append(path, &names.iter().map(ToString::to_string).collect::<Vec<_>>(), ports)
    }

    #[test]
    fn lines_are_appended_and_never_joined() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        append_to(&path, &["HTTP", "ADMIN"], &[20123, 20124]).unwrap();
        append_to(&path, &["PORT"], &[20125]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "HTTP=20123\nADMIN=20124\nPORT=20125\n");
        std::fs::write(&path, "A=b").unwrap();
        append_to(&path, &["PORT"], &[20126]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "A=b\nPORT=20126\n");
    }

    #[test]
    fn lines_are_taken_back_unless_others_came_after_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        std::fs::write(&path, "A=b").unwrap();
        append_to(&path, &["PORT"], &[20126]).unwrap().take_back();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "A=b");
        let first = append_to(&path, &["PORT"], &[20126]).unwrap();
        append_to(&path, &["OTHER"], &[20127]).unwrap();
        first.take_back();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "A=b\nPORT=20126\nOTHER=20127\n");
    }

    #[test]
    fn what_cannot_be_written_is_an_error_with_the_path_in_it() {
        let error = append_to(Path::new("/nonexistent/env"), &["PORT"], &[1]).unwrap_err();
        assert!(error.to_string().starts_with("cannot append to /nonexistent/env: "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn own_links_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("env"), directory.path().join("link"));
        std::os::unix::fs::symlink("env", &link).unwrap();
        append_to(&link, &["PORT"], &[20126]).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "PORT=20126\n");
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("link", &file).unwrap();
        assert!(append_to(&link, &["PORT"], &[20126]).is_err(), "a link to itself");
    }
}
