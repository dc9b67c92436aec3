//! Files of another user must neither block portcheck nor fill its memory, above all not root's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::json as value;

use crate::common::role::Role;
use crate::common::{in_namespace, is_root, json_of, port, readable_copy, skip};

/// A user who is nobody else in these tests.
const MALLORY: u32 = 58_231;

/// Regression: a FIFO among a user's units blocked every question about a port of that user's
/// manager, and a link to /dev/zero filled the memory.
#[test]
fn unit_files_of_a_user_neither_hang_nor_fill_anybody() {
    in_namespace(|| {
        if !is_root() || !Path::new("/usr/lib/systemd").is_dir() {
            return skip("needs root to be two users, and a directory of systemd");
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        let units = home.path().join(".config/systemd/user");
        fs::create_dir_all(&units).unwrap();
        let unit = "[Socket]\nListenStream=127.0.0.1:8123\n";
        assert!(Command::new("mkfifo").arg(units.join("a.socket")).status().unwrap().success());
        symlink("/dev/zero", units.join("b.socket")).unwrap();
        fs::write(units.join("c.socket"), unit.to_owned() + &"#".repeat(70_000)).unwrap();
        fs::write(home.path().join("linked"), unit).unwrap();
        symlink(home.path().join("linked"), units.join("d.socket")).unwrap();
        let passwd = home.path().join("passwd");
        let line = format!("mallory:x:{MALLORY}:{MALLORY}::{}:/bin/sh\n", home.path().display());
        fs::write(&passwd, fs::read_to_string("/etc/passwd").unwrap() + &line).unwrap();

        // A service manager is recognised by its program file.
        let own = readable_copy(&std::env::current_exe().unwrap());
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o mode=755 none /usr/lib/systemd && cp \"$1\" /usr/lib/systemd/systemd && shift && \
                      exec setpriv --reuid 58231 --regid 58231 --clear-groups /usr/lib/systemd/systemd \"$@\"";
        command.args(["-m", "sh", "-c", script, "sh"]).arg(own).current_dir("/");
        let mut role = Role::spawn(command, "listen 127.0.0.1:8123");
        role.go();

        let program = readable_copy(Path::new(env!("CARGO_BIN_EXE_portcheck")));
        let unit_for = |user: u32| {
            let mut command = Command::new("unshare");
            let user = format!("{user}");
            let script = "mount --bind \"$1\" /etc/passwd && shift && exec \"$@\"";
            command.args(["-m", "sh", "-c", script, "sh"]).arg(&passwd);
            command.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "timeout", "10"]);
            command.arg(&program).args(["8123/tcp", "--json"]).current_dir("/");
            let answer = json_of(command);
            let is_late = answer["gaps"].as_array().unwrap().iter().any(|gap| gap["code"] == "unit-files-late");
            assert!(!is_late, "{answer:#}");
            port(&answer, 8123, "tcp")["sockets"][0]["socket_unit"].clone()
        };
        assert_eq!(unit_for(0), value!(null), "root takes no user's word");
        assert_eq!(
            unit_for(MALLORY),
            value!({"name": "d.socket", "manager": "user", "files": [units.join("d.socket")]})
        );
    });
}
