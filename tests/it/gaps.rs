//! Each gap: reported where something cannot be seen, and not elsewhere.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::lease::{Leases, pick_one};
use crate::common::role::Role;
use crate::common::seccomp::portcheck_without;
use crate::common::{has, in_namespace, is_root, json, json_of, port, portcheck, portcheck_as_nobody, skip};

const AF_UNIX: &str = "socket=1";
const AF_NETLINK: &str = "socket=16";

/// The codes of the gaps, without those that depend on the kernel's release.
fn gaps(answer: &Value) -> Vec<&str> {
    let is_of_the_kernel = |code: &&str| *code == "bound-sockets-unlisted" && !is_kernel_new();
    let codes = answer["gaps"].as_array().unwrap().iter().map(|gap| gap["code"].as_str().unwrap());
    // The firewall is missed wherever an ordinary user asks: tests/it/firewall.rs proves it.
    codes.filter(|code| !is_of_the_kernel(code) && *code != "firewall-unread").collect()
}

/// Whether the kernel certainly lists sockets that are bound without listening.
fn is_kernel_new() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(8))
}

/// The same command as process 1 of a pid namespace, which can inspect all processes in it.
fn in_a_pid_namespace(command: &Command) -> Command {
    let mut inside = Command::new("unshare");
    inside.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    inside.arg(command.get_program()).args(command.get_args());
    inside
}

/// Runs the command after `preparation` has changed the mounts.
pub fn after(preparation: &str, command: &Command) -> Command {
    let mut inside = Command::new("unshare");
    inside.args(["-m", "sh", "-c", &format!("{preparation} && exec \"$@\""), "sh"]);
    inside.arg(command.get_program()).args(command.get_args());
    inside
}

fn asking(arguments: &[&str]) -> Command {
    portcheck(&[arguments, &["--json"]].concat())
}

fn as_nobody(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(portcheck_as_nobody(&[]).get_program()).args(arguments).arg("--json");
    command
}

#[test]
fn who_sees_all_has_no_gap() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to see all");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        for arguments in [&["8080"][..], &["8081"], &[], &["--all"], &["8080", "--no-probe"]] {
            let answer = json_of(in_a_pid_namespace(&asking(arguments)));
            assert!(gaps(&answer).iter().all(|&code| code == "pid-namespace"), "{arguments:?}: {answer:#}");
        }
        // The holder is outside.
        assert_eq!(gaps(&json_of(in_a_pid_namespace(&asking(&["8080"])))), ["pid-namespace"]);
        assert_eq!(gaps(&json_of(in_a_pid_namespace(&asking(&["8081"])))), [""; 0], "no socket, so none to own");
        if std::fs::read_link("/proc/self/ns/pid").unwrap() == Path::new("pid:[4026531836]") {
            assert!(!gaps(&json(&["8080"])).contains(&"pid-namespace"));
        }
    });
}

/// Regression: an empty /proc was called hidepid.
#[test]
fn a_proc_that_is_not_mounted_does_not_hide_others() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to mount");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        for asked in [asking(&["8080/tcp"]), as_nobody(&["8080/tcp"]), asking(&["8080/tcp", "--quick"])] {
            let answer = json_of(after("mount -t tmpfs -o mode=755 none /proc", &asked));
            assert_eq!(gaps(&answer), ["no-proc"], "{answer:#}");
            let gap = &answer["gaps"][0];
            assert_eq!((gap["hides"].as_str(), gap["root_would_see"].as_bool()), (Some("owners"), Some(false)));
            assert!(gap["summary"].as_str().unwrap().contains("/proc"), "{gap}");
            let owners = &port(&answer, 8080, "tcp")["sockets"][0]["owners"];
            assert_eq!(owners["reason"], "no process can be inspected here");
        }
        let hidden = json_of(after("mount -t proc -o hidepid=2 none /proc", &as_nobody(&["8080/tcp"])));
        assert!(gaps(&hidden).contains(&"invisible-processes") && !gaps(&hidden).contains(&"no-proc"), "{hidden:#}");
        let owners = &port(&hidden, 8080, "tcp")["sockets"][0]["owners"];
        assert!(owners["reason"].as_str().unwrap().contains("hidepid"), "{owners}");
        let root = json_of(after("mount -t proc -o hidepid=2 none /proc", &asking(&["8080/tcp"])));
        assert!(!gaps(&root).contains(&"invisible-processes"), "root sees all: {root:#}");
    });
}

