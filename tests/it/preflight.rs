//! `portcheck preflight`: what manifests ask for, judged on real sockets and by real containers.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json as value};

use crate::common::role::Role;
use crate::common::{Run, in_namespace, json_of, portcheck, run};

/// A directory with these files.
pub struct Directory(pub tempfile::TempDir);

impl Directory {
    pub fn with(files: &[(&str, &str)]) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            std::fs::create_dir_all(directory.path(name).parent().unwrap()).unwrap();
            std::fs::write(directory.path(name), text).unwrap();
        }
        directory
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `portcheck preflight` in it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = portcheck(&[&["preflight"], arguments].concat());
        command.current_dir(self.0.path());
        for variable in ["COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "DOCKER_HOST", "WEB_PORT", "PORT"]
        {
            command.env_remove(variable);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        json_of(self.command(&[arguments, &["--json"]].concat()))
    }
}

/// The rows in few words: `web 8080/tcp free`.
pub fn words(answer: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let word = |row: &Value| {
        let place = row["address"].as_str().map(|address| format!("{address} ")).unwrap_or_default();
        let own = if row["held_by_this_project"] == true { " ours" } else { "" };
        format!(
            "{} {place}{}/{} {}{own}",
            text(&row["service"]),
            row["port"],
            text(&row["protocol"]),
            text(&row["status"])
        )
    };
    answer["preflight"].as_array().unwrap().iter().map(word).collect()
}

const COMPOSE: &str = r#"services:
  web:
    image: web
    ports:
      - "${WEB_PORT:-4000}:80"
      - "127.0.0.1:4001:81"
  db:
    ports:
      - target: 5432
        published: "4002"
        host_ip: 127.0.0.1
"#;

#[test]
fn what_is_free_is_told_with_its_line() {
    in_namespace(|| {
        let directory = Directory::with(&[("compose.yaml", COMPOSE)]);
        let answer = directory.json(&[]);
        assert_eq!(answer["exit_code"], 0);
        assert_eq!(words(&answer), ["web 4000/tcp free", "web 127.0.0.1 4001/tcp free", "db 127.0.0.1 4002/tcp free"]);
        let lines: Vec<&Value> = answer["preflight"].as_array().unwrap().iter().map(|row| &row["line"]).collect();
        assert_eq!(lines, [5, 6, 10]);
        let table = directory.run(&[]);
        assert_eq!((table.code, table.stderr.as_str()), (0, ""));
        assert!(table.stdout.ends_with("3 ports of 1 file are available\n"), "{table:?}");
    });
}

#[test]
fn a_held_port_has_a_holder_and_a_suggestion() {
    in_namespace(|| {
        let directory = Directory::with(&[("compose.yaml", COMPOSE)]);
        let (_server, _) = Role::playing("listen 127.0.0.1:4000");
        let answer = directory.json(&[]);
        assert_eq!(answer["exit_code"], 1);
        let row = &answer["preflight"][0];
        assert_eq!(
            (&row["status"], &row["variable"], &row["held_by_this_project"]),
            (&value!("held"), &value!("WEB_PORT"), &value!(false))
        );
        let suggestion = row["suggestion"].as_u64().unwrap();
        assert!(suggestion.abs_diff(4000) < 50 && !(4000..=4002).contains(&suggestion), "{row:#}");
        assert_eq!(run(&["-q", &suggestion.to_string()]).code, 0);
        assert!(row["holder"].as_str().unwrap().contains("pid"), "{row:#}");
        let table = directory.run(&[]);
        assert_eq!(table.code, 1);
        assert!(table.stdout.contains(&format!("set WEB_PORT={suggestion}, which is free")), "{}", table.stdout);
        assert!(table.stdout.contains("kill 4000/tcp"), "{}", table.stdout);
        assert!(table.stdout.contains("1 of 3 ports of 1 file is not available"), "{}", table.stdout);

        // On another address nobody holds it.
        let other = Directory::with(&[("compose.yaml", "services: {web: {ports: [\"127.0.0.2:4000:80\"]}}\n")]);
        assert_eq!(words(&other.json(&[])), ["web 127.0.0.2 4000/tcp free"]);
        // Nor for another protocol.
        let other = Directory::with(&[("compose.yaml", "services: {web: {ports: [\"4000:80/udp\"]}}\n")]);
        assert_eq!(words(&other.json(&[])), ["web 4000/udp free"]);
        // Of a range, an engine takes the first that is free.
        let other = Directory::with(&[(
            "compose.yaml",
            "services: {web: {ports: [\"4000-4005:80\"]}, b: {ports: [\"4001:1\"]}}\n",
        )]);
        assert_eq!(words(&other.json(&[])), ["web 4002/tcp free", "b 4001/tcp free"]);
    });
}

