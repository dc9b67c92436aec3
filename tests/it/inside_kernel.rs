//! Where many files are open, root finds holders inside the kernel, and by a sweep of /proc where
//! that is not possible. Both say the same.
//!
//! An empty directory over /proc/PID/fd tells them apart: the sweep finds no descriptor there, only
//! that a thread of the process has the socket.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use crate::common::role::Role;
use crate::common::seccomp::portcheck_without;
use crate::common::server::until;
use crate::common::{NOBODY, Run, has, in_namespace, is_root, json_as_nobody, json_of, owners, port, portcheck, skip};
use crate::gaps::after;

/// From so many open files on, the kernel is asked.
const MANY: usize = 4_000;

/// As many files as it takes. `None`, said aloud, where the kernel cannot be asked.
fn many_files() -> Option<Vec<File>> {
    let is_first_namespace = || std::fs::read_link("/proc/self/ns/pid").unwrap() == Path::new("pid:[4026531836]");
    if !is_root() || !is_first_namespace() || !Path::new("/sys/kernel/btf/vmlinux").exists() || !may_load_programs() {
        skip("needs root in the first pid namespace, the kernel's types, and the right to load programs");
        return None;
    }
    let limit = Some(2 * MANY as u64);
    let maximum = getrlimit(Resource::Nofile).maximum.max(limit);
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum }).unwrap();
    Some((0..MANY).map(|_| File::open("/dev/null").unwrap()).collect())
}

/// CAP_SYS_PTRACE, CAP_PERFMON and CAP_BPF, and no seccomp filter.
fn may_load_programs() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let sets = value("CapEff:").and_then(|sets| u64::from_str_radix(sets, 16).ok()).unwrap_or(0);
    [19, 38, 39].iter().all(|capability| sets >> capability & 1 == 1) && value("Seccomp:") == Some("0")
}

/// A command that asks who holds the port 8080.
fn asking() -> Command {
    portcheck(&["8080/tcp", "--json"])
}

/// The command, where the sweep finds no descriptor of the process.
fn unswept(pid: u32, command: &Command) -> Command {
    let empty = "empty=$(mktemp -d) && mount -t tmpfs tmpfs \"$empty\"";
    after(&format!("{empty} && mount --move \"$empty\" /proc/{pid}/fd && rmdir \"$empty\""), command)
}

/// A command that asks the same, where the kernel's types are what the shell command prints.
fn with_types(command: &str) -> Command {
    let file = "file=$(mktemp)";
    let cover = "mount --bind \"$file\" /sys/kernel/btf/vmlinux && rm \"$file\"";
    after(&format!("{file} && {command} >\"$file\" && {cover}"), &asking())
}

fn owners_of_8080(command: Command) -> Value {
    port(&json_of(command), 8080, "tcp")["sockets"][0]["owners"].clone()
}

#[test]
fn with_many_open_files_root_asks_the_kernel() {
    in_namespace(|| {
        let Some(_files) = many_files() else { return };
        let (holder, _) = Role::playing("listen 127.0.0.1:8080");
        let told = owners_of_8080(unswept(holder.pid(), &asking()));
        assert_eq!(told["pids"], serde_json::json!([holder.pid()]), "{told:#}");
        assert_eq!(told, owners_of_8080(asking()), "with the same descriptors");
        // As before Linux 6.2, where the kernel shows each descriptor to a smaller program.
        let older = with_types("sed s/bpf_rdonly_cast/bpf_rdonly_life/g /sys/kernel/btf/vmlinux");
        assert_eq!(told, owners_of_8080(unswept(holder.pid(), &older)), "by the older way");
        for all in [&[][..], &["-A"]] {
            let listed = json_of(unswept(holder.pid(), &portcheck(&[&["--json"], all].concat())));
            let mut sockets =
                listed["ports"].as_array().unwrap().iter().flat_map(|port| port["sockets"].as_array().unwrap());
            assert!(sockets.any(|socket| socket["owners"] == told), "{all:?}: {listed:#}");
        }
    });
}

