//! Whom `portcheck kill` does not end.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::common::role::Role;
use crate::common::server::until;
use crate::common::terminal::Terminal;
use crate::common::{in_namespace, is_root, json, json_as_nobody, json_of, numbers, skip};
use crate::kill::{is_running, outcome, shell_on_8080, steps};
use serde_json::json as value;

#[test]
fn who_started_portcheck_is_refused_and_nobody_ended_with_it() {
    in_namespace(|| {
        // This very test starts portcheck.
        let _own = TcpListener::bind("127.0.0.1:8080").unwrap();
        let (other, _) = Role::playing("listen [::1]:8080");
        let answer = json(&["8080", "--kill", "--yes", "--force"]);
        assert_eq!((outcome(&answer), steps(&answer)), ((&value!("refused"), &value!(1)), vec![]));
        let refused = answer["kill"]["refused"].as_array().unwrap();
        assert_eq!(numbers(&refused[0]["pids"]), [std::process::id()]);
        assert!(refused[0]["reason"].as_str().unwrap().contains("started portcheck"), "{refused:?}");
        assert_eq!(numbers(&refused[1]["pids"]), [other.pid()]);
        assert!(is_running(other.pid()));
    });
}

#[test]
fn another_users_holder_is_refused_with_the_reason() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let answer = json_as_nobody(&["8080", "--kill", "--yes"]);
        assert_eq!((outcome(&answer), steps(&answer)), ((&value!("refused"), &value!(1)), vec![]));
        let refusal = &answer["kill"]["refused"][0];
        assert!(refusal["reason"].as_str().unwrap().contains("hidden process of user root"), "{refusal}");
        assert!(refusal["remedies"][0]["command"].as_str().unwrap().starts_with("sudo "), "{refusal}");
        assert!(is_running(role.pid()));
        // A user's own process is ended without root.
        let (own, _) = Role::playing_as_user(crate::common::NOBODY, "listen 127.0.0.1:8081");
        let answer = json_as_nobody(&["8081", "--kill", "--yes"]);
        assert_eq!(steps(&answer), [(own.pid().into(), "TERM", "done")]);
    });
}

#[test]
fn who_ends_between_the_look_and_the_answer_is_not_signalled() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let pid = role.pid();
        let Some(mut terminal) = Terminal::start("8080 --kill") else { return };
        terminal.expect("[y/N] ");
        // It has ended and was reaped, so its id can be anybody's.
        drop(role);
        terminal.type_line("y");
        assert_eq!(terminal.end(), 0, "{}", terminal.said);
        assert!(terminal.said.contains(&format!("(pid {pid}) was not signalled: it had ended")), "{}", terminal.said);
    });
}

#[test]
fn who_lets_the_port_go_is_not_signalled() {
    in_namespace(|| {
        // It replaces its standard input when told to.
        let (directory, mut shell) = shell_on_8080("read line <\"$0\"; exec <&-; exec sleep 60");
        let fifo = directory.path().join("fifo");
        let Some(mut terminal) = Terminal::start("8080 --kill") else { return };
        terminal.expect("[y/N] ");
        assert!(terminal.said.contains(&format!("(pid {})", shell.pid())), "{}", terminal.said);
        std::fs::write(&fifo, "go\n").unwrap();
        let link = format!("/proc/{}/fd/0", shell.pid());
        until("it has closed it", || !Path::new(&link).is_symlink());
        terminal.type_line("y");
        assert_eq!(terminal.end(), 0, "{}", terminal.said);
        assert!(terminal.said.contains("no longer holds the port"), "{}", terminal.said);
        assert!(shell.0.try_wait().unwrap().is_none());
    });
}

/// Anybody can take that name and write a socket unit. Regression: such a process was never ended.
#[test]
fn who_merely_calls_itself_systemd_is_ended() {
    const WITH_A_UNIT: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/user && \
                               echo ListenStream=127.0.0.1:8080 >/run/systemd/user/web.socket && exec \"$@\"";
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        let alias = directory.path().join("systemd");
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &alias).unwrap();
        let mut role = Role::start_as(&alias, "listen 127.0.0.1:8080");
        role.go();
        assert_eq!(json(&["8080/tcp"])["processes"][0]["name"], "systemd");
        let mut kill = Command::new("unshare");
        kill.args(["-m", "--", "sh", "-c", WITH_A_UNIT, "sh", env!("CARGO_BIN_EXE_portcheck")]);
        kill.args(["8080", "--kill", "--yes", "--json"]);
        let answer = json_of(kill);
        assert_eq!(outcome(&answer), (&value!("freed"), &value!(0)), "{answer:#}");
        assert_eq!(steps(&answer), [(role.pid().into(), "TERM", "done")]);
    });
}
