//! A Podman for one test: it keeps its containers and networks below one directory.

use std::path::Path;
use std::process::Command;

use super::docker::image;
use super::server::program;
use super::{Run, is_root, skip};

/// Its containers end when it is dropped.
pub struct Podman {
    directory: tempfile::TempDir,
}

impl Podman {
    /// Sets it up with an image called `busybox`. If that is not possible, says why and returns
    /// `None`.
    pub fn set_up() -> Option<Self> {
        let (Some(_), Some(busybox), true) = (program("podman"), program("busybox"), is_root()) else {
            skip("no podman, no busybox, or not root");
            return None;
        };
        if !Path::new("/usr/lib/cni/bridge").exists() {
            skip("no plugin that gives Podman's containers a network");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let archive = image(directory.path(), &busybox)?;
        let podman = Self { directory };
        podman.configure();
        podman.podman(&["import", archive.to_str().unwrap(), "busybox"]);
        Some(podman)
    }

    fn configure(&self) {
        let root = self.directory.path().display();
        let network = format!(
            r#"{{"cniVersion": "0.4.0", "name": "podman", "plugins": [{{"type": "bridge", "bridge": "cni-podman0", "isGateway": true,
                "ipam": {{"type": "host-local", "dataDir": "{root}/ipam", "ranges": [[{{"subnet": "10.88.255.0/24"}}]]}}}}]}}"#
        );
        // Leaves limits as they are: not every root may raise them.
        let containers = format!(
            "[containers]\ndefault_ulimits = [\"nofile=256:256\", \"nproc=256:256\"]\n\
             [network]\nnetwork_backend = \"cni\"\nnetwork_config_dir = \"{root}/networks\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\ntmp_dir = \"{root}/tmp\"\n"
        );
        let storage =
            format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{root}/storage\"\nrunroot = \"{root}/state\"\n");
        let path = |name: &str| self.directory.path().join(name);
        std::fs::create_dir(path("networks")).unwrap();
        for (name, text) in
            [("networks/podman.conflist", network), ("containers.conf", containers), ("storage.conf", storage)]
        {
            std::fs::write(path(name), text).unwrap();
        }
    }

    /// Lets a command find the containers of this Podman.
    pub fn lead(&self, command: &mut Command) {
        command.env("CONTAINERS_CONF", self.directory.path().join("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", self.directory.path().join("storage.conf"));
    }

    /// Runs it.
    #[track_caller]
    pub fn podman(&self, arguments: &[&str]) -> String {
        let run = self.attempt(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        run.stdout.trim().to_owned()
    }

    fn attempt(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new("timeout");
        command.args(["60", "podman", "--remote=false"]).args(arguments);
        self.lead(&mut command);
        command.output().unwrap().into()
    }

    /// Starts a container called `name` that runs httpd with `arguments`, and returns its id.
    #[track_caller]
    pub fn serve(&self, name: &str, options: &[&str], arguments: &[&str]) -> String {
        let run = ["run", "--detach", "--stop-signal=KILL", "--name", name];
        let web = ["busybox", "/bin/busybox", "httpd", "-f"];
        self.podman(&[&run[..], options, &web, arguments].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.attempt(&["rm", "--force", "--all"]);
    }
}
