//! Finds sockets outside /proc/PID/fd: in a thread with a descriptor table of its own, registered
//! with an io_uring, in the queue of a unix socket, or in a system call in progress.
//!
//! This costs far more than the sweep, so it is done only for sockets that a complete sweep did not
//! explain. Only if it finds nothing either may a socket be called the kernel's.

use std::collections::HashMap;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::path::Path;

use super::calls::Calls;
use super::namespaces::Home;
use super::owners::{self, DIRECTORY_BUFFER};
use super::{namespaces, pids};
use crate::model::{Pid, Via};

/// What was found.
#[derive(Debug, Default)]
pub struct Elsewhere {
    /// Sockets, and the processes that have them by a thread or an io_uring.
    pub found: HashMap<u64, Holding>,
    /// Processes with descriptors in the queue of a unix socket (`scm_fds` in its fdinfo, since
    /// Linux 5.7). A socket that was not found may be among these descriptors.
    carriers: Vec<Carrier>,
    /// System calls that may hold a socket.
    pub calls: Calls,
}

/// A process with descriptors in the queue of a unix socket.
#[derive(Debug)]
struct Carrier {
    pid: Pid,
    /// The inode of its network namespace; `None` if it does not tell.
    namespace: Option<u64>,
}

/// Which carriers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriers {
    /// Those in the network namespace of the socket: descriptors rarely go farther.
    Near,
    /// All of them.
    All,
}

impl Elsewhere {
    /// The processes that may carry a socket of `home`.
    pub fn carriers(&self, home: Home, which: Carriers) -> Vec<Pid> {
        let is_meant = |carrier: &&Carrier| which == Carriers::All || home.may_be(carrier.namespace);
        self.carriers.iter().filter(is_meant).map(|carrier| carrier.pid).collect()
    }
}

/// Who has a socket, and how.
#[derive(Debug)]
pub struct Holding {
    /// Never empty, ascending.
    pub pids: Vec<Pid>,
    /// How the first of them has it.
    pub via: Via,
}

/// Looks for the sockets `wanted` (ascending inodes).
pub fn look(proc: &Path, wanted: &[u64]) -> Elsewhere {
    let mut elsewhere = Elsewhere::default();
    let Ok(root) = File::open(proc) else { return elsewhere };
    let mut buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER];
    for pid in pids::list_pids(&root).unwrap_or_default() {
        let mut found = |inode: u64, via: Via| {
            if wanted.binary_search(&inode).is_ok() {
                let holding = elsewhere.found.entry(inode).or_insert_with(|| Holding { pids: Vec::new(), via });
                if holding.pids.last() != Some(&pid) {
                    holding.pids.push(pid);
                }
            }
        };
        // The sweep has read the main thread.
        let threads = pids::list_threads(&root, pid).unwrap_or_default();
        for &thread in threads.iter().filter(|&&thread| thread != pid) {
            // A thread that has ended, or cannot be read, shows nothing.
            let _ = owners::sockets_of(&root, &format!("{pid}/task/{thread}/fd"), &mut buffer, |inode, _| {
                found(inode, Via::Thread(thread));
            });
        }
        if look_at_fdinfo(proc, pid, &mut |inode| found(inode, Via::IoUring)) {
            elsewhere.carriers.push(Carrier { pid, namespace: namespaces::inode_of(&root, pid).ok() });
        }
        elsewhere.calls.add(proc, pid, &threads);
    }
    elsewhere
}

/// Reads the fdinfo of io_urings and unix sockets. Returns whether a unix socket carries
/// descriptors.
fn look_at_fdinfo(proc: &Path, pid: Pid, found: &mut impl FnMut(u64)) -> bool {
    let directory = proc.join(pid.to_string());
    let Ok(descriptors) = fs::read_dir(directory.join("fd")) else { return false };
    let mut carries = false;
    for descriptor in descriptors.flatten() {
        let Ok(link) = fs::read_link(descriptor.path()) else { continue };
        let link = link.as_os_str().as_encoded_bytes();
        if link != b"anon_inode:[io_uring]" && !link.starts_with(b"socket:[") {
            continue;
        }
        let Ok(info) = fs::read_to_string(directory.join("fdinfo").join(descriptor.file_name())) else { continue };
        carries |= parse_fdinfo(&info, found);
    }
    carries
}

/// Finds sockets among the files registered with an io_uring (`UserFiles`, io_uring/fdinfo.c).
/// Returns whether a unix socket has descriptors in its queue (`scm_fds`, net/unix/af_unix.c).
pub fn parse_fdinfo(info: &str, found: &mut impl FnMut(u64)) -> bool {
    let mut carries = false;
    for line in info.lines() {
        if let Some(count) = line.strip_prefix("scm_fds:") {
            carries |= count.trim().parse::<u64>().is_ok_and(|count| count > 0);
        } else if let Some(start) = line.find("socket:[") {
            let inode = line[start..]
                .find(']')
                .and_then(|end| crate::platform::proc::parse_socket_link(&line.as_bytes()[start..=start + end]));
            inode.into_iter().for_each(&mut *found);
        }
    }
    carries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_in_the_queue_of_a_unix_socket_has_a_carrier() {
        use std::os::fd::AsFd;
        use std::os::unix::net::UnixStream;

        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(&listener).unwrap().st_ino;
        let (here, there) = UnixStream::pair().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        let descriptors = [listener.as_fd()];
        assert!(message.push(SendAncillaryMessage::ScmRights(&descriptors)));
        rustix::net::sendmsg(&here, &[std::io::IoSlice::new(b"x")], &mut message, SendFlags::empty()).unwrap();
        drop(listener);

        let proc = Path::new("/proc");
        let own = std::process::id();
        assert_eq!(owners::sweep(proc, &[inode]).unwrap().owners_of(inode).count(), 0);
        let elsewhere = look(proc, &[inode]);
        assert!(elsewhere.carriers.iter().any(|carrier| carrier.pid == own), "{elsewhere:?}");
        assert!(!elsewhere.found.contains_key(&inode));
        // The socket ends together with the queue.
        drop(there);
        assert!(!look(proc, &[inode]).carriers.iter().any(|carrier| carrier.pid == own));
    }

    #[test]
    fn fdinfo_of_unix_sockets_and_io_urings() {
        let mut found = Vec::new();
        assert!(parse_fdinfo("pos:\t0\nscm_fds: 1\n", &mut |inode| found.push(inode)));
        assert!(!parse_fdinfo("pos:\t0\nscm_fds: 0\n", &mut |inode| found.push(inode)));
        assert!(!parse_fdinfo("UserFiles:\t2\n    0: socket:[815]\n    1: <none>\n    2: socket:[\n", &mut |inode| {
            found.push(inode);
        }));
        assert_eq!(found, [815]);
    }
}
