//! Where things are taken away: no netlink, no /proc, hardly any descriptors, a hidden /proc, no IPv6.

mod common;

use std::net::TcpListener;
use std::process::Command;

use common::role::bound;
use common::{codes, has, in_namespace, is_root, json, json_of, owners, port, portcheck, portcheck_as_nobody, skip};
use serde_json::json as value;

/// Runs its arguments where socket(AF_NETLINK, …) fails with EPERM: a seccomp filter (seccomp(2)) by hand, since no tool
/// that is installed everywhere makes one.
const WITHOUT_NETLINK: &str = r#"
import ctypes, os, platform, struct, sys
arch, nr_socket = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}[platform.machine()]
AF_NETLINK, EPERM = 16, 1
code = [
    (0x20, 0, 0, 4),                     # load the architecture
    (0x15, 0, 5, arch),
    (0x20, 0, 0, 0),                     # load the number of the call
    (0x15, 0, 3, nr_socket),
    (0x20, 0, 0, 16),                    # load its first argument
    (0x15, 0, 1, AF_NETLINK),
    (0x06, 0, 0, 0x00050000 | EPERM),    # SECCOMP_RET_ERRNO
    (0x06, 0, 0, 0x7FFF0000),            # SECCOMP_RET_ALLOW
]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
class Fprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
fprog = Fprog(len(code), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0   # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(fprog)) == 0, os.strerror(ctypes.get_errno())   # PR_SET_SECCOMP
os.execv(sys.argv[1], sys.argv[1:])
"#;

fn without_netlink(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", WITHOUT_NETLINK, env!("CARGO_BIN_EXE_portcheck")]).args(arguments).arg("--json");
    command
}

#[test]
fn without_netlink_the_text_serves_and_its_limits_are_said() {
    in_namespace("without_netlink_the_text_serves_and_its_limits_are_said", || {
        if !has("python3") || !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            return skip("no python3 to make a seccomp filter");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _bound = bound("127.0.0.1:8081".parse().unwrap());
        let answer = json_of(without_netlink(&["8080-8082"]));
        let gaps: Vec<&str> =
            answer["gaps"].as_array().unwrap().iter().map(|gap| gap["code"].as_str().unwrap()).collect();
        assert!(gaps.contains(&"netlink-unavailable") && gaps.contains(&"bound-sockets-unlisted"), "{gaps:?}");
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["listener"], vec![std::process::id()]));
        // Held or not, it cannot be seen: both are "unknown", and neither is "free".
        assert_eq!(codes(port(&answer, 8081, "tcp")), ["unseen"]);
        assert_eq!(port(&answer, 8082, "tcp")["status"], "unknown");
        assert_eq!(port(&answer, 8082, "udp")["status"], "free");
        assert_eq!(json_of(without_netlink(&["8082/tcp"]))["exit_code"], 3);
        assert_eq!(json_of(without_netlink(&["8082/udp"]))["exit_code"], 0);
    });
}

/// Runs the binary through a shell that changes its surroundings first.
fn after(preparation: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("{preparation} && exec \"$@\""), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_portcheck")).args(arguments).arg("--json");
    command
}

#[test]
fn without_proc_the_holder_is_hidden_and_the_port_still_held() {
    in_namespace("without_proc_the_holder_is_hidden_and_the_port_still_held", || {
        if !is_root() {
            return skip("needs root to mount");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let answer = json_of(after("mount -t tmpfs none /proc", &["8080-8081/tcp"]));
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["hidden-owner"]);
        assert_eq!(port(&answer, 8081, "tcp")["status"], "free");
        assert!(answer["gaps"].as_array().unwrap().iter().any(|gap| gap["hides"] == "owners"), "{answer:#}");
        let portable = json_of(after("mount -t tmpfs none /proc", &["8080/tcp", "--backend", "portable"]));
        assert_eq!(codes(port(&portable, 8080, "tcp")), ["hidden-owner"]);
    });
}

#[test]
fn a_proc_that_hides_others_is_a_gap() {
    in_namespace("a_proc_that_hides_others_is_a_gap", || {
        if !is_root() {
            return skip("needs root to mount");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        // The mount outlives the shell in no namespace but this one.
        let inner = portcheck_as_nobody(&[]);
        let program = inner.get_program().to_owned();
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", "mount -t proc -o hidepid=2 none /proc && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"", "sh"])
            .arg(program)
            .args(["8080/tcp", "--json"]);
        let answer = json_of(command);
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["hidden-owner"]);
        assert_eq!(answer["gaps"][0]["code"], "invisible-processes", "{answer:#}");
    });
}

#[test]
fn in_a_pid_namespace_nothing_is_called_the_kernels() {
    in_namespace("in_a_pid_namespace_nothing_is_called_the_kernels", || {
        if !is_root() {
            return skip("needs root for a pid namespace");
        }
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mut command = Command::new("unshare");
        command.args(["-p", "-f", "--mount-proc", env!("CARGO_BIN_EXE_portcheck"), "8080/tcp", "--json"]);
        let answer = json_of(command);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), &tcp["sockets"][0]["owners"]["kind"]), (vec!["hidden-owner"], &value!("hidden")));
        assert!(answer["gaps"].as_array().unwrap().iter().any(|gap| gap["code"] == "pid-namespace"), "{answer:#}");
    });
}

#[test]
fn a_socket_of_the_kernel_is_the_kernels() {
    in_namespace("a_socket_of_the_kernel_is_the_kernels", || {
        let made = is_root().then(|| {
            Command::new("ip")
                .args(["link", "add", "vx", "type", "vxlan", "id", "7", "dstport", "4789", "dev", "lo"])
                .status()
        });
        let up = || Command::new("ip").args(["link", "set", "vx", "up"]).status();
        if !made.is_some_and(|made| made.is_ok_and(|made| made.success()) && up().is_ok_and(|up| up.success())) {
            return skip("no vxlan device here");
        }
        let answer = json(&["4789/udp"]);
        let udp = port(&answer, 4789, "udp");
        assert_eq!(udp["status"], "held", "{answer:#}");
        // Where a process may not be looked into even by root, whose the socket is stays open.
        if answer["gaps"].as_array().unwrap().is_empty() {
            assert_eq!((codes(udp), &udp["sockets"][0]["owners"]["kind"]), (vec!["kernel-owned"], &value!("kernel")));
        } else {
            skip("a process here may not be looked into, so nothing can be called the kernel's");
            assert_eq!((codes(udp), owners(udp)), (vec!["hidden-owner"], vec![]));
        }
    });
}

#[test]
fn few_descriptors_are_enough() {
    in_namespace("few_descriptors_are_enough", || {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "ulimit -n 16 && exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_portcheck"),
            "8080/tcp",
            "--json",
        ]);
        assert_eq!(owners(port(&json_of(command), 8080, "tcp")), [std::process::id()]);
    });
}

#[test]
fn a_setting_of_the_caller_does_not_matter() {
    let mut command = portcheck(&["--json"]);
    command.env_clear().current_dir("/");
    json_of(command);
}