#[test]
fn what_is_asked_for_twice_collides() {
    in_namespace(|| {
        let directory = Directory::with(&[
            (
                "compose.yaml",
                "services:\n  a: {ports: [\"4000:1\"]}\n  b: {ports: [\"127.0.0.1:4000:1\"]}\n  c: {ports: [\"4000:1/udp\"]}\n",
            ),
            ("api.socket", "[Socket]\nListenStream=4001\n"),
            ("other/compose.yaml", "services: {d: {ports: [\"4001:1\"]}}\n"),
        ]);
        let answer = directory.json(&["compose.yaml", "api.socket", "other/compose.yaml"]);
        assert_eq!(answer["exit_code"], 1);
        assert_eq!(
            words(&answer),
            [
                "a 4000/tcp collision",
                "b 127.0.0.1 4000/tcp collision",
                "c 4000/udp free",
                "api.socket 4001/tcp collision",
                "d 4001/tcp collision"
            ]
        );
        // The first one may keep it.
        assert!(answer["preflight"][0]["suggestion"].is_null() && answer["preflight"][1]["suggestion"].is_u64());
        let table = directory.run(&["compose.yaml", "api.socket", "other/compose.yaml"]).stdout;
        assert!(table.contains("other/compose.yaml:1 d asks for it, too"), "{table}");
    });
}

#[test]
fn a_variable_without_a_value_is_unresolved() {
    in_namespace(|| {
        let compose = "services:\n  web:\n    ports:\n      - \"${WEB_PORT:?choose one}:80\"\n      - \"4001:81\"\n";
        let directory = Directory::with(&[("compose.yaml", compose)]);
        let answer = directory.json(&[]);
        assert_eq!((&answer["exit_code"], words(&answer)[0].as_str()), (&value!(3), "web null/tcp unresolved"));
        assert_eq!(answer["preflight"][0]["reason"], "WEB_PORT has no value: choose one");
        // The environment of the caller counts, and then .env.
        let mut command = directory.command(&["--json"]);
        command.env("WEB_PORT", "4005");
        assert_eq!(words(&json_of(command))[0], "web 4005/tcp free");
        std::fs::write(directory.path(".env"), "WEB_PORT=4006\n").unwrap();
        assert_eq!(words(&directory.json(&[]))[0], "web 4006/tcp free");
        // what is not available weighs more.
        let (_server, _) = Role::playing("listen 127.0.0.1:4001");
        std::fs::remove_file(directory.path(".env")).unwrap();
        assert_eq!(directory.json(&[])["exit_code"], 1);
    });
}

#[test]
fn a_malformed_file_is_a_usage_error_with_its_place() {
    let laughs =
        format!("a: &a [{}]\nb: &b [{}]\nservices: {{web: {{ports: *b}}}}\n", "x,".repeat(10), "*a,".repeat(10));
    for (name, text, place) in [
        ("compose.yaml", "services:\n  web: a: b\n", "compose.yaml:2:9: "),
        ("compose.yaml", "services:\n  web:\n    ports:\n      - \"80:x\"\n", "compose.yaml:4:9: "),
        ("compose.yaml", "services:\n  web:\n    ports: 80\n", "compose.yaml:3:12: "),
        ("compose.yaml", laughs.as_str(), "compose.yaml:1:"),
        ("compose.yaml", "services: {web: {extends: web}}\n", "compose.yaml:1:27: 'web' extends itself"),
        ("compose.yaml", "include: [compose.yaml]\n", "compose.yaml: it is one of more than 100 files"),
        ("web.socket", "[Socket]\nListenStream=x\n", "web.socket:2: "),
        ("package.json", "{\n", "package.json:2:0: "),
    ] {
        let directory = Directory::with(&[(name, text)]);
        let failed = directory.run(&[name]);
        assert_eq!((failed.code, failed.stdout.as_str()), (2, ""), "{text:?}: {failed:?}");
        let expected = format!("portcheck: {place}");
        assert!(failed.stderr.starts_with(expected.trim_end_matches("0: ")), "{text:?}: {failed:?}");
        let answer = directory.json(&[name]);
        assert_eq!((&answer["exit_code"], &answer["error"]["kind"]), (&value!(2), &value!("usage")));
    }
    let empty = Directory::with(&[]);
    assert_eq!(empty.run(&[]).code, 2);
    assert_eq!(
        empty.run(&["missing.yaml"]).stderr.lines().next().unwrap().split(" (").next(),
        Some("portcheck: missing.yaml: cannot read it: No such file or directory")
    );
}

