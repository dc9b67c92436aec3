//! Holders that other tools do not name, or name wrongly.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::common::cgroup::Cgroup;
use crate::common::role::Role;
use crate::common::{NOBODY, has, is_root, json_as_nobody, numbers, owners, port, run};
use crate::scenarios::scenarios;
use crate::scenarios::stage::{Stage, becomes_free, need_root, set_up, wait_until};

scenarios! {
    a_child_inherited_the_listener: rows ["17"], proves ["listener", "inherited-socket"];
    a_vxlan_device: rows ["23"], proves ["kernel-owned"];
    an_mptcp_endpoint: rows ["24"], proves ["kernel-owned"];
    a_descriptor_in_flight: rows ["25"], proves ["descriptor-in-flight"];
    a_file_of_an_io_uring: rows ["26"], proves ["io-uring-descriptor"];
    a_main_thread_that_has_ended: rows ["27"], proves ["thread-owned"];
    a_thread_with_its_own_descriptors: rows ["27"], proves ["thread-owned"];
    a_system_call_in_progress: rows ["25"], proves ["call-in-progress"];
    a_holder_that_may_not_be_looked_into: rows ["28"], proves ["hidden-owner"];
    a_socket_unit: rows ["41"], proves ["socket-activation"];
}

/// A Python program that plays a part which needs special system calls. It prints a line when it is
/// ready.
struct Script {
    child: Child,
    said: String,
}

impl Script {
    fn start(text: &str, arguments: &[&str]) -> Result<Self, String> {
        Self::spawn(Command::new("python3"), text, arguments)
    }

