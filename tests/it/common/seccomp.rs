//! Runs the binary where the kernel refuses one system call with EPERM.
//!
//! A few lines of Python make the seccomp filter (seccomp(2)), since no common tool makes one.

use std::process::Command;

/// The first argument is what to refuse, the others are the command.
const SCRIPT: &str = r#"
import ctypes, os, platform, struct, sys
x86_64, aarch64 = ({"socket": 41, "bind": 49, "socketpair": 53, "bpf": 321}, 0xC000003E), ({"socket": 198, "bind": 200, "socketpair": 199, "bpf": 280}, 0xC00000B7)
numbers, architecture = {"x86_64": x86_64, "aarch64": aarch64}[platform.machine()]
what, _, errno = sys.argv[1].partition("!")
call, _, argument = what.partition("=")
LOAD, EQUAL, RETURN, ALLOW, ERRNO = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050000
checks = [(4, architecture), (0, numbers[call])] + ([(16, int(argument))] if argument else [])
code = []
for index, (offset, wanted) in enumerate(checks):
    past_the_rest = 2 * (len(checks) - index - 1) + 1
    code += [(LOAD, 0, 0, offset), (EQUAL, 0, past_the_rest, wanted)]
code += [(RETURN, 0, 0, ERRNO | int(errno or 1)), (RETURN, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
class Fprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
fprog = Fprog(len(code), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(fprog)) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// The binary with `--json`, where `refused` fails: a call by its name, `socket=16` for one with
/// that first argument, or `socket!97` to make it fail with error 97. `None` if such a filter
/// cannot be made.
pub fn portcheck_without(refused: &str, arguments: &[&str]) -> Option<Command> {
    without(refused, &[arguments, &["--json"]].concat())
}

/// The same with these arguments alone.
pub fn without(refused: &str, arguments: &[&str]) -> Option<Command> {
    if !super::has("python3") || !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        super::skip("no python3 to make a seccomp filter");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT, refused, env!("CARGO_BIN_EXE_portcheck")]).args(arguments);
    Some(command)
}
