//! A Docker engine for one test: a real dockerd in the test's network namespace, and an image with
//! only busybox.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::server::{Server, program, with_own_run};
use super::{Run, is_root, skip};

/// It ends with all its containers when dropped.
pub struct Docker {
    // The order matters: the engine ends before what it needs is removed.
    server: Server,
    _cgroups: Cgroups,
    directory: tempfile::TempDir,
    client: PathBuf,
    image: String,
}

impl Docker {
    /// Starts an engine with these options besides its own. If that is not possible, says why and
    /// returns `None`.
    pub fn start(options: &[&str]) -> Option<Self> {
        let [Some(dockerd), Some(client), Some(busybox)] = ["dockerd", "docker", "busybox"].map(program) else {
            skip("no dockerd, docker or busybox");
            return None;
        };
        if !is_root() {
            skip("dockerd needs root");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let archive = image(directory.path(), &busybox)?;
        let cgroups = Cgroups::absent();
        let server = Server::start(command(directory.path(), &dockerd, options), "API listen on", 1);
        let mut engine = Self { server, _cgroups: cgroups, directory, client, image: String::new() };
        engine.image = engine.docker(&["import", archive.to_str().unwrap()]);
        Some(engine)
    }

    /// The id of dockerd.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The command by which portcheck stops a container.
    pub fn stop(&self, id: &str) -> Value {
        json!(["docker", "--host", self.host(), "stop", id])
    }

    /// The path of its socket.
    pub fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("socket").display())
    }

    /// Runs its client.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("timeout");
        command.arg("60").arg(&self.client).args(arguments);
        command.env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", self.directory.path().join("config"));
        let run = Run::from(command.output().unwrap());
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        run.stdout.trim().to_owned()
    }

    /// Starts a container that runs httpd with `arguments`, and returns its id.
    ///
    /// The first process of a container ignores signals that it does not handle, so the container
    /// is stopped by SIGKILL.
    #[track_caller]
    pub fn serve(&self, options: &[&str], arguments: &[&str]) -> String {
        let run = ["run", "--detach", "--stop-signal=KILL"];
        let web = ["/bin/busybox", "httpd", "-f"];
        self.docker(&[&run[..], options, &[&*self.image], &web, arguments].concat())
    }

    /// Starts a container called `name` that publishes its port 80 as `port`: `4000`,
    /// `127.0.0.1:4000`.
    #[track_caller]
    pub fn publish(&self, name: &str, port: &str) -> String {
        self.serve(&["--name", name, "--publish", &format!("{port}:80")], &["-p", "80"])
    }

    /// The names of the containers that run, sorted.
    pub fn running(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.docker(&["ps", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }
}

/// The archive of an image with a busybox that needs no libraries.
pub fn image(directory: &Path, busybox: &Path) -> Option<PathBuf> {
    let root = directory.join("image");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
    if !Command::new("chroot").arg(&root).args(["/bin/busybox", "true"]).status().unwrap().success() {
        skip("no static busybox");
        return None;
    }
    let archive = directory.join("image.tar");
    assert!(Command::new("tar").arg("-C").arg(root).arg("-cf").arg(&archive).arg(".").status().unwrap().success());
    Some(archive)
}

/// With an empty /run, it does not find a running containerd, which would start containers in
/// another network namespace.
fn command(directory: &Path, dockerd: &Path, options: &[&str]) -> Command {
    let mut command = with_own_run(dockerd, &[]);
    for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
        command.arg(option).arg(directory.join(name));
    }
    command.args(["--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]);
    if !options.contains(&"--bridge=none") {
        command.arg("--bip=172.31.255.1/24");
    }
    command.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]).args(options);
    command.args(["--host", &format!("unix://{}", directory.join("socket").display())]);
    command
}

/// The cgroups of Docker that do not exist yet. Docker leaves them behind, so they are removed when
/// dropped.
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    fn absent() -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let cgroups = mounts.lines().filter_map(|line| line.split_once(" - cgroup")?.0.split(' ').nth(4));
        Self(cgroups.map(|mount| PathBuf::from(mount).join("docker")).filter(|path| !path.exists()).collect())
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_dir(path);
        }
    }
}
