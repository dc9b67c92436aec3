//! Sandboxes that do not let a process bind.

use std::process::Command;

use serde_json::Value;

use crate::common::cgroup::Cgroup;
use crate::common::seccomp::portcheck_without;
use crate::common::{has, json_of};
use crate::scenarios::scenarios;
use crate::scenarios::stage::{Look, Stage, need_root};

scenarios! {
    landlock: rows ["33"], proves ["sandbox-denied", "free"];
    a_bpf_program_of_the_cgroup: rows ["34"], proves ["sandbox-denied"];
    a_seccomp_filter: rows ["35"], proves ["sandbox-denied"];
}

/// A program that restricts itself, and then becomes its arguments.
fn restricted(script: &str, arguments: &[&str]) -> Result<Value, String> {
    if !has("python3") {
        return Err("no python3".to_owned());
    }
    let mut command = Command::new("python3");
    command.args(["-c", script, env!("CARGO_BIN_EXE_portcheck"), "--json"]).args(arguments);
    let output = command.output().unwrap();
    match String::from_utf8_lossy(&output.stderr).trim().strip_prefix("cannot: ") {
        Some(reason) => Err(reason.to_owned()),
        None => Ok(json_of(command)),
    }
}

fn is_denied_by(look: &Look, mechanism: &str, errno: &str) {
    look.is("blocked", &["sandbox-denied"], &[]);
    let details = &look.finding("sandbox-denied")["details"];
    assert_eq!((&details["mechanism"], &details["errno"]), (&mechanism.into(), &errno.into()), "{details}");
}

/// LANDLOCK_ACCESS_NET_BIND_TCP is restricted, and allowed for no port.
const LANDLOCK: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
CREATE_RULESET, RESTRICT_SELF, PR_SET_NO_NEW_PRIVS, BIND_TCP = 444, 446, 38, 1
attributes = struct.pack("QQ", 0, BIND_TCP)
ruleset = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
if ruleset < 0: sys.exit("cannot: no Landlock for networks: " + os.strerror(ctypes.get_errno()))
libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
if libc.syscall(RESTRICT_SELF, ruleset, 0): sys.exit("cannot: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"#;

fn landlock(stage: &Stage) -> Result<(), String> {
    let look = stage.note(restricted(LANDLOCK, &["8080/tcp"])?);
    is_denied_by(&look, "landlock", "EACCES");
    assert_eq!((look.bind("127.0.0.1"), look.bind("::")), ("access-denied", "access-denied"));
    // It restricts TCP only.
    stage.note(restricted(LANDLOCK, &["8080/udp"])?).is("free", &["free"], &[]);
    Ok(())
}

/// Attaches a program that refuses IPv4 binds (BPF_CGROUP_INET4_BIND) to a cgroup, joins the
/// cgroup, and becomes its other arguments.
const CGROUP_BPF: &str = r#"
import ctypes, os, platform, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOAD, ATTACH, CGROUP_SOCK_ADDR, INET4_BIND = 5, 8, 18, 8
def bpf(command, attributes):
    result = libc.syscall(BPF, command, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes))
    if result < 0: sys.exit("cannot: bpf: " + os.strerror(ctypes.get_errno()))
    return result
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, 0, 0x95, 0, 0, 0))  # r0 = 0; exit
licence = ctypes.create_string_buffer(b"GPL\0")
program = bpf(LOAD, struct.pack("<IIQQIIQII16sII", CGROUP_SOCK_ADDR, 2, ctypes.addressof(code),
    ctypes.addressof(licence), 0, 0, 0, 0, 0, b"deny", 0, INET4_BIND))
bpf(ATTACH, struct.pack("<IIII", os.open("CGROUP_DIRECTORY", os.O_RDONLY), program, INET4_BIND, 0))
open("CGROUP_DIRECTORY/cgroup.procs", "w").write(str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
"#;

fn a_bpf_program_of_the_cgroup(stage: &Stage) -> Result<(), String> {
    need_root()?;
    let ask = |arguments: &[&str], name: &str| -> Result<Value, String> {
        let cgroup = Cgroup::make(&format!("/portcheck-test-{name}-{}", std::process::id()))?;
        restricted(&CGROUP_BPF.replace("CGROUP_DIRECTORY", cgroup.path().to_str().unwrap()), arguments)
    };
    let look = stage.note(ask(&["8080/tcp"], "all")?);
    is_denied_by(&look, "cgroup-bpf", "EPERM");
    assert_eq!(
        (look.bind("127.0.0.1"), look.bind("0.0.0.0"), look.bind("::")),
        ("not-permitted", "not-permitted", "ok")
    );
    // The program is for IPv4.
    stage.note(ask(&["[::1]:8080/tcp"], "ipv6")?).is("free", &["free"], &[]);
    Ok(())
}

fn a_seccomp_filter(stage: &Stage) -> Result<(), String> {
    let command = portcheck_without("bind", &["8080/tcp"]).ok_or("no seccomp filter")?;
    let look = stage.note(json_of(command));
    is_denied_by(&look, "seccomp", "EPERM");
    assert_eq!((look.bind("127.0.0.1"), look.bind("::")), ("not-permitted", "not-permitted"));
    let udp = portcheck_without("bind", &["8080/udp"]).ok_or("no seccomp filter")?;
    is_denied_by(&stage.note(json_of(udp)), "seccomp", "EPERM");
    Ok(())
}