#[test]
fn root_is_promised_only_to_others() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let would_see = |answer: &Value| -> Vec<bool> {
            let gaps = answer["gaps"].as_array().unwrap();
            gaps.iter().filter(|gap| gap["hides"] == "owners").map(|gap| gap["root_would_see"] == true).collect()
        };
        for backend in ["native", "portable"] {
            let arguments = ["8080/tcp", "--backend", backend];
            assert_eq!(would_see(&json_of(as_nobody(&arguments))), [true], "{backend}");
            let outside = json_of(in_a_pid_namespace(&asking(&arguments)));
            assert_eq!(would_see(&outside), [false], "{backend}: {outside:#}");
        }
    });
}

#[test]
fn leases_are_unread_only_if_there_are_some() {
    in_namespace(|| {
        let _leases = Leases;
        let without = |refused: &str, target: &str| portcheck_without(refused, &[target]).map(json_of);
        let Some(none) = without(AF_UNIX, "8083") else { return };
        assert!(!gaps(&none).contains(&"leases-unread"), "{none:#}");
        let picked = pick_one(&["--prefer", "8083"]).to_string();
        let unread = without(AF_UNIX, &picked).unwrap();
        assert!(gaps(&unread).contains(&"leases-unread"), "{unread:#}");
        // The text has their names, too.
        for read in [json(&[&picked]), without(AF_NETLINK, &picked).unwrap()] {
            assert!(!gaps(&read).contains(&"leases-unread"), "{read:#}");
        }
    });
}

#[test]
fn netlink_is_missed_only_where_it_is_refused() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to see all");
        }
        let Some(refused) = portcheck_without(AF_NETLINK, &["8080"]) else { return };
        let refused = json_of(in_a_pid_namespace(&refused));
        let expected = ["netlink-unavailable", "bound-sockets-unlisted"];
        assert!(expected.iter().all(|code| gaps(&refused).contains(code)), "{refused:#}");
        // Nothing is said of IPv6: the text has a table of it.
        assert_eq!(gaps(&refused).len(), expected.len(), "{refused:#}");
    });
}

/// Runs its other arguments where reading a directory, the first argument, never ends: it is a FUSE
/// file system that nobody serves.
const NEVER_ENDS: &str = "
import ctypes, os, subprocess, sys
fuse = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
assert ctypes.CDLL(None).mount(b'nobody', sys.argv[1].encode(), b'fuse', 0, options) == 0
sys.exit(subprocess.run(sys.argv[2:], timeout=60).returncode)
";

#[test]
fn unit_files_are_late_only_if_their_directory_does_not_answer() {
    in_namespace(|| {
        if !is_root() || !Path::new("/usr/lib/systemd").is_dir() || !has("python3") {
            return skip("needs root to mount, a directory of systemd, and python3");
        }
        // A service manager is recognised by its program file.
        let mut manager = Command::new("unshare");
        let script = "mount -t tmpfs -o mode=755 none /usr/lib/systemd && cp \"$1\" /usr/lib/systemd/systemd && shift && \
                      exec /usr/lib/systemd/systemd \"$@\"";
        manager.args(["-m", "sh", "-c", script, "sh"]).arg(std::env::current_exe().unwrap());
        let mut role = Role::spawn(manager, "listen 127.0.0.1:8080");
        role.go();
        let asked = asking(&["8080/tcp"]);
        let units = "mount -t tmpfs none /etc/systemd && mkdir -p /etc/systemd/user /etc/systemd/system";
        let answers = json_of(after(units, &asked));
        assert!(!gaps(&answers).contains(&"unit-files-late"), "{answers:#}");
        if !Path::new("/dev/fuse").exists() {
            return skip("no FUSE");
        }
        let mut command = Command::new("python3");
        command.args(["-c", NEVER_ENDS, "/etc/systemd/user"]).arg(asked.get_program()).args(asked.get_args());
        let late = json_of(after(units, &command));
        assert!(gaps(&late).contains(&"unit-files-late"), "{late:#}");
        assert_eq!(port(&late, 8080, "tcp")["status"], "held");
    });
}

#[test]
fn tables_are_unread_only_without_netlink_and_proc() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to mount");
        }
        let _leases = Leases;
        let Some(without_netlink) = portcheck_without(AF_NETLINK, &["--free"]) else { return };
        let unread = json_of(after("mount -t tmpfs none /proc", &without_netlink));
        assert_eq!(gaps(&unread), ["tables-unread"], "{unread:#}");
        assert!(!gaps(&json_of(without_netlink)).contains(&"tables-unread"), "the text can be read");
        assert!(!gaps(&json_of(after("mount -t tmpfs none /proc", &asking(&["--free"])))).contains(&"tables-unread"));
        assert_eq!(gaps(&json(&["--free"])), [""; 0]);
    });
}
