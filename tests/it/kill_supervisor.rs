//! `portcheck kill` on processes that a supervisor starts again: by default it says so, and on
//! request the supervisor's own tool stops them.
//!
//! The tools are scripts that do to processes what the real ones do, and note how they were called.
//! tests/it/engines.rs has a real Docker engine.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::cgroup::Cgroup;
use crate::common::pids::in_pid_namespace;
use crate::common::role::Role;
use crate::common::{NOBODY, in_namespace, is_root, json_of, portcheck, skip};
use serde_json::{Value, json as value};

/// A directory with a tool that notes its arguments in `calls` and then runs `script`. If it is
/// asked to show something, it prints the file `shown`, if there is one.
fn tool(name: &str, script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    let show = "case \" $* \" in *\" show \"*) exec cat \"${0%/*}/shown\";; esac";
    std::fs::write(&path, format!("#!/bin/sh\n{show}\necho \"$@\" >>\"${{0%/*}}/calls\"\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn calls(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("calls")).unwrap_or_default()
}

/// Runs with `--json`, with the tools of `directory` first on the PATH.
fn json_with(directory: &Path, arguments: &[&str]) -> Value {
    let mut command = portcheck(&[arguments, &["--json"]].concat());
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", directory.display()));
    json_of(command)
}

/// A role that is in a cgroup before it makes its socket. If that is not possible, says why and
/// returns `None`.
fn playing_in(path: &str) -> Option<(Cgroup, Role)> {
    let cgroup = match is_root().then(|| Cgroup::make(path)) {
        Some(Ok(cgroup)) => cgroup,
        other => {
            skip(&format!("needs root and cgroups of version 2: {other:?}"));
            return None;
        }
    };
    let mut role = Role::start("listen 127.0.0.1:8080");
    cgroup.add(role.pid());
    role.go();
    Some((cgroup, role))
}

#[test]
fn a_service_is_said_to_come_back_and_is_stopped_by_systemctl_on_request() {
    in_namespace(|| {
        let unit = format!("portcheck-test-{}.service", std::process::id());
        let Some((_cgroup, role)) = playing_in(&format!("/system.slice/{unit}")) else { return };
        let systemctl = tool("systemctl", &format!("kill {}", role.pid()));
        let answer = json_with(systemctl.path(), &["8080", "--kill", "--dry-run"]);
        let stop = format!("sudo systemctl stop -- {unit}");
        let expected = value!({ "kind": "systemd", "name": unit, "stop": stop });
        assert_eq!(answer["kill"]["holders"][0]["supervisor"], expected);
        let words = crate::common::run(&["8080", "--kill", "--dry-run"]);
        assert!(words.stdout.contains(&format!("{unit} may start it again when it ends\n")), "{words:?}");
        assert!(words.stdout.contains(&stop) && words.stdout.contains("--supervisor"), "{words:?}");

        let answer = json_with(systemctl.path(), &["8080", "--kill", "--yes", "--supervisor"]);
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("freed"), &value!(0)), "{answer:#}");
        let steps = answer["kill"]["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 1, "{steps:?}");
        let command = value!(["systemctl", "--no-ask-password", "stop", "--", unit]);
        assert_eq!((&steps[0]["command"], &steps[0]["result"]), (&command, &value!("done")));
        assert_eq!(calls(systemctl.path()), format!("--no-ask-password stop -- {unit}\n"));
    });
}

#[test]
fn a_service_that_comes_back_is_named_with_its_unit() {
    in_namespace(|| {
        let unit = format!("portcheck-back-{}.service", std::process::id());
        let Some((cgroup, first)) = playing_in(&format!("/system.slice/{unit}")) else { return };
        // Plays systemd: waits until the service has ended, and starts it again.
        let mut second = Role::start("listen 127.0.0.1:8080");
        cgroup.add(second.pid());
        let kill = portcheck(&["8080/tcp", "--kill", "--yes", "--settle", "5s", "--json"]);
        let run = std::thread::spawn(move || json_of(kill));
        let stat = format!("/proc/{}/stat", first.pid());
        crate::common::server::until("it ended", || std::fs::read_to_string(&stat).unwrap().contains(") Z "));
        // Not during the first look at the port, which binds it for a moment: no event tells when
        // the look ends.
        std::thread::park_timeout(std::time::Duration::from_millis(300));
        second.go();
        let answer = run.join().unwrap();
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("taken-again"), &value!(1)));
        let taker = &answer["kill"]["taken_by"][0];
        assert_eq!((&taker["pid"], &taker["started_by"]), (&value!(second.pid()), &value!(unit)));
        assert_eq!(taker["remedies"][0]["command"], format!("sudo systemctl stop -- {unit}"));
    });
}

