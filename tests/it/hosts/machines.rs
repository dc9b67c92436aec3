//! Machines to log in to: an sshd each, in a network namespace of its own, with its own users, programs and directory for
//! temporary files.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::netns::Netns;
use crate::common::server::{Server, ssh_programs};
use crate::common::{Run, json_of};
use crate::program::command_of;

/// The id of the user ada on each machine.
pub const ADA: u32 = 4001;

/// What a machine is like.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// It has portcheck.
    Installed,
    /// It has not.
    Bare,
    /// It has, and shares the temporary files of another one.
    Sharing(&'a str),
    /// Whoever logs in gets this command, whatever is asked.
    Forced(&'a str),
}

pub struct Machine {
    pub netns: Netns,
    /// Its directory for temporary files.
    pub temporary: PathBuf,
    /// What stands first in its PATH.
    pub programs: PathBuf,
    _sshd: Server,
}

pub struct Machines {
    directory: tempfile::TempDir,
    machines: Vec<(String, Machine)>,
    /// The shipped binary.
    portcheck: PathBuf,
}

/// A `/run` and users of their own for a server.
const OWN: &str = "mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 /run/sshd && mount --bind \"$1\" /etc/passwd \
                   && shift && exec \"$@\"";

impl Machines {
    /// `None`, said aloud, where that is not possible.
    pub fn start(kinds: &[(&str, Kind<'_>)]) -> Option<Self> {
        let [sshd, keygen, ssh] = ssh_programs()?;
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        let is_copied = kinds.iter().any(|(_, kind)| matches!(kind, Kind::Bare));
        let built = std::env::var_os("PORTCHECK_FLEET_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_portcheck").into());
        let built = PathBuf::from(built);
        let portcheck = if is_copied { stripped(built, directory.path().join("portcheck")) } else { built };
        let mut all = Self { directory, machines: Vec::new(), portcheck };
        let make = Command::new(keygen).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(all.path("key")).status();
        assert!(make.unwrap().success());
        let users = std::fs::read_to_string("/etc/passwd").unwrap() + "ada:x:4001:4001::/:/bin/sh\n";
        std::fs::write(all.path("passwd"), users).unwrap();
        all.configure(&ssh, kinds);
        for (number, &(name, kind)) in (1..).zip(kinds) {
            let machine = all.machine(number, name, kind, &sshd)?;
            all.machines.push((name.to_owned(), machine));
        }
        Some(all)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn of(&self, name: &str) -> &Machine {
        &self.machines.iter().find(|(own, _)| own == name).unwrap().1
    }

    /// An ssh that reads nothing of the user's, and knows the machines by their names.
    fn configure(&self, ssh: &Path, kinds: &[(&str, Kind<'_>)]) {
        let path = |name: &str| self.path(name).display().to_string();
        let mut config = format!(
            "Host down\n HostName 127.0.0.1\n Port 9\nHost mute\n HostName 127.0.0.1\n Port 2299\nHost *\n User root\n \
             IdentityFile {}\n IdentitiesOnly yes\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n",
            path("key")
        );
        for (number, (name, _)) in (1..).zip(kinds) {
            writeln!(config, "Host {name}\n HostName {}", address(number, 2)).unwrap();
        }
        std::fs::write(path("ssh_config"), config).unwrap();
        std::fs::create_dir(path("bin")).unwrap();
        super::script(
            &self.path("bin").join("ssh"),
            &format!("exec {} -F {} \"$@\"", ssh.display(), path("ssh_config")),
        );
    }

    fn machine(&self, number: u8, name: &str, kind: Kind<'_>, sshd: &Path) -> Option<Machine> {
        let netns = Netns::add()?;
        connect(number, &netns.name);
        let make = |what: &str, mode: u32| {
            let made = self.path(&format!("{name}.{what}"));
            std::fs::create_dir(&made).unwrap();
            std::fs::set_permissions(&made, std::fs::Permissions::from_mode(mode)).unwrap();
            made
        };
        let programs = make("bin", 0o755);
        if matches!(kind, Kind::Installed | Kind::Sharing(_)) {
            std::os::unix::fs::symlink(&self.portcheck, programs.join("portcheck")).unwrap();
        }
        let temporary = match kind {
            Kind::Sharing(other) => self.of(other).temporary.clone(),
            _ => make("tmp", 0o1777),
        };
        let forced = match kind {
            Kind::Forced(command) => {
                super::script(&programs.join("forced"), command);
                format!("ForceCommand {}\n", programs.join("forced").display())
            }
            _ => String::new(),
        };
        let key = self.path("key").display().to_string();
        let config = format!(
            "ListenAddress {}:22\nHostKey {key}\nAuthorizedKeysFile {key}.pub\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nPrintMotd no\nSetEnv PATH={}:/usr/bin:/bin TMPDIR={}\n{forced}",
            address(number, 2),
            programs.display(),
            temporary.display()
        );
        let file = self.path(&format!("{name}.conf"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", netns.path().display()))
            .args(["--", "unshare", "-m", "--", "sh", "-c", OWN, "sh"]);
        command.arg(self.path("passwd")).arg(sshd).args(["-D", "-e", "-f"]).arg(file);
        let ready = format!("Server listening on {}", address(number, 2));
        Some(Machine { netns, temporary, programs, _sshd: Server::start(command, &ready, 1) })
    }

    /// The shipped binary, which finds this ssh.
    pub fn portcheck(&self, arguments: &[&str]) -> Command {
        let mut command = command_of(&self.portcheck, arguments);
        // The usual time is too short for a machine on which all of CI runs.
        if !arguments.contains(&"--host-timeout") {
            command.args(["--host-timeout", "1m"]);
        }
        let others = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{others}", self.path("bin").display()));
        command
    }

    /// The ssh that portcheck runs.
    pub fn ssh(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin").join("ssh"));
        command.args(arguments).stdin(std::process::Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.portcheck(arguments).output().unwrap().into()
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        json_of(self.portcheck(&[arguments, &["--json"]].concat()))
    }
}

/// The shipped binary without what debuggers need, which would be copied as well.
fn stripped(built: PathBuf, to: PathBuf) -> PathBuf {
    let status = Command::new("strip").arg("-o").arg(&to).arg(&built).status();
    if status.is_ok_and(|status| status.success()) { to } else { built }
}

fn address(machine: u8, end: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, machine, end)
}

/// A cable between this namespace and that of a machine.
fn connect(number: u8, netns: &str) {
    let ip = |arguments: &str| {
        assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "{arguments}");
    };
    ip(&format!("link add v{number} type veth peer name eth0 netns {netns}"));
    ip(&format!("address add {}/24 dev v{number}", address(number, 1)));
    ip(&format!("link set v{number} up"));
    ip(&format!("-n {netns} address add {}/24 dev eth0", address(number, 2)));
    ip(&format!("-n {netns} link set eth0 up"));
}
