//! Real servers: starting them, waiting until they serve, ending them. Also asks the kernel's text
//! files who holds a port, as a second opinion.

use std::collections::BTreeSet;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::{is_root, skip};

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often to check what no event reports.
const POLL: Duration = Duration::from_millis(5);

/// The path of a program. Servers are not always in an ordinary user's `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// sshd, ssh-keygen and ssh. `None`, said aloud, where they are not there, or sshd cannot have a
/// `/run` of its own.
pub fn ssh_programs() -> Option<[PathBuf; 3]> {
    let (Some(sshd), Some(keygen), Some(ssh)) = (program("sshd"), program("ssh-keygen"), program("ssh")) else {
        skip("no ssh");
        return None;
    };
    if !is_root() {
        skip("only root can run sshd with a /run of its own");
        return None;
    }
    Some([sshd, keygen, ssh])
}

/// A program that starts with a `/run` of its own, empty except for `directories`. Its mounts end
/// with it.
pub fn with_own_run(program: &Path, directories: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let make = "mount -t tmpfs -o mode=755 tmpfs /run && cd /run && for made in $1; do mkdir -m 755 \"$made\"; done";
    command.args(["-m", "--", "sh", "-c", &format!("{make}; shift; cd / && exec \"$@\""), "sh"]);
    command.arg(directories.join(" ")).arg(program);
    command
}

/// A running server. When dropped, it is asked to end, with the processes it started, and killed if
/// it does not.
#[derive(Debug)]
pub struct Server {
    child: Child,
    output: PipeReader,
    said: String,
}

impl Server {
    /// Starts a server that reports when it is ready: by printing `ready`, `times` times.
    pub fn start(mut command: Command, ready: &str, times: usize) -> Self {
        let (output, writer) = std::io::pipe().unwrap();
        command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = command.spawn().unwrap();
        // Its copies of the pipe would hide the end of the server's output.
        drop(command);
        let mut server = Self { child, output, said: String::new() };
        let deadline = Instant::now() + PATIENCE;
        while server.said.matches(ready).count() < times {
            server.listen(deadline);
        }
        server
    }

    fn listen(&mut self, deadline: Instant) {
        let mut buffer = [0; 4096];
        assert!(is_ready(&self.output, deadline), "not ready in time: {}", self.said);
        let length = self.output.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "it ended: {}", self.said);
        self.said.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        // Nobody has waited for it yet, so the id is still its own.
        let _ = kill_process(pid, Signal::TERM);
        let has_ended = pidfd_open(pid, PidfdFlags::empty()).is_ok_and(|pid| is_ready(pid, Instant::now() + PATIENCE));
        if !has_ended {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Waits until a pipe can be read, or a process has ended.
fn is_ready(descriptor: impl AsFd, deadline: Instant) -> bool {
    let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&left)).unwrap() > 0
}

/// Waits for what no event reports. Connecting would not do to find out whether a server listens:
/// many servers fork for a connection, and the child has the listening socket for a while.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(POLL);
    }
}

/// The children of a process, ascending.
pub fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let mut pids: Vec<u32> = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    pids.sort_unstable();
    pids
}

/// Every process that has a TCP socket open which listens on `port` in our network namespace,
/// ascending. Reads /proc/net and /proc/PID/fd; only root can read them for all processes.
pub fn holders(port: u16) -> Vec<u32> {
    const LISTEN: &str = "0A";
    let mut links = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap();
        for line in text.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[1].ends_with(&format!(":{port:04X}")) && fields[3] == LISTEN {
                links.insert(PathBuf::from(format!("socket:[{}]", fields[9])));
            }
        }
    }
    if links.is_empty() {
        return Vec::new();
    }
    let has_one = |pid: &u32| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|link| links.contains(&link))
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut holders: Vec<u32> = pids.filter(has_one).collect();
    holders.sort_unstable();
    holders
}