#[test]
fn a_tool_that_fails_or_is_missing_is_said_and_nobody_signalled_instead() {
    in_namespace(|| {
        let unit = format!("portcheck-fail-{}.service", std::process::id());
        let Some((_cgroup, role)) = playing_in(&format!("/user.slice/user-7.slice/user@7.service/app.slice/{unit}"))
        else {
            return;
        };
        let systemctl = tool("systemctl", "echo first >&2; echo Access denied >&2; exit 4");
        let answer = json_with(systemctl.path(), &["8080", "--kill", "--yes", "--supervisor", "--force"]);
        let step = &answer["kill"]["steps"][0];
        assert_eq!((&step["result"], &step["reason"]), (&value!("failed"), &value!("Access denied")));
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("still-held"), &value!(1)));
        assert_eq!(answer["kill"]["steps"].as_array().unwrap().len(), 1);
        assert_eq!(calls(systemctl.path()), format!("--user --machine=7@ stop -- {unit}\n"));

        let empty = tempfile::tempdir().unwrap();
        let mut command = portcheck(&["8080", "--kill", "--yes", "--supervisor", "--json"]);
        command.env("PATH", empty.path());
        let answer = json_of(command);
        assert_eq!(answer["kill"]["steps"][0]["result"], "missing");
        assert!(answer["kill"]["steps"][0]["reason"].as_str().unwrap().contains("systemctl"));
        assert_eq!(answer["kill"]["holders"][0]["pid"], role.pid());
    });
}

/// The name of a cgroup proves nothing. tests/it/engines.rs has real containers.
#[test]
fn a_container_that_no_engine_confirms_is_not_stopped() {
    in_namespace(|| {
        let id = format!("{:064x}", u64::from(std::process::id()) + 0xabc_0000_0000);
        for (runtime, path) in
            [("docker", format!("/docker/{id}")), ("podman", format!("/machine.slice/libpod-{id}.scope"))]
        {
            let Some((_cgroup, role)) = playing_in(&path) else { return };
            let docker = tool(runtime, &format!("kill {}", role.pid()));
            let answer = json_with(docker.path(), &["8080", "--kill", "--yes", "--supervisor"]);
            assert_eq!((&answer["kill"]["outcome"], calls(docker.path())), (&value!("refused"), String::new()));
            let refused = &answer["kill"]["refused"][0];
            assert!(refused["reason"].as_str().unwrap().contains("no engine of yours confirms that"), "{refused}");
            assert_eq!(refused["remedies"][0]["command"], format!("{runtime} stop {}", &id[..12]));
        }
    });
}

/// Regression: a process chose its own name and arguments, and a container with another port was
/// stopped for it.
#[test]
fn a_process_that_calls_itself_a_proxy_of_docker_stops_no_container() {
    in_namespace(|| {
        if !crate::common::has("bash") {
            return skip("no bash to give a program another name");
        }
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let script = "exec 3<>\"$0\"; echo go >&3; \
                      exec -a docker-proxy \"$1\" --exact role --nocapture -- -proto tcp -host-port 5432 <&3 >/dev/null";
        let mut forged = Command::new("bash");
        forged.args(["-c", script]).arg(&fifo).arg(std::env::current_exe().unwrap());
        forged.env("PORTCHECK_TEST_ROLE", "listen 127.0.0.1:9999");
        let forged = crate::common::Background::spawn(&mut forged);
        crate::common::until_it_listens(9999);
        let report = crate::common::run(&["9999/tcp"]);
        assert!(!report.stdout.contains("docker stop") && report.stdout.contains("portcheck kill "), "{report:?}");
        let docker = tool("docker", "echo 123abc");
        let answer = json_with(docker.path(), &["9999/tcp", "--kill", "--yes", "--supervisor"]);
        assert_eq!(answer["kill"]["outcome"], "freed", "{answer:#}");
        assert_eq!(answer["kill"]["steps"][0]["pid"], forged.pid());
        assert_eq!(calls(docker.path()), "");
    });
}

