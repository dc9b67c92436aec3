//! Containers of engines that run without root: the helper that holds the port names none, so who
//! started what tells.

use serde_json::{Value, json as value};

use crate::common::docker::image;
use crate::common::rootless::Rootless;
use crate::common::server::{Server, program, until};
use crate::common::{codes, in_namespace, json, json_of, port, run};

/// What is said of the published port: the container's name, the port inside, who listens there.
fn forward(answer: &Value, number: u16) -> &Value {
    let port = port(answer, number, "tcp");
    assert_eq!((&port["status"], codes(port)), (&value!("held"), vec!["published-port"]), "{port:#}");
    &port["forwards"][0]
}

/// Writes an image of busybox, and returns its archive.
fn archive(user: &Rootless) -> Option<String> {
    Some(image(user.directory(), &program("busybox")?)?.to_str()?.to_owned())
}

#[test]
fn a_container_of_rootless_podman_is_named_and_stopped() {
    in_namespace(|| {
        let Some(user) = Rootless::set_up(4242, &["podman"]) else { return };
        let Some(archive) = archive(&user) else { return };
        let write = "mkdir -p .config/containers && cd .config/containers && \
                     printf '[containers]\\ndefault_ulimits = [\"nofile=256:256\", \"nproc=256:256\"]\\n\
                     [engine]\\ncgroup_manager = \"cgroupfs\"\\nevents_logger = \"file\"\\n' > containers.conf && \
                     printf '[storage]\\ndriver = \"vfs\"\\n' > storage.conf";
        user.run(&["sh", "-c", write]);
        user.run(&["podman", "--remote=false", "import", &archive, "busybox"]);
        let serve = ["busybox", "/bin/busybox", "httpd", "-f", "-p", "80"];
        let options = ["podman", "--remote=false", "run", "--detach", "--stop-signal=KILL", "--name", "web"];
        let started = user.run(&[&options[..], &["-p", "127.0.0.1:4100:80"], &serve].concat());
        let id = started.stdout.trim();
        let ask = |arguments: &[&str]| json_of(user.portcheck(arguments));
        let inside = |answer: &Value| forward(answer, 4100)["to"]["port"] == 80;
        until("it listens", || inside(&ask(&["4100/tcp", "--json"])));

        let answer = ask(&["4100/tcp", "--json"]);
        let told = forward(&answer, 4100);
        assert_eq!((&told["container"]["name"], &told["container"]["id"]), (&value!("web"), &value!(id)), "{told:#}");
        assert_eq!((&told["by"], &told["confidence"]), (&value!("podman"), &value!("likely")));
        assert_eq!(told["ends_at"][0]["name"], "busybox", "{told:#}");
        let report: crate::common::Run = user.portcheck(&["4100/tcp"]).output().unwrap().into();
        assert_eq!(report.first_line(), "4100/tcp is in use: container web publishes it");
        assert!(report.stdout.contains("podman stop web"), "{report:?}");

        // Root sees the same, and cannot stop it: no Podman of root knows it.
        let seen = json(&["4100/tcp"]);
        assert_eq!(forward(&seen, 4100)["container"]["id"], id, "{seen:#}");
        assert!(run(&["4100/tcp"]).stdout.contains("stop its container web with podman as its user (uid 4242)"));

        let freed = ask(&["kill", "4100/tcp", "--yes", "--supervisor", "--json"]);
        assert_eq!(freed["kill"]["outcome"], "freed", "{freed:#}");
        assert_eq!(freed["kill"]["steps"][0]["command"], value!(["podman", "--remote=false", "stop", id]));
    });
}

#[test]
fn a_container_of_rootless_docker_is_named_by_its_own_engine() {
    in_namespace(|| {
        let start = "/usr/share/docker.io/contrib/dockerd-rootless.sh";
        let Some(user) = Rootless::set_up(4243, &["docker", "rootlesskit", "dockerd", start]) else { return };
        let Some(archive) = archive(&user) else { return };
        let socket = format!("unix://{}/docker.sock", user.run_directory().display());
        let set =
            ["env", "DOCKERD_ROOTLESS_ROOTLESSKIT_NET=slirp4netns", "DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=builtin"];
        let options = [start, "--storage-driver=vfs", "--exec-opt", "native.cgroupdriver=cgroupfs"];
        let _engine = Server::start(user.command(&[&set[..], &options].concat()), "API listen on", 1);
        let docker = |arguments: &[&str]| user.command(&[&["docker", "--host", &socket], arguments].concat()).output();
        let run_of = |arguments: &[&str]| {
            let run: crate::common::Run = docker(arguments).unwrap().into();
            assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
            run.stdout.trim().to_owned()
        };
        run_of(&["import", &archive, "busybox"]);
        let serve = ["busybox", "/bin/busybox", "httpd", "-f", "-p", "80"];
        let options = ["run", "--detach", "--stop-signal=KILL", "--name", "web", "-p", "127.0.0.1:4200:80"];
        let id = run_of(&[&options[..], &serve].concat());

        let ask = |arguments: &[&str]| json_of(user.portcheck(arguments));
        let ends = |answer: &Value| forward(answer, 4200)["ends_at"][0]["name"] == "busybox";
        until("it listens", || ends(&ask(&["4200/tcp", "--json"])));
        let answer = ask(&["4200/tcp", "--json"]);
        let told = forward(&answer, 4200);
        assert_eq!((&told["container"]["name"], &told["container"]["id"]), (&value!("web"), &value!(id)), "{told:#}");
        assert_eq!((&told["to"]["port"], &told["confidence"]), (&value!(80), &value!("known")));

        // An engine of another user is not asked.
        let seen = json(&["4200/tcp"]);
        let untold = forward(&seen, 4200)["untold"].as_str().unwrap();
        assert!(untold.contains("it answers only to its user (uid 4243)"), "{untold}");

        let freed = ask(&["kill", "4200/tcp", "--yes", "--supervisor", "--json"]);
        assert_eq!(freed["kill"]["outcome"], "freed", "{freed:#}");
        assert_eq!(freed["kill"]["steps"][0]["command"], value!(["docker", "--host", socket, "stop", id]));
    });
}
