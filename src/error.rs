//! The ways in which the tool itself fails. What it finds out about a port is never an error.

use std::io;
use std::path::PathBuf;

/// Something that the answer rests on could not be done.
///
/// A process that vanished or may not be read is none of these: the first is skipped, the second
/// becomes a [`Gap`](crate::model::Gap).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the system could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that was named to be appended to could not be.
    #[error("cannot append to {}: {source}", path.display())]
    Append {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A process that was named to be watched could not be.
    #[error("cannot watch process {pid}: {source}")]
    Watch {
        /// Its id.
        pid: u32,
        /// Why.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{call} failed: {source}")]
    Call {
        /// The call and what it was about.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel answered with something that does not follow its own format.
    #[error("{from} sent a reply that cannot be understood: {problem}")]
    Malformed {
        /// Who answered.
        from: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A line of a table under /proc/net does not follow its format.
    #[error("{} line {line} cannot be understood", path.display())]
    MalformedLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
    },
    /// The portable backend could not list sockets.
    #[error("netstat2 cannot list the sockets: {0}")]
    Portable(String),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Write(io::Error),
    /// No backend for this platform.
    #[error("portcheck cannot list sockets on {0}: it knows Linux, macOS and Windows")]
    Unsupported(&'static str),
    /// Too few ports are free.
    #[error("{0}")]
    NoneLeft(String),
    /// No port can be held for a server on this platform.
    #[error(
        "--hold works on Linux only: on {0} a bound port is in the way of the server that it is kept for. Leave it out: the lease \
         keeps the port from other callers of portcheck free"
    )]
    NoHold(&'static str),
    /// Process ids mean different things to /proc and to system calls.
    #[error(
        "process {0} cannot be told from others: /proc shows the processes of another pid namespace. Mount the right one first: \
         mount -t proc proc /proc"
    )]
    ForeignProcesses(u32),
    /// A network namespace could be found and not looked at.
    #[error("only root can look into {0}")]
    NoEntry(String),
    /// No processes can be held on to on this platform, so none is ended or waited for.
    #[error("portcheck cannot end or watch processes on {0}: kill and wait work on Linux, macOS and Windows")]
    NoActions(&'static str),
}