/// Only systemd knows whether it starts a service again.
#[test]
fn a_service_that_is_not_restarted_is_ended_as_any_other() {
    in_namespace(|| {
        let unit = format!("portcheck-once-{}.service", std::process::id());
        let Some((cgroup, role)) = playing_in(&format!("/system.slice/{unit}")) else { return };
        let systemctl = tool("systemctl", "exit 1");
        let shows = |text: String| std::fs::write(systemctl.path().join("shown"), text).unwrap();
        let kill = || json_with(systemctl.path(), &["kill", "8080", "--yes"]);
        shows(format!("Restart=always\nRestartUSec=1min 30s\nMainPID={}\n", role.pid()));
        let answer = kill();
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("refused"), &value!(1)), "{answer:#}");
        let remedies = answer["kill"]["refused"][0]["remedies"].to_string();
        assert!(remedies.contains("--supervisor") && remedies.contains("--settle 95s"), "{remedies}");

        // A daemon that a job of cron left behind. Nobody starts it again, whatever happens to
        // cron.
        shows(format!("Restart=on-failure\nRestartUSec=100ms\nMainPID={}\n", std::process::id()));
        let answer = kill();
        assert_eq!((&answer["kill"]["outcome"], &answer["kill"]["watched_ms"]), (&value!("freed"), &value!(300)));

        let mut role = Role::start("listen 127.0.0.1:8080");
        cgroup.add(role.pid());
        role.go();
        shows(format!("Restart=no\nRestartUSec=100ms\nMainPID={}\n", role.pid()));
        let answer = kill();
        assert_eq!((&answer["kill"]["outcome"], &answer["kill"]["watched_ms"]), (&value!("freed"), &value!(300)));
    });
}

/// Stopping a unit that portcheck runs in would stop portcheck, too.
#[test]
fn the_unit_around_portcheck_itself_is_no_supervisor() {
    in_namespace(|| {
        let unit = format!("portcheck-runner-{}.service", std::process::id());
        let Some((cgroup, role)) = playing_in(&format!("/system.slice/{unit}")) else { return };
        let systemctl = tool("systemctl", "exit 1");
        let mut inside = cgroup.command(Path::new(env!("CARGO_BIN_EXE_portcheck")), 0, 0);
        inside.args(["8080", "--kill", "--yes", "--supervisor", "--json"]);
        let path = std::env::var("PATH").unwrap();
        inside.env("PATH", format!("{}:{path}", systemctl.path().display()));
        let answer = json_of(inside);
        assert_eq!((&answer["kill"]["outcome"], calls(systemctl.path())), (&value!("freed"), String::new()));
        assert_eq!(answer["kill"]["steps"][0]["pid"], role.pid());
    });
}

#[test]
fn daemons_that_restart_are_known_by_their_names() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for (name, kind) in [("supervisord", "supervisord"), ("PM2 v5.3.0: God Daemon", "pm2")] {
            // A shell that takes that name, and has the server as a child. The pipe never ends, as
            // it is also open for writing.
            let script = "printf %s \"$2\" >/proc/$$/comm; exec 3<>\"$0\"; echo go >&3; \
                          \"$1\" --exact role --nocapture <&3 >/dev/null; :";
            let mut daemon = Command::new("sh");
            daemon.args(["-c", script]).arg(&fifo).arg(std::env::current_exe().unwrap()).arg(name);
            daemon.env("PORTCHECK_TEST_ROLE", "listen 127.0.0.1:8080");
            let _daemon = crate::common::Background::spawn(&mut daemon);
            crate::common::until_it_listens(8080);
            let answer = crate::common::json(&["8080/tcp", "--kill", "--dry-run"]);
            assert_eq!(answer["kill"]["holders"][0]["supervisor"]["kind"], kind, "{answer:#}");
            // The tool needs a name, which it would know only if the process were what it calls
            // itself.
            for options in [&["--yes"][..], &["--yes", "--supervisor"], &["--yes", "--settle", "4s", "--force"]] {
                let answer = crate::common::json(&[&["kill", "8080/tcp"], options].concat());
                assert_eq!((&answer["kill"]["outcome"], &answer["kill"]["steps"]), (&value!("refused"), &value!([])));
                let refused = &answer["kill"]["refused"][0];
                assert_eq!(refused["supervisor"]["kind"], kind, "{answer:#}");
                assert!(refused["remedies"][0]["command"].as_str().unwrap().ends_with(" stop NAME"), "{answer:#}");
            }
            let answer = crate::common::json(&["kill", "8080/tcp", "--yes", "--settle", "5s"]);
            assert_eq!(answer["kill"]["outcome"], "freed", "{answer:#}");
        }
    });
}