/// Nothing waits for a FIFO, and nothing large is read.
#[test]
fn odd_files_are_refused_at_once() {
    let directory = Directory::with(&[]);
    assert!(Command::new("mkfifo").arg(directory.path("compose.yaml")).status().unwrap().success());
    assert_eq!(directory.run(&["compose.yaml"]).code, 2);
    std::fs::write(directory.path("large.yaml"), "#".repeat(2 << 20)).unwrap();
    assert_eq!(directory.run(&["large.yaml"]).code, 2);
}

#[test]
fn overrides_profiles_extends_and_includes() {
    in_namespace(|| {
        let directory = Directory::with(&[
            (
                "compose.yaml",
                "include:\n  - path: sub/compose.yaml\n    env_file: sub/my.env\n\
                 services:\n  base: &base {profiles: [never], ports: [\"4000:1\"]}\n  web: {extends: base, ports: [\"4001:1\"]}\n\
                 \x20 tool: {<<: *base, profiles: [tools]}\n  hosted: {network_mode: host, ports: [\"4003:1\"]}\n\
                 \x20 far: {extends: {file: sub/base.yaml, service: near}}\n  gone: {ports: [\"4009:1\"]}\n",
            ),
            (
                "compose.override.yaml",
                "services: {web: {ports: [\"4001:1\", \"4004:1\"]}, gone: {ports: !override [\"4010:1\"]}}\n",
            ),
            ("sub/compose.yaml", "services: {sub: {ports: [\"${SUB}:1\"]}}\n"),
            ("sub/my.env", "SUB=4005\n"),
            ("sub/base.yaml", "services: {near: {ports: [\"4006:1\"]}}\n"),
        ]);
        let ports = |arguments: &[&str]| -> Vec<String> {
            let mut words = words(&directory.json(arguments));
            words.sort();
            words
        };
        let usual = [
            "far 4006/tcp free",
            "gone 4010/tcp free",
            "sub 4005/tcp free",
            "web 4000/tcp free",
            "web 4001/tcp free",
            "web 4004/tcp free",
        ];
        assert_eq!(ports(&[]), usual);
        assert!(ports(&["--profile", "tools"]).contains(&"tool 4000/tcp collision".to_owned()));
    });
}

#[test]
fn a_directory_is_searched() {
    in_namespace(|| {
        let directory = Directory::with(&[
            ("docker-compose.yml", "services: {web: {ports: [\"4000:80\"]}}\n"),
            ("Procfile", "web: serve --port 4001\n"),
            (".env", "PORT=4000\n"),
            (".devcontainer/devcontainer.json", "{\"forwardPorts\": [4000]} // the same\n"),
            ("package.json", "{\"scripts\": {\"dev\": \"vite --port 4000\", \"ui\": \"next dev\"}}\n"),
            ("web.socket", "[Socket]\nListenDatagram=4003\n"),
            (
                "pod.yaml",
                "apiVersion: v1\nkind: Pod\nmetadata: {name: pod}\nspec: {containers: [{ports: [{hostPort: 4004}]}]}\n",
            ),
            ("other.yaml", "not: for us\n"),
        ]);
        let answer = directory.json(&[]);
        let found = words(&answer);
        // A script, its variables and the container around it are the same program.
        assert_eq!(
            found,
            [
                "web 4000/tcp free",
                "web 4001/tcp free",
                "forwardPorts 127.0.0.1 4000/tcp free",
                "dev 4000/tcp free",
                "ui 3000/tcp free",
                "PORT 4000/tcp free",
                "pod 4004/tcp free",
                "web.socket 4003/udp free",
            ]
        );
        let row = |service: &str| {
            answer["preflight"].as_array().unwrap().iter().find(|row| row["service"] == service).unwrap().clone()
        };
        assert_eq!((&row("ui")["default"], &row("dev")["default"]), (&value!(true), &value!(false)));
        // What no file names does not count.
        let (_server, _) = Role::playing("listen 127.0.0.1:3000");
        let answer = directory.json(&[]);
        assert_eq!((&answer["exit_code"], &answer["preflight"][4]["status"]), (&value!(0), &value!("held")));
    });
}
