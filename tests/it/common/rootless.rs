//! A user who runs containers without root: with an account, a home and ids for containers, which
//! only a mount namespace of its own knows.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::server::{program, until};
use super::{Run, is_root, readable_copy, skip};

/// Its processes end when it is dropped.
pub struct Rootless {
    uid: u32,
    mounts: Child,
    directory: tempfile::TempDir,
}

/// Makes the account, and a device for its networks that it may open.
const ACCOUNT: &str = r#"
set -e
cp -a /etc "$1/etc"
echo "rootless:x:$2:$2::$1/home:/bin/sh" >> "$1/etc/passwd"
for file in subuid subgid; do echo "rootless:$2"0000":65536" > "$1/etc/$file"; done
mount --bind "$1/etc" /etc
mknod "$1/tun" c 10 200
chmod 666 "$1/tun"
mount --bind "$1/tun" /dev/net/tun
echo ready
exec sleep infinity
"#;

impl Rootless {
    /// The user `uid`, who needs the programs `needed`. If that is not possible here, says why and
    /// returns `None`.
    pub fn set_up(uid: u32, needed: &[&str]) -> Option<Self> {
        let tools = ["newuidmap", "slirp4netns", "setpriv", "nsenter", "busybox"];
        let missing: Vec<&&str> = tools.iter().chain(needed).filter(|name| program(name).is_none()).collect();
        if !is_root() || !missing.is_empty() {
            skip(&format!("not root, or not installed: {missing:?}"));
            return None;
        }
        let directory = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        for name in ["home", "run"] {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            chown(&path, Some(uid), Some(uid)).unwrap();
        }
        let mut unshare = Command::new("unshare");
        unshare.args(["-m", "sh", "-c", ACCOUNT, "sh"]).arg(directory.path()).arg(uid.to_string());
        let mut mounts = unshare.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(mounts.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let user = Self { uid, mounts, directory };
        if said != "ready\n" {
            skip("no account can be made here");
            return None;
        }
        Some(user)
    }

    /// A place that everybody may read.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the sockets of its engines are.
    pub fn run_directory(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// A command of this user.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let (mounts, uid) = (self.mounts.id().to_string(), self.uid.to_string());
        command.args(["-m", "-t", &mounts, "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"]);
        command.args([
            "env",
            "-i",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "USER=rootless",
        ]);
        command.arg(format!("HOME={}", self.directory.path().join("home").display()));
        command.arg(format!("XDG_RUNTIME_DIR={}", self.run_directory().display()));
        command.args(["sh", "-c", "cd && exec \"$@\"", "sh"]).args(words);
        command
    }

    /// Runs a command of this user.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Run {
        let run: Run = self.command(words).output().unwrap().into();
        assert_eq!(run.code, 0, "{words:?}: {run:?}");
        run
    }

    /// portcheck, asked by this user.
    pub fn portcheck(&self, arguments: &[&str]) -> Command {
        let portcheck = readable_copy(Path::new(env!("CARGO_BIN_EXE_portcheck")));
        self.command(&[&[portcheck.to_str().unwrap()], arguments].concat())
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        let uid = self.uid.to_string();
        let is_gone = || !Command::new("pkill").args(["-KILL", "-u", &uid]).status().unwrap().success();
        until("its processes have ended", is_gone);
        let _ = self.mounts.kill();
        let _ = self.mounts.wait();
    }
}