/// The first process plays systemd, which listens for a socket unit.
#[test]
fn systemd_is_never_ended_for_its_socket_unit() {
    in_pid_namespace(1000, || {
        std::fs::write("/proc/self/comm", "systemd").unwrap();
        let _listener = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
        let answer = crate::common::json(&["8080/tcp", "--kill", "--yes", "--supervisor", "--force"]);
        assert_eq!((&answer["kill"]["outcome"], &answer["kill"]["steps"]), (&value!("refused"), &value!([])));
        let reason = answer["kill"]["refused"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("listens for ") && reason.contains("never ended itself"), "{reason}");
    });
}

/// A delegated cgroup in which its user makes another one called `name`, with a server in it.
fn serving_in_delegated(path: &str, name: &str) -> Option<(Cgroup, Role)> {
    let cgroup = match is_root().then(|| Cgroup::make(path)) {
        Some(Ok(cgroup)) => cgroup,
        other => {
            skip(&format!("needs root and cgroups of version 2: {other:?}"));
            return None;
        }
    };
    for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
        std::os::unix::fs::chown(cgroup.path().join(file), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut role = Role::start_as_user(NOBODY, "listen 127.0.0.1:8080");
    cgroup.add(role.pid());
    let enter = "mkdir -p \"$1\" && echo \"$2\" >\"$1/cgroup.procs\"";
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", enter, "sh"]);
    assert!(command.arg(cgroup.path().join(name)).arg(role.pid().to_string()).status().unwrap().success());
    role.go();
    Some((cgroup, role))
}

/// Regression: the name of a cgroup below a delegated one made root stop another user's container,
/// or sshd.
#[test]
fn a_delegated_cgroup_makes_nobody_else_stop() {
    in_namespace(|| {
        let evil = format!("portcheck-evil-{}.service", std::process::id());
        let id = "8f".repeat(32);
        let user = "user.slice/user-4001.slice/user@4001.service";
        let scope = format!("docker-{id}.scope");
        for (delegated, name, stop) in [
            (&*format!("system.slice/{evil}"), "sshd.service", format!("--no-ask-password stop -- {evil}\n")),
            (&format!("system.slice/{evil}"), &scope, format!("--no-ask-password stop -- {evil}\n")),
            (&format!("{user}/app.slice/{evil}"), "sshd.service", format!("--user --machine=4001@ stop -- {evil}\n")),
            (&format!("{user}/app.slice"), &scope, String::new()),
            (&format!("portcheck-{}", std::process::id()), &scope, String::new()),
        ] {
            let Some((_cgroup, _role)) = serving_in_delegated(delegated, name) else { return };
            let report = crate::common::run(&["8080/tcp"]).stdout;
            assert!(!report.contains("docker stop") && !report.contains("stop -- sshd"), "{report}");
            let tools = tool("systemctl", "exit 1");
            std::fs::copy(tools.path().join("systemctl"), tools.path().join("docker")).unwrap();
            json_with(tools.path(), &["8080/tcp", "--kill", "--yes", "--supervisor"]);
            assert_eq!(calls(tools.path()), stop, "{delegated} {name}");
        }
    });
}

/// Regression: it was printed as an option, by which systemctl went to another machine.
#[test]
fn the_name_of_a_unit_is_never_an_option_and_never_needs_quotes() {
    in_namespace(|| {
        let unit = format!("-Hroot@evil{}.service", std::process::id());
        let Some((_cgroup, role)) = playing_in(&format!("/system.slice/{unit}")) else { return };
        let stop = format!("sudo systemctl stop -- {unit}");
        let report = crate::common::run(&["8080/tcp"]).stdout;
        assert!(report.contains(&stop), "{report}");
        let systemctl = tool("systemctl", &format!("kill {}", role.pid()));
        json_with(systemctl.path(), &["8080", "--kill", "--yes", "--supervisor"]);
        assert_eq!(calls(systemctl.path()), format!("--no-ask-password stop -- {unit}\n"));
        drop(role);

        let unit = format!("a$(reboot)\\x2d{}.service", std::process::id());
        let Some((_cgroup, _role)) = playing_in(&format!("/system.slice/{unit}")) else { return };
        let answer = crate::common::json(&["8080/tcp"]);
        let remedy = &answer["ports"][0]["findings"][0]["remedies"][0];
        assert_eq!(remedy["command"], Value::Null, "{remedy}");
        assert_eq!(remedy["text"], format!("stop its service, {unit}"));
        let systemctl = tool("systemctl", "exit 1");
        let answer = json_with(systemctl.path(), &["8080", "--kill", "--yes", "--supervisor"]);
        assert_eq!((&answer["kill"]["outcome"], calls(systemctl.path())), (&value!("refused"), String::new()));
    });
}
