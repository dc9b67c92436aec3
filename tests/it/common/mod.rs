//! What the tests of the shipped binary share: running it, checking its JSON against the schema,
//! network namespaces, and processes that play a part.

pub mod cgroup;
pub mod docker;
pub mod lease;
pub mod netns;
pub mod pids;
pub mod podman;
pub mod programs;
pub mod role;
pub mod rootless;
pub mod seccomp;
pub mod server;
pub mod terminal;
#[cfg(feature = "live")]
pub mod tmux;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

pub use crate::program::{Run, all_codes, codes, json, json_of, numbers, owners, port, portcheck, run};

use crate::program::command_of;

/// The user and group that have no rights.
pub const NOBODY: u32 = 65534;

impl Run {
    pub fn first_line(&self) -> &str {
        self.stdout.lines().next().unwrap_or_default()
    }
}

/// A child that ends with the test, even if the test fails. It has no output, as it could outlive
/// the reader.
#[derive(Debug)]
pub struct Background(pub Child);

impl Background {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that a test proves less on this machine, and why. `eprintln!` would not do: the harness
/// hides it if the test passes.
pub fn skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}

/// Whether we are root and can become others. The root of an ordinary user's user namespace cannot.
pub fn is_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let ids: u64 = map.split_whitespace().skip(2).step_by(3).filter_map(|count| count.parse::<u64>().ok()).sum();
    rustix::process::geteuid().is_root() && ids > NOBODY.into()
}

/// Whether a program can be run here.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|dir| dir.join(program).is_file())
}

/// Waits until a server listens on a TCP port, by `portcheck wait`. Trying bind again and again
/// would disturb a server that starts.
#[track_caller]
pub fn until_it_listens(port: u16) {
    let wait = run(&[&format!("{port}/tcp"), "--wait", "listening", "--timeout", "20s"]);
    assert_eq!(wait.code, 0, "{wait:?}");
}

/// The binary, run by an ordinary user. Only root can do that.
pub fn portcheck_as_nobody(arguments: &[&str]) -> Command {
    let mut command = command_of(&readable_copy(Path::new(env!("CARGO_BIN_EXE_portcheck"))), arguments);
    command.current_dir("/").uid(NOBODY).gid(NOBODY);
    command
}

/// Programs that every user may run. Statics are not dropped, so [`Cleanup`] empties it.
static COPIES: Mutex<Option<tempfile::TempDir>> = Mutex::new(None);

struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        drop(COPIES.lock().unwrap().take());
    }
}

/// A copy of a program that every user may run, as the build directory may be closed to others. It
/// lasts as long as the body of [`in_namespace`].
pub fn readable_copy(program: &Path) -> PathBuf {
    let mut copies = COPIES.lock().unwrap();
    let directory = copies.get_or_insert_with(|| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        directory
    });
    let copy = directory.path().join(program.file_name().unwrap());
    if !copy.exists() {
        std::fs::copy(program, &copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    copy
}

/// The same, run by an ordinary user.
pub fn json_as_nobody(arguments: &[&str]) -> Value {
    json_of(portcheck_as_nobody(&[arguments, &["--json"]].concat()))
}

/// Runs `body` in a network namespace of its own, with its loopback interface up. This takes a
/// process of its own: the test binary starts itself again, for only the test that contains `body`.
///
/// An ordinary user gets a user namespace around it. Where neither is allowed, the test is skipped.
pub fn in_namespace<F: FnOnce()>(body: F) {
    in_namespace_of(test_of::<F>(), body);
}

/// The name of the test that contains a closure of type `F`, as the harness knows it.
fn test_of<F>() -> &'static str {
    let function = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    // The harness knows tests without the name of their crate.
    function.split_once("::").unwrap().1
}

/// The same for a test with the name `name`.
pub fn in_namespace_of(name: &str, body: impl FnOnce()) {
    let flags = if is_root() { "-n" } else { "-rn" };
    unshare(name, flags, "ip link set lo up", || {
        let _cleanup = Cleanup;
        body();
    });
}

/// Runs `body` after unshare(1) with these flags and a shell command.
fn unshare(name: &str, flags: &str, set_up: &str, body: impl FnOnce()) {
    const INSIDE: &str = "PORTCHECK_TEST_NAMESPACE";
    if std::env::var(INSIDE).as_deref() == Ok(name) {
        return body();
    }
    let script = format!("{set_up} && exec \"$@\"");
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags.split(' ')).args(["--", "sh", "-c", &script, "sh"]).args(arguments);
        command
    };
    match unshare(&["true"]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => return skip(&format!("{name}: no namespace here: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => return skip(&format!("{name}: no namespace here: {error}")),
    }
    let own = std::env::current_exe().unwrap();
    let output = unshare(&[own.to_str().unwrap(), "--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The reasons for which it skipped something.
    let _ = write!(std::io::stderr(), "{stderr}");
    assert!(output.status.success(), "in the namespace:\n{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{name} is not the name of this test:\n{stdout}");
}
