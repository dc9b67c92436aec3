//! Programs (BPF) that decide about packets.

use std::process::{Command, Stdio};

use super::{NETWORK, from, prepare};
use crate::common::cgroup::Cgroup;
use crate::common::server::program;
use crate::common::{Background, in_namespace, json, skip, until_it_listens};

/// Attaches a program that lets all packets pass (BPF_CGROUP_INET_INGRESS) to the cgroup `$1`, joins it, and listens.
const SERVER: &str = r#"
import ctypes, os, platform, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOAD, ATTACH, CGROUP_SKB, INGRESS = 5, 8, 8, 0
def bpf(command, attributes):
    result = libc.syscall(BPF, command, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes))
    if result < 0: sys.exit("bpf: " + os.strerror(ctypes.get_errno()))
    return result
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, 1, 0x95, 0, 0, 0))  # r0 = 1; exit
licence = ctypes.create_string_buffer(b"GPL\0")
program = bpf(LOAD, struct.pack("<IIQQIIQII16sII", CGROUP_SKB, 2, ctypes.addressof(code),
    ctypes.addressof(licence), 0, 0, 0, 0, 0, b"pass", 0, INGRESS))
bpf(ATTACH, struct.pack("<IIII", os.open(sys.argv[1], os.O_RDONLY), program, INGRESS, 0))
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
server = socket.create_server(("0.0.0.0", 18080))
time.sleep(60)
"#;

#[test]
fn a_program_of_the_servers_cgroup_makes_it_unknown() {
    in_namespace(|| {
        if !prepare(&["ip"], NETWORK) {
            return;
        }
        let (Some(python), Ok(cgroup)) = (program("python3"), Cgroup::make(&format!("/pctest-{}", std::process::id())))
        else {
            return skip("no python3, or no cgroup can be made");
        };
        let path = cgroup.path().to_str().unwrap();
        let tried = Command::new(&python)
            .args(["-c", &SERVER.replace("time.sleep(60)", ""), path])
            .stdin(Stdio::null())
            .output();
        let tried = tried.unwrap();
        if !tried.status.success() {
            return skip(&String::from_utf8_lossy(&tried.stderr));
        }
        let server = Background::spawn(Command::new(&python).args(["-c", SERVER, path]));
        until_it_listens(18080);
        let answer = json(&["reach", "18080/tcp", "--from", "10.77.0.9"]);
        let row = from(&answer, 18080, "10.77.0.9");
        assert_eq!(row["result"], "unknown", "{row:#}");
        assert!(row["note"].as_str().unwrap().contains("a program (BPF) of the cgroup /pctest-"), "{row:#}");
        drop(server);
    });
}
