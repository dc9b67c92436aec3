//! Real servers that need a setup before they start.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::cgroup::Cgroup;
use super::server::{Server, holders, program, until};
use super::{Run, is_root, skip};

/// The configuration of an nginx that serves on both loopback addresses: three workers, and no file
/// outside its directory.
pub fn nginx_config(port: u16) -> String {
    let user = if is_root() { "nobody daemon" } else { "root root" };
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places = kinds.map(|kind| format!("{kind}_temp_path {kind};")).join(" ");
    format!(
        "daemon off; user {user}; worker_processes 3; pid nginx.pid; error_log stderr notice; events {{}}
        http {{ access_log off; {places} server {{ listen 127.0.0.1:{port}; listen [::1]:{port}; }} }}"
    )
}

/// PostgreSQL with its own data, run by another user than the test.
pub struct Postgres {
    data: tempfile::TempDir,
    programs: PathBuf,
    pub uid: u32,
    gid: u32,
}

impl Postgres {
    /// Creates the data. If that is not possible, says why and returns `None`.
    pub fn set_up() -> Option<Self> {
        // Debian keeps several versions, outside of any PATH.
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let debian = versions.map(|version| version.path().join("bin/initdb")).find(|initdb| initdb.is_file());
        let Some(initdb) = debian.or_else(|| program("initdb")) else {
            skip("no postgres");
            return None;
        };
        let Some(user) = uzers::get_user_by_name("postgres").filter(|_| is_root()) else {
            skip("postgres runs as its own user only: this needs root, and the user postgres");
            return None;
        };
        let programs = initdb.parent().unwrap().to_owned();
        let data = tempfile::tempdir().unwrap();
        let postgres = Self { data, programs, uid: user.uid(), gid: user.primary_group_id() };
        std::os::unix::fs::chown(postgres.data.path(), Some(postgres.uid), Some(postgres.gid)).unwrap();
        let mut command = postgres.command(None, "initdb");
        command.args(["--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust"]);
        let made = Run::from(command.output().unwrap());
        assert_eq!(made.code, 0, "{made:?}");
        Some(postgres)
    }

    /// One of its programs, as its user.
    fn command(&self, cgroup: Option<&Cgroup>, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match cgroup {
            Some(cgroup) => cgroup.command(&program, self.uid, self.gid),
            None => Command::new(program),
        };
        if cgroup.is_none() {
            command.uid(self.uid).gid(self.gid);
        }
        command.arg("-D").arg(self.data.path()).current_dir(self.data.path()).env("LC_ALL", "C");
        command
    }

    pub fn start(&self, cgroup: Option<&Cgroup>, port: u16) -> Server {
        let mut command = self.command(cgroup, "postgres");
        let options =
            ["listen_addresses=127.0.0.1", "fsync=off", "autovacuum=off", "max_logical_replication_workers=0"];
        command
            .args(["-p", &port.to_string(), "-k"])
            .arg(self.data.path())
            .args(options.iter().flat_map(|option| ["-c", option]));
        let server = Server::start(command, "ready to accept connections", 1);
        // Its children keep the socket until they close it. Those that come and go are switched
        // off.
        until("only the postmaster has the socket", || holders(port) == [server.pid()]);
        server
    }
}
