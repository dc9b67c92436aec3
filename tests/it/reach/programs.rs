//! Programs (BPF) that decide about packets.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{NETWORK, from, prepare};
use crate::common::cgroup::Cgroup;
use crate::common::server::program;
use crate::common::{Background, in_namespace, json, skip, until_it_listens};

/// `load` loads a program (BPF) that returns a constant.
const LOAD: &str = r#"
import ctypes, os, platform, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
def bpf(command, attributes):
    result = libc.syscall(BPF, command, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes))
    if result < 0: sys.exit("bpf: " + os.strerror(ctypes.get_errno()))
    return result
def load(kind, returns, attach):
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, returns, 0x95, 0, 0, 0))  # r0 = returns; exit
    licence = ctypes.create_string_buffer(b"GPL\0")
    return bpf(5, struct.pack("<IIQQIIQII16sII", kind, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0,
        0, b"pass", 0, attach))
"#;

/// Attaches one that lets all packets pass (BPF_CGROUP_INET_INGRESS) to the cgroup `$1`, joins it, and listens.
const SERVER: &str = r#"
bpf(8, struct.pack("<IIII", os.open(sys.argv[1], os.O_RDONLY), load(8, 1, 0), 0, 0))
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
server = socket.create_server(("0.0.0.0", 18080))
time.sleep(60)
"#;

/// Attaches one that changes nothing: of the kind `$1`, which returns `$2`, at the hook `$3`, to the interface eth0 or, for
/// sk_lookup, to this network namespace.
const LINK: &str = r#"
kind, returns, attach = map(int, sys.argv[1:4])
SK_LOOKUP, XDP, IN_SOFTWARE = 36, 37, 2
target = os.open("/proc/self/ns/net", os.O_RDONLY) if attach == SK_LOOKUP else socket.if_nametoindex("eth0")
link = bpf(28, struct.pack("<IIII48x", load(kind, returns, attach), target, attach, IN_SOFTWARE if attach == XDP else 0))
server = socket.create_server(("0.0.0.0", 18080))
print("ready", flush=True)
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
            .args(["-c", &format!("{LOAD}{}", SERVER.replace("time.sleep(60)", "")), path])
            .stdin(Stdio::null())
            .output();
        let tried = tried.unwrap();
        if !tried.status.success() {
            return skip(&String::from_utf8_lossy(&tried.stderr));
        }
        let server = Background::spawn(Command::new(&python).args(["-c", &format!("{LOAD}{SERVER}"), path]));
        until_it_listens(18080);
        let answer = json(&["reach", "18080/tcp", "--from", "10.77.0.9"]);
        let row = from(&answer, 18080, "10.77.0.9");
        assert_eq!(row["result"], "unknown", "{row:#}");
        assert!(row["note"].as_str().unwrap().contains("a program (BPF) of the cgroup /pctest-"), "{row:#}");
        drop(server);
    });
}

#[test]
fn a_program_on_the_way_makes_it_unknown() {
    in_namespace(|| {
        if !prepare(&["ip", "python3"], NETWORK) {
            return;
        }
        for (what, words, gap) in [
            ("XDP", ["6", "2", "37"], "a program (XDP) on eth0"),
            ("tcx", ["3", "0", "46"], "a program (tcx) on eth0"),
            ("sk_lookup", ["30", "1", "36"], "a program that chooses sockets (sk_lookup)"),
        ] {
            let mut python = Command::new("python3");
            python.args(["-c", &format!("{LOAD}{LINK}")]).args(words).stdin(Stdio::null());
            let mut server = python.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let answer = json(&["reach", "18080/tcp", "--from", "10.77.0.9"]);
            server.kill().unwrap();
            server.wait().unwrap();
            if line.is_empty() {
                skip(&format!("this kernel takes no program for {what}"));
                continue;
            }
            assert_eq!(from(&answer, 18080, "10.77.0.9")["result"], "unknown", "{what}: {answer:#}");
            assert!(answer["gaps"].to_string().contains(gap), "{what}: {:#}", answer["gaps"]);
        }
    });
}