    fn spawn(mut command: Command, text: &str, arguments: &[&str]) -> Result<Self, String> {
        if !has("python3") {
            return Err("no python3".to_owned());
        }
        let child = command.args(["-c", text]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut script = Self { child: child.unwrap(), said: String::new() };
        BufReader::new(script.child.stdout.take().unwrap()).read_line(&mut script.said).unwrap();
        assert!(script.said.ends_with('\n'), "it ended before it was set up");
        match script.said.trim_end().strip_prefix("cannot: ") {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(script),
        }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that leaves its socket to a child. The child is in a new session, so whoever adopts it
/// is in another one.
const HEIR: &str = r#"
import os, socket, subprocess, sys
os.setsid()
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
os.set_inheritable(s.fileno(), True)
child = subprocess.Popen(["sleep", "1000"], close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
os._exit(0)
"#;

fn a_child_inherited_the_listener(stage: &Stage) -> Result<(), String> {
    let server = Script::start(HEIR, &[])?;
    let sleeper: u32 = server.said.trim().parse().unwrap();
    let opener = server.pid();
    drop(server);
    // Its exec may not be done yet, and another process has to adopt it first.
    wait_until("it sleeps", || {
        std::fs::read_to_string(format!("/proc/{sleeper}/comm")).is_ok_and(|name| name.trim() == "sleep")
            && std::fs::read_to_string(format!("/proc/{sleeper}/stat")).is_ok_and(|stat| stat.contains(") S "))
            && !std::path::Path::new(&format!("/proc/{opener}")).exists()
    });
    let look = stage.expect("8080/tcp", "held", &["listener", "inherited-socket"], &[sleeper]);
    assert_eq!(numbers(&look.finding("inherited-socket")["pids"]), [sleeper]);
    look.cure("listener");
    becomes_free("8080/tcp");

    // A daemon whose parent has ended serves its own socket.
    let daemon = "import os, socket\nos.setsid()\nif os.fork(): os._exit(0)\n\
                  s = socket.socket(); s.bind(('127.0.0.1', 8080)); s.listen(); os.set_inheritable(s.fileno(), True)\n\
                  print(os.getpid(), flush=True)\ns.accept()";
    let parent = Script::start(daemon, &[])?;
    let daemon: u32 = parent.said.trim().parse().unwrap();
    drop(parent);
    wait_until("it accepts", || {
        std::fs::read_to_string(format!("/proc/{daemon}/stat")).is_ok_and(|stat| stat.contains(") S "))
    });
    let look = stage.expect("8080/tcp", "held", &["listener"], &[daemon]);
    look.cure("listener");
    becomes_free("8080/tcp");
    Ok(())
}

fn a_vxlan_device(stage: &Stage) -> Result<(), String> {
    set_up("ip link add vx0 type vxlan id 7 dstport 4789 dev lo && ip link set vx0 up")?;
    let look = stage.expect("4789/udp", "held", &["kernel-owned"], &[]);
    let socket = &look.port["sockets"][0];
    assert_eq!((&socket["owners"]["kind"], &socket["kernel_user"]["name"]), (&"kernel".into(), &"vx0".into()));
    assert!(run(&["4789/udp"]).first_line().contains("the vxlan device vx0"));
    stage.expect_as_nobody("4789/udp", "held", &["kernel-owned"]);
    // Regression: a user who could not inspect a server of root beside the device took it for the
    // device.
    set_up("ip link set vx0 down")?;
    let (server, _) = Role::playing("udp 127.0.0.1:4789");
    stage.expect("4789/udp", "held", &["listener"], &[server.pid()]);
    stage.expect_as_nobody("4789/udp", "held", &["hidden-owner"]);
    drop(server);
    set_up("ip link set vx0 up")?;
    look.cure("kernel-owned");
    becomes_free("4789/udp");
    Ok(())
}

fn an_mptcp_endpoint(stage: &Stage) -> Result<(), String> {
    // Only root in the machine can make endpoints.
    need_root()?;
    set_up("ip mptcp endpoint add 127.0.0.2 port 9000 signal")?;
    let look = stage.expect("9000/tcp", "held", &["kernel-owned", "wildcard-overlap"], &[]);
    assert_eq!((look.bind("127.0.0.1"), look.bind("0.0.0.0"), look.bind("::")), ("ok", "in-use", "in-use"));
    assert_eq!(look.port["sockets"][0]["kernel_user"]["kind"], "mptcp-endpoint");
    stage.expect_as_nobody("9000/tcp", "held", &["kernel-owned", "wildcard-overlap"]);
    look.cure("kernel-owned");
    becomes_free("9000/tcp");
    Ok(())
}

/// A process that has sent its listener to itself, and not received it.
const IN_FLIGHT: &str = r#"
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
here, there = socket.socketpair()
socket.send_fds(here, [b"x"], [s.fileno()])
s.close(); print("set", flush=True); sys.stdin.read()
"#;

fn a_descriptor_in_flight(stage: &Stage) -> Result<(), String> {
    let carrier = Script::start(IN_FLIGHT, &[])?;
    let look = stage.expect("8080/tcp", "held", &["descriptor-in-flight"], &[carrier.pid()]);
    let owners = &look.port["sockets"][0]["owners"];
    assert_eq!((&owners["kind"], &owners["via"]), (&"likely".into(), &"unix-queue".into()));
    assert_eq!(look.commands("descriptor-in-flight"), [""; 0], "nobody is to be killed who is only likely to have it");
    drop(carrier);
    becomes_free("8080/tcp");
    Ok(())
}

/// A process that has closed its socket while a thread is in a system call on it. Then the
/// descriptor stays closed, becomes a file, or becomes another socket.
const IN_A_CALL: &str = r#"
import os, select, socket, sys, threading
protocol, call, then = sys.argv[1:]
kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
s = socket.socket(type=kind); s.bind(("127.0.0.1", 8080))
if protocol == "tcp": s.listen()
def poll():
    poller = select.poll(); poller.register(s.fileno(), select.POLLIN); poller.poll()
thread = threading.Thread(target={"accept": s.accept, "recv": lambda: s.recv(1), "poll": poll}[call], daemon=True)
thread.start()
state = lambda: open(f"/proc/self/task/{thread.native_id}/stat").read().rsplit(")", 1)[1].split()[0]
wchan = lambda: open(f"/proc/self/task/{thread.native_id}/wchan").read()
while state() != "S" or "futex" in wchan(): pass
number = s.fileno()
other = socket.socket() if then == "another-socket" else open("/dev/null")
os.close(number) if then == "closed" else os.dup2(other.fileno(), number)
print(thread.native_id, flush=True); sys.stdin.read()
"#;

fn a_system_call_in_progress(stage: &Stage) -> Result<(), String> {
    for (protocol, call, then) in [
        ("tcp", "accept", "closed"),
        ("tcp", "accept", "a-file"),
        ("tcp", "accept", "another-socket"),
        ("udp", "recv", "closed"),
        ("udp", "poll", "closed"),
        ("tcp", "poll", "closed"),
    ] {
        let server = Script::start(IN_A_CALL, &[protocol, call, then])?;
        let target = format!("8080/{protocol}");
        let look = stage.look(&[&target]);
        let is_on_many = call == "poll" || then == "another-socket";
        if is_on_many && look.misses("unreadable-processes") {
            // Such a call is no evidence against a process that could not be inspected.
            look.says("held", &["hidden-owner"]);
            drop(server);
            becomes_free(&target);
            continue;
        }
        look.says("held", &["call-in-progress"]);
        let owners = &look.port["sockets"][0]["owners"];
        assert_eq!((&owners["kind"], &owners["via"]), (&"likely".into(), &"system-call".into()));
        let thread = server.said.trim();
        assert!(owners["reason"].as_str().unwrap().contains(&format!("thread {thread} is in {call}")), "{owners:#}");
        let pids = numbers(&owners["pids"]);
        if is_on_many {
            // Other threads may be in such a call, too.
            assert!(pids.contains(&server.pid()), "{owners:#}");
        } else {
            assert_eq!(pids, [server.pid()], "{owners:#}");
            assert_eq!(look.finding("call-in-progress")["details"]["tid"].to_string(), thread);
        }
        assert_eq!(look.commands("call-in-progress"), [""; 0], "nobody is to be killed who is only likely to have it");
        drop(server);
        becomes_free(&target);
    }
    // Beside threads that wait for other sockets, beside the same in another network namespace, and
    // as the ordinary user of the process.
    let (_other, _) = Role::playing("accept 127.0.0.1:8081");
    let mut away = Command::new("unshare");
    away.args(["-n", "sh", "-c", "ip link set lo up && exec python3 \"$@\"", "sh"]);
    let _away = Script::spawn(away, IN_A_CALL, &["tcp", "accept", "closed"])?;
    let server = Script::start(IN_A_CALL, &["tcp", "accept", "closed"])?;
    stage.expect("8080/tcp", "held", &["call-in-progress"], &[server.pid()]);
    drop(server);
    if is_root() {
        let mut python = Command::new("setpriv");
        python.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3"]).current_dir("/");
        let server = Script::spawn(python, IN_A_CALL, &["tcp", "accept", "closed"])?;
        stage.look_as_nobody(&["8080/tcp"]).is("held", &["call-in-progress"], &[server.pid()]);
        // It is not taken for a socket of another user whose processes could not be inspected.
        let (_hidden, _) = Role::playing("listen 127.0.0.1:8082");
        let answer = json_as_nobody(&["8080/tcp", "8082/tcp"]);
        assert_eq!(owners(port(&answer, 8080, "tcp")), [server.pid()]);
        assert!(!owners(port(&answer, 8082, "tcp")).contains(&server.pid()), "{answer:#}");
    }
    Ok(())
}

/// A process that has registered its listener with an io_uring, and closed the descriptor.
const IO_URING: &str = r#"
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
SETUP, REGISTER, REGISTER_FILES = 425, 427, 2
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
ring = libc.syscall(SETUP, 4, ctypes.create_string_buffer(120))
files = (ctypes.c_int * 1)(s.fileno())
if ring < 0 or libc.syscall(REGISTER, ring, REGISTER_FILES, files, 1) < 0:
    print("cannot: io_uring:", os.strerror(ctypes.get_errno()), flush=True); sys.exit()
s.close(); print("set", flush=True); sys.stdin.read()
"#;

fn a_file_of_an_io_uring(stage: &Stage) -> Result<(), String> {
    let server = Script::start(IO_URING, &[])?;
    let look = stage.expect("8080/tcp", "held", &["io-uring-descriptor"], &[server.pid()]);
    let owners = &look.port["sockets"][0]["owners"];
    assert_eq!((&owners["kind"], &owners["via"]), (&"known".into(), &"io-uring".into()));
    look.cure("io-uring-descriptor");
    becomes_free("8080/tcp");
    Ok(())
}

/// A process whose main thread ends, while another thread has the socket.
const MAIN_THREAD_ENDS: &str = r#"
import ctypes, platform, socket, sys, threading, time
libc = ctypes.CDLL(None)
EXIT = {"x86_64": 60, "aarch64": 93}[platform.machine()]
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
main_ended = threading.Event()
def other():
    stat = lambda: open("/proc/self/stat").read().rsplit(")", 1)[1].split()[0]
    while stat() != "Z": pass
    print(threading.get_native_id(), flush=True)
    s.accept()
threading.Thread(target=other).start()
libc.syscall(EXIT, 0)
"#;

fn a_main_thread_that_has_ended(stage: &Stage) -> Result<(), String> {
    let server = Script::start(MAIN_THREAD_ENDS, &[])?;
    thread_owned(stage, &server)
}

/// A thread that leaves the common descriptor table and takes the socket with it.
const OWN_TABLE: &str = r#"
import ctypes, os, socket, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
CLONE_FILES = 0x400
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
left, closed = threading.Event(), threading.Event()
def other():
    if libc.unshare(CLONE_FILES): print("cannot: unshare:", os.strerror(ctypes.get_errno()), flush=True)
    left.set(); closed.wait()
    print(threading.get_native_id(), flush=True)
    s2.accept()
s2 = socket.socket(fileno=s.detach())
threading.Thread(target=other).start()
left.wait(); os.close(s2.fileno()); closed.set()
"#;

fn a_thread_with_its_own_descriptors(stage: &Stage) -> Result<(), String> {
    let server = Script::start(OWN_TABLE, &[])?;
    thread_owned(stage, &server)
}

fn thread_owned(stage: &Stage, server: &Script) -> Result<(), String> {
    let look = stage.expect("8080/tcp", "held", &["listener", "thread-owned"], &[server.pid()]);
    assert_eq!(look.finding("thread-owned")["details"]["tid"].to_string(), server.said.trim());
    assert_eq!(look.port["sockets"][0]["owners"]["via"], "thread");
    look.cure("listener");
    becomes_free("8080/tcp");
    Ok(())
}

fn a_holder_that_may_not_be_looked_into(stage: &Stage) -> Result<(), String> {
    need_root()?;
    let (_server, _) = Role::playing("listen 127.0.0.1:8080");
    let look = stage.look_as_nobody(&["8080/tcp"]);
    look.says("held", &["hidden-owner"]);
    assert_eq!(look.port["sockets"][0]["uid"], 0);
    assert!(look.commands("hidden-owner")[0].starts_with("sudo "), "what would show it: {:#}", look.port);

    // In a cgroup of its own, it can be deduced.
    let id = "8f3a0c1d2e4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeee";
    let cgroup = Cgroup::make(&format!("/docker/{id}"))?;
    let mut role = Role::start("listen 127.0.0.1:8081");
    cgroup.add(role.pid());
    role.go();
    let look = stage.look_as_nobody(&["8081/tcp"]);
    look.is("held", &["hidden-owner"], &[role.pid()]);
    assert_eq!(look.port["sockets"][0]["owners"]["kind"], "likely");
    assert!(look.commands("hidden-owner").contains(&"docker stop 8f3a0c1d2e4b"), "{:#}", look.port);

    // In another pid namespace even root does not see it.
    let mut command = Command::new("unshare");
    command.args(["-p", "-f", "--mount-proc", env!("CARGO_BIN_EXE_portcheck"), "8080/tcp", "--json"]);
    let look = stage.note(crate::common::json_of(command));
    look.is("held", &["hidden-owner"], &[]);
    assert!(look.answer["gaps"].as_array().unwrap().iter().any(|gap| gap["code"] == "pid-namespace"));

    // A process that has made itself non-dumpable cannot be inspected by its own user.
    assert!(is_root() && NOBODY > 0);
    let private = "import ctypes, socket, sys\n\
                   s = socket.socket(); s.bind(('127.0.0.1', 8082)); s.listen()\n\
                   ctypes.CDLL(None).prctl(4, 0); print('set', flush=True); sys.stdin.read()";
    let mut python = Command::new("setpriv");
    python.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3"]).current_dir("/");
    let _private = Script::spawn(python, private, &[])?;
    stage.look_as_nobody(&["8082/tcp"]).says("held", &["hidden-owner"]);
    Ok(())
}

/// Process 1 of a pid namespace, with the name of systemd and a socket unit for the port. It runs
/// its other arguments, and prints their output.
const SYSTEMD: &str = r#"
import ctypes, os, socket, subprocess, sys
PR_SET_NAME = 15
ctypes.CDLL(None).prctl(PR_SET_NAME, b"systemd")
os.makedirs("/run/systemd/system")
with open("/run/systemd/system/portcheck-test.socket", "w") as unit:
    unit.write("[Socket]\nListenStream=127.0.0.1:8080\n")
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"#;

fn a_socket_unit(stage: &Stage) -> Result<(), String> {
    need_root()?;
    if !has("python3") {
        return Err("no python3".to_owned());
    }
    // Most tests run without systemd, so a process that the kernel calls systemd stands in. Its
    // remedy, systemctl, has nobody to talk to and is not run.
    let mut command = Command::new("unshare");
    command.args(["-p", "-f", "-m", "--mount-proc", "sh", "-c", "mount -t tmpfs none /run && exec \"$@\"", "sh"]);
    command.args(["python3", "-c", SYSTEMD, env!("CARGO_BIN_EXE_portcheck"), "8080/tcp", "--json"]);
    let look = stage.note(crate::common::json_of(command));
    look.is("held", &["listener", "socket-activation"], &[1]);
    assert_eq!(
        look.port["sockets"][0]["socket_unit"],
        serde_json::json!({
            "name": "portcheck-test.socket",
            "manager": "system",
            "files": ["/run/systemd/system/portcheck-test.socket"],
        })
    );
    assert_eq!(look.commands("socket-activation"), ["sudo systemctl stop -- portcheck-test.socket"]);
    assert_eq!(look.commands("listener"), [""; 0], "nobody is to kill process 1");
    Ok(())
}
