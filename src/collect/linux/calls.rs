//! Finds threads in system calls that may hold a socket. The kernel keeps the file of a call until
//! the call returns, even if another thread closes the descriptor meanwhile (`fdget`, fs/file.c;
//! `__pollwait`, fs/select.c).

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::CWD;

use super::namespaces::{self, Home};
use super::system_call::SystemCall;
use crate::model::{Pid, Socket, State};
use crate::platform::proc::parse_socket_link;

/// The calls in progress.
#[derive(Debug, Default)]
pub struct Calls {
    found: Vec<Call>,
    /// Processes with a thread whose call could not be read, ascending.
    pub unread: Vec<Pid>,
}

/// A call that holds a file.
#[derive(Debug)]
pub struct Call {
    /// The process.
    pub pid: Pid,
    /// Its thread that is in the call.
    pub thread: Pid,
    name: &'static str,
    /// The effective user of the thread.
    uid: u32,
    /// The descriptor of the call, if it is closed, or leads to what is no socket. Otherwise
    /// another thread may have closed it.
    closed: Option<u32>,
    /// The inode of the thread's network namespace; `None` if it does not tell.
    namespace: Option<u64>,
}

impl Calls {
    /// Adds the calls of a process.
    pub fn add(&mut self, proc: &Path, pid: Pid, threads: &[Pid]) {
        // We are in the call that reads this.
        if pid == std::process::id() {
            return;
        }
        for &thread in threads {
            let directory = proc.join(format!("{pid}/task/{thread}"));
            match SystemCall::read(&directory) {
                Ok(call) => self.found.extend(call.and_then(|call| {
                    let (name, closed) = judge(&directory, call, threads.len() > 1)?;
                    let uid = fs::metadata(&directory).ok()?.uid();
                    let namespace = namespaces::inode_of(CWD, directory.display()).ok();
                    Some(Call { pid, thread, name, uid, closed, namespace })
                })),
                // Only another thread could have closed a descriptor during a call.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && threads.len() > 1 => {
                    self.unread.push(pid);
                    return;
                }
                // It has ended.
                Err(_) => {}
            }
        }
    }

    /// The calls on a descriptor that has been closed, which can be that of the socket of `home`:
    /// they are by its user, or by `members` of the cgroup where it was created.
    pub fn on_closed(&self, socket: &Socket, home: Home, members: Option<&[Pid]>) -> Vec<&Call> {
        let is_near = |call: &Call| call.is_by_user_of(socket) || members.is_some_and(|pids| pids.contains(&call.pid));
        let fits = |call: &&Call| call.closed.is_some() && call.fits(socket, home) && is_near(call);
        self.found.iter().filter(fits).collect()
    }

    /// The calls that may be on the socket, the most probable first: they are by its user, and by
    /// `members` of its cgroup.
    pub fn possible(&self, socket: &Socket, home: Home, members: Option<&[Pid]>) -> Vec<&Call> {
        let is_near = |call: &Call| call.is_by_user_of(socket) && members.is_none_or(|pids| pids.contains(&call.pid));
        let fits = |call: &&Call| call.closed.is_none() && call.fits(socket, home) && is_near(call);
        let mut possible: Vec<&Call> = self.found.iter().filter(fits).collect();
        possible.sort_by_key(|call| call.is_on_many());
        possible
    }
}

impl Call {
    /// Whether such a call can wait on the socket of `home`. Only accept waits on a listener.
    fn fits(&self, socket: &Socket, home: Home) -> bool {
        let is_possible = self.is_on_many() || self.name.starts_with("accept") == (socket.state == State::Listen);
        is_possible && home.may_be(self.namespace)
    }

    fn is_by_user_of(&self, socket: &Socket) -> bool {
        socket.uid == Some(self.uid)
    }

    fn is_on_many(&self) -> bool {
        WITH_MANY.iter().any(|&(_, name)| name == self.name)
    }

    /// `thread 43 is in accept on descriptor 3, which has been closed`.
    pub fn describe(&self) -> String {
        let Self { thread, name, .. } = self;
        match self.closed {
            Some(number) => format!("thread {thread} is in {name} on descriptor {number}, which has been closed"),
            None => format!("thread {thread} is in {name}"),
        }
    }
}

/// Calls with a socket as their first argument.
const WITH_SOCKET: &[(libc::c_long, &str)] = &[
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    (libc::SYS_accept, "accept"),
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_recvmmsg, "recvmmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendmmsg, "sendmmsg"),
];

/// Calls with any file as their first argument.
const WITH_FILE: &[(libc::c_long, &str)] = &[
    (libc::SYS_read, "read"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_sendfile, "sendfile"),
];

/// Calls with descriptors in memory, which is not read. epoll_wait(2) holds none.
const WITH_MANY: &[(libc::c_long, &str)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, "poll"),
    (libc::SYS_ppoll, "ppoll"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_select, "select"),
    (libc::SYS_pselect6, "pselect6"),
];

/// The name of a call, and its descriptor if that has been closed. `None` if it cannot be on a
/// socket that has lost its descriptor.
fn judge(thread: &Path, call: SystemCall, has_others: bool) -> Option<(&'static str, Option<u32>)> {
    // Only another thread can have closed a descriptor that this one has.
    if let Some(name) = name_in(WITH_MANY, call) {
        return has_others.then_some((name, None));
    }
    let on_socket = name_in(WITH_SOCKET, call);
    let name = on_socket.or_else(|| name_in(WITH_FILE, call))?;
    // A descriptor is an int, in a register that is wider.
    #[allow(clippy::cast_possible_truncation)]
    let number = call.first_argument as u32;
    let is_closed = match fs::read_link(thread.join("fd").join(number.to_string())) {
        Ok(link) if parse_socket_link(link.as_os_str().as_encoded_bytes()).is_some() => {
            return has_others.then_some((name, None));
        }
        Ok(_) => on_socket.is_some(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    // The call that was read before may have returned meanwhile.
    let is_still_in_it = is_closed && SystemCall::read(thread).is_ok_and(|now| now == Some(call));
    is_still_in_it.then_some((name, Some(number)))
}

fn name_in(calls: &[(libc::c_long, &'static str)], call: SystemCall) -> Option<&'static str> {
    calls.iter().find(|&&(number, _)| number == call.number).map(|&(_, name)| name)
}
