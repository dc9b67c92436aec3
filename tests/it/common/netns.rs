//! Network namespaces that a test makes besides its own, removed when dropped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::role::Role;
use super::{is_root, skip};

/// A namespace of `ip netns`. Its name is nobody else's.
#[derive(Debug)]
pub struct Netns {
    pub name: String,
}

impl Netns {
    /// `None`, said aloud, where none can be made.
    pub fn add() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            skip("ip netns needs root");
            return None;
        }
        let name = format!("pctest-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let ip = |arguments: &[&str]| Command::new("ip").args(arguments).status().is_ok_and(|status| status.success());
        if !ip(&["netns", "add", &name]) {
            skip("no ip netns");
            return None;
        }
        let netns = Self { name };
        assert!(ip(&["-n", &netns.name, "link", "set", "lo", "up"]));
        Some(netns)
    }

    /// The file that keeps it.
    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// What identifies it.
    pub fn inode(&self) -> u64 {
        inode(&self.path())
    }

    /// Lets a role play in there. The id is that of the role itself.
    pub fn playing(&self, part: &str) -> Role {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(std::env::current_exe().unwrap());
        let mut role = Role::spawn(command, part);
        role.go();
        role
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// The inode of a namespace, from its file.
pub fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().ino()
}

/// Makes `$1` processes, each in a namespace of its own and with a listener on 127.0.0.1 for each of the ports that follow.
/// Says the id of each, and ends them when its standard input ends.
const CROWD: &str = "
import ctypes, os, signal, socket, sys
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
count, ports = int(sys.argv[1]), [int(port) for port in sys.argv[2:]]
children = []
for _ in range(count):
    done, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        if libc.unshare(CLONE_NEWNET) != 0: os._exit(1)
        sockets = []
        for port in ports:
            listener = socket.socket()
            # Without an interface that is up only the wildcard can be bound.
            listener.bind(('0.0.0.0', port))
            listener.listen()
            sockets.append(listener)
        os.write(ready, b'x')
        signal.pause()
    os.close(ready)
    if os.read(done, 1) != b'x': sys.exit('no namespace')
    os.close(done)
    children.append(pid)
print(*children, flush=True)
sys.stdin.read()
for pid in children: os.kill(pid, signal.SIGKILL)
for pid in children: os.waitpid(pid, 0)
";

/// Many namespaces with a process and some listeners in each.
#[derive(Debug)]
pub struct Crowd {
    child: Child,
    pub pids: Vec<u32>,
}

impl Crowd {
    /// `None`, said aloud, where that is not possible.
    pub fn gather(count: usize, ports: &[u16]) -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", CROWD, &count.to_string()]).args(ports.iter().map(ToString::to_string));
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = spawned else {
            skip("no python3");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pids: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(pids.len(), count, "{line}");
        Some(Self { child, pids })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
