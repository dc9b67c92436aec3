//! `portcheck preflight` in use: real containers, many ports, free ports for a command.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json as value;

use crate::common::docker::Docker;
use crate::common::role::Role;
use crate::common::server::{holders, until};
use crate::common::{in_namespace, is_root, json_as_nobody, json_of, portcheck, run};
use crate::preflight::{Directory, words};

/// The daemon of an engine may bind what its user may not.
#[test]
fn privileged_ports_are_a_matter_of_the_engine() {
    in_namespace(|| {
        if !is_root() {
            return crate::common::skip("only root can become another user");
        }
        let directory = Directory::with(&[
            ("compose.yaml", "services: {web: {ports: [\"80:80\"]}}\n"),
            ("Procfile", "web: x --port 81\n"),
        ]);
        for name in ["compose.yaml", "Procfile"] {
            std::fs::set_permissions(directory.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .unwrap();
        }
        std::fs::set_permissions(directory.0.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = |name: &str| directory.path(name).to_str().unwrap().to_owned();
        let procfile = json_as_nobody(&["preflight", &path("Procfile")]);
        assert_eq!(words(&procfile), ["web 81/tcp blocked"]);
        assert_eq!(procfile["preflight"][0]["suggestion"].as_u64().map(|port| port.abs_diff(8081) < 50), Some(true));
        let rootless = |host: &str| {
            let mut command = crate::common::portcheck_as_nobody(&["preflight", &path("compose.yaml"), "--json"]);
            command.env("DOCKER_HOST", host);
            words(&json_of(command))
        };
        assert_eq!(rootless("unix:///run/user/65534/docker.sock"), ["web 80/tcp blocked"]);
        assert_eq!(rootless("unix:///run/docker.sock"), ["web 80/tcp free"]);
    });
}

/// What the own containers of a project hold is no conflict; those of another one are.
#[test]
fn what_the_project_holds_itself_is_no_conflict() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&[]) else { return };
        let directory = Directory::with(&[("shop/compose.yaml", "services: {web: {ports: [\"4000:80\"]}}\n")]);
        let other = Directory::with(&[("shop/compose.yaml", "services: {web: {ports: [\"4000:80\"]}}\n")]);
        let real = std::fs::canonicalize(directory.path("shop")).unwrap();
        let label = |name: &str, value: &Path| format!("--label=com.docker.compose.{name}={}", value.display());
        let labels = [
            label("project", Path::new("shop")),
            label("service", Path::new("web")),
            label("project.working_dir", &real),
            label("project.config_files", &real.join("compose.yaml")),
        ];
        let mut options: Vec<&str> = labels.iter().map(String::as_str).collect();
        options.extend(["--name=shop-web-1", "--publish=4000:80"]);
        docker.serve(&options, &["-p", "80"]);
        until("both families are published", || holders(4000).len() == 2);
        let answer = directory.json(&["shop/compose.yaml"]);
        assert_eq!((&answer["exit_code"], words(&answer)), (&value!(0), vec!["web 4000/tcp held ours".to_owned()]));
        let table = directory.run(&["shop/compose.yaml"]).stdout;
        assert!(table.contains("ours") && table.contains("this project holds it"), "{table}");
        let answer = other.json(&["shop/compose.yaml"]);
        assert_eq!((&answer["exit_code"], words(&answer)), (&value!(1), vec!["web 4000/tcp held".to_owned()]));
        let todo = other.run(&["shop/compose.yaml"]).stdout;
        assert!(todo.contains("stop shop-web-1"), "{todo}");
    });
}

/// One look answers for all ports.
#[test]
fn a_thousand_ports_take_no_longer_than_a_look() {
    in_namespace(|| {
        let ports: Vec<String> = (4000..5000).map(|port| format!("      - \"{port}:80\"\n")).collect();
        let ports = ports.concat();
        let directory = Directory::with(&[("compose.yaml", &format!("services:\n  web:\n    ports:\n{ports}"))]);
        let quickest = |mut run: Box<dyn FnMut()>| {
            let time = |run: &mut Box<dyn FnMut()>| {
                let start = Instant::now();
                run();
                start.elapsed()
            };
            (0..5).map(|_| time(&mut run)).min().unwrap()
        };
        let look = quickest(Box::new(|| assert_eq!(run(&["-q", "4000-4999/tcp"]).code, 0)));
        let preflight = quickest(Box::new(move || assert_eq!(directory.run(&["-q"]).code, 0)));
        // A debug build is several times slower than what is shipped.
        let most = if cfg!(debug_assertions) { Duration::from_millis(400) } else { Duration::from_millis(100) };
        assert!(preflight < look + most, "{preflight:?}, and the look {look:?}");
    });
}

/// Free ports for those that are held, under the names by which the file asks for them.
#[test]
fn free_ports_are_written_leased_and_given_to_a_command() {
    in_namespace(|| {
        let compose =
            "services:\n  web:\n    ports:\n      - \"${WEB_PORT:-4000}:80\"\n      - \"${WEB_PORT:-4000}:80/udp\"\n";
        let directory =
            Directory::with(&[("compose.yaml", compose), ("fixed.yml", "services: {my-db: {ports: [\"4001:1\"]}}\n")]);
        let (_server, _) = Role::playing("listen 127.0.0.1:4000");
        let (_other, _) = Role::playing("listen 127.0.0.1:4001");
        let read = || std::fs::read_to_string(directory.path("ports.env")).unwrap_or_default();

        // Without another port, the command is not run.
        let refused = directory.run(&["compose.yaml", "--", "touch", "ran"]);
        assert!(refused.code == 1 && refused.stdout.contains("held") && !directory.path("ran").exists(), "{refused:?}");

        let answer = directory.json(&["compose.yaml", "--env-file", "ports.env"]);
        let row = &answer["preflight"][0];
        assert_eq!(
            (&answer["exit_code"], &row["status"], &row["substitute"]),
            (&value!(0), &value!("held"), &value!("WEB_PORT"))
        );
        assert_eq!(read(), format!("WEB_PORT={}\n", row["suggestion"]));
        assert_eq!(answer["preflight"][1]["suggestion"], row["suggestion"], "one variable has one port");
        let leases = json_of(portcheck(&["leases", "--json"]));
        assert_eq!(leases["free"]["ports"], value!([row["suggestion"]]));

        // The same for a command, which gets the variable. The port that is leased is not given again.
        let before = read();
        let ran =
            directory.run(&["compose.yaml", "--env-file", "ports.env", "--", "sh", "-c", "echo $WEB_PORT; exit 7"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (7, ""));
        assert_eq!(read(), format!("{before}WEB_PORT={}", ran.stdout));
        assert_ne!(ran.stdout.trim(), row["suggestion"].to_string());

        // A port that no variable stands for has to be changed in the file.
        let fixed = directory.run(&["fixed.yml", "--env-file", "fixed.env"]);
        let written = std::fs::read_to_string(directory.path("fixed.env")).unwrap();
        assert!(fixed.code == 1 && written.starts_with("MY_DB_PORT=40"), "{fixed:?} {written}");
        assert!(fixed.stdout.contains("put ${MY_DB_PORT:-4001} in place of 4001"), "{fixed:?}");

        // If nothing can be written, nothing is leased.
        let failed = directory.run(&["compose.yaml", "--env-file", "/nonexistent/env"]);
        assert!(failed.code == 4 && failed.stderr.contains("cannot append to /nonexistent/env"), "{failed:?}");
        let missing = directory.run(&["compose.yaml", "--env-file", "ports.env", "--", "no-such-command"]);
        assert_eq!((missing.code, read().lines().count()), (127, 2));
    });
}