/// Each way in which the kernel may refuse, the files that it needs may be missing, or it cannot
/// know who is meant.
#[test]
fn where_the_kernel_cannot_be_asked_the_sweep_says_the_same() {
    in_namespace(|| {
        let Some(_files) = many_files() else { return };
        let (holder, _) = Role::playing("listen 127.0.0.1:8080");
        let told = owners_of_8080(asking());
        assert_eq!(told["pids"], serde_json::json!([holder.pid()]), "{told:#}");
        let without = |capabilities: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set", capabilities]).arg(asking().get_program()).args(asking().get_args());
            command
        };
        let hidden = after("mount -t tmpfs tmpfs /sys/kernel/btf", &asking());
        let btf = "/sys/kernel/btf/vmlinux";
        let ways = [
            ("no right to load programs", without("-bpf,-sys_admin")),
            ("no right to read the kernel", without("-perfmon,-sys_admin")),
            ("no types", hidden),
            ("other types", with_types("echo types")),
            ("types that end early", with_types(&format!("head -c 3000000 {btf}"))),
            ("too many types", with_types("head -c 20000000 /dev/zero")),
            // Structures and the iterator under other names.
            ("other structures", with_types(&format!("sed s/f_inode/g_inode/ {btf}"))),
            ("no iterator", with_types(&format!("sed s/bpf_iter_task_file/bpf_iter_task_life/g {btf}"))),
        ];
        let refused = portcheck_without("bpf", &["8080/tcp"]).map(|command| ("a filter", command));
        for (what, command) in ways.into_iter().chain(refused) {
            let swept = owners_of_8080(unswept(holder.pid(), &command));
            assert_eq!(swept["descriptors"], serde_json::json!([]), "{what}: it was no sweep");
            assert_eq!(owners_of_8080(command), told, "{what}");
        }
        // Who may not inspect everybody is told so, as before.
        let told = owners_of_8080(without("-sys_ptrace"));
        assert_eq!((&told["kind"], &told["pids"]), (&serde_json::json!("hidden"), &serde_json::json!([])), "{told:#}");
    });
}

/// From a pid namespace of its own, the kernel would tell numbers of another one.
#[test]
fn in_another_pid_namespace_the_sweep_is_used() {
    in_namespace(|| {
        let Some(_files) = many_files() else { return };
        let (holder, _) = Role::playing("listen 127.0.0.1:8080");
        for mount in [&[][..], &["--mount-proc"]] {
            let mut inside = Command::new("unshare");
            inside.args(["--pid", "--fork", "--kill-child"]).args(mount);
            inside.arg(asking().get_program()).args(asking().get_args());
            let told = owners_of_8080(unswept(holder.pid(), &inside));
            assert_eq!(told["descriptors"], serde_json::json!([]), "{mount:?}: {told:#}");
        }
    });
}

#[test]
fn an_ordinary_user_is_told_as_much_as_before() {
    in_namespace(|| {
        let Some(_files) = many_files() else { return };
        let (holder, _) = Role::playing_as_user(NOBODY, "listen 127.0.0.1:8080");
        let (_other, _) = Role::playing("listen 127.0.0.1:8081");
        assert_eq!(owners(port(&json_as_nobody(&["8080/tcp"]), 8080, "tcp")), [holder.pid()]);
        assert_eq!(owners(port(&json_as_nobody(&["8081/tcp"]), 8081, "tcp")), [0; 0]);
    });
}

/// Prints the id of each program, link and map that the kernel has.
const IDS: &str = "
import ctypes, platform, struct
bpf, libc = {'x86_64': 321, 'aarch64': 280}[platform.machine()], ctypes.CDLL(None)
for kind, command in ('program', 11), ('map', 12), ('link', 31):
    attributes = ctypes.create_string_buffer(128)
    while libc.syscall(bpf, command, attributes, 128) == 0:
        id = struct.unpack_from('I', attributes, 4)[0]
        print(kind, id)
        struct.pack_into('I', attributes, 0, id)
";

fn objects() -> BTreeSet<String> {
    let output = Run::from(Command::new("python3").args(["-c", IDS]).output().unwrap());
    output.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn nothing_is_left_in_the_kernel() {
    in_namespace(|| {
        let Some(_files) = many_files() else { return };
        if !has("python3") || !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            return skip("no python3 to list what the kernel has loaded");
        }
        let (holder, _) = Role::playing("listen 127.0.0.1:8080");
        let before = objects();
        for _ in 0..5 {
            assert_eq!(owners_of_8080(unswept(holder.pid(), &asking()))["via"], "descriptor");
        }
        // The kernel forgets a program a moment after its last user. Others may load some meanwhile.
        let mut left: BTreeSet<String> = objects().difference(&before).cloned().collect();
        until("nothing is left", || {
            left = left.intersection(&objects()).cloned().collect();
            left.is_empty()
        });
    });
}
