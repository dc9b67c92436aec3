//! `portcheck ansible FILE`: what Ansible is told of a task. scripts/test-ansible runs real playbooks.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json as value};

use crate::common::role::Role;
use crate::common::seccomp::without;
use crate::common::{Run, in_namespace, is_root, portcheck, portcheck_as_nobody, skip};
use crate::program::require_schema;

/// What a task with these arguments comes to, and the exit code.
fn task(arguments: &Value) -> (Value, i32) {
    task_of(portcheck(&["ansible", "-"]), arguments)
}

fn task_of(mut command: Command, arguments: &Value) -> (Value, i32) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(arguments.to_string().as_bytes()).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((&*run.stderr, run.stdout.lines().count()), ("", 1), "{run:?}");
    (answer_in(&run), run.code)
}

/// What was printed. Without what Ansible reads, it is an ordinary document.
fn answer_in(run: &Run) -> Value {
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["failed"], run.code == 1, "{answer:#}");
    if answer.get("ansible_facts").is_none() {
        let mut document = answer.clone();
        document.as_object_mut().unwrap().retain(|key, _| !["changed", "failed", "msg"].contains(&&**key));
        require_schema(&document);
    }
    answer
}

/// `failed`, `changed` and `msg`.
fn told(answer: &Value) -> (bool, bool, &str) {
    let is = |key: &str| answer[key].as_bool().unwrap();
    (is("failed"), is("changed"), answer["msg"].as_str().unwrap())
}

#[test]
fn a_state_is_required_of_ports() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let (answer, code) = task(&value!({"ports": [8080]}));
        let (failed, changed, msg) = told(&answer);
        assert!(msg.starts_with("8080/tcp is in use: ") && msg.contains(&role.pid().to_string()), "{msg}");
        assert_eq!(
            (failed, changed, code, &answer["exit_code"], &answer["command"]),
            (false, false, 0, &value!(1), &value!("check"))
        );
        assert_eq!(answer["processes"][0]["pid"], role.pid());
        let (answer, code) = task(&value!({"ports": [8080], "state": "free"}));
        assert_eq!((told(&answer).0, code), (true, 1), "{answer:#}");
        let (answer, _) = task(&value!({"ports": ["8081", "8080"], "state": "listening"}));
        assert_eq!(told(&answer), (true, false, "nobody listens on 8081/tcp"));
        let (answer, _) = task(&value!({"ports": [8080], "state": "listening"}));
        assert!(!told(&answer).0, "{answer:#}");
        let (answer, _) = task(&value!({"ports": "8081,8082/udp", "state": "free"}));
        let (failed, _, msg) = told(&answer);
        assert!(
            !failed && msg.starts_with("8081 is free (tcp and udp)") && msg.contains("; 8082/udp is free"),
            "{msg}"
        );
        let (answer, _) = task(&value!({}));
        assert_eq!(told(&answer), (false, false, "1 port is in use"));
    });
}

#[test]
fn check_mode_tells_what_kill_would_do() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let mut arguments = value!({"ports": ["8080/tcp"], "state": "free", "kill": true, "_ansible_check_mode": true});
        let (answer, _) = task(&arguments);
        let (failed, changed, msg) = told(&answer);
        assert!(!failed && changed, "{answer:#}");
        assert!(msg.contains(&format!("(pid {}) would be ended, and 8080/tcp would be free", role.pid())), "{msg}");
        assert_eq!(answer["kill"]["outcome"], "would-free");
        arguments["_ansible_check_mode"] = value!(false);
        let (answer, _) = task(&arguments);
        let (failed, changed, msg) = told(&answer);
        assert!(!failed && changed && msg.starts_with("8080/tcp is free, and still is"), "{answer:#}");
        let (answer, _) = task(&arguments);
        assert_eq!(told(&answer), (false, false, "8080/tcp is already free"));
    });
}

/// A consent that does not cover the plan covers it in check mode neither.
#[test]
fn as_much_consent_is_needed_as_for_yes() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        for check in [true, false] {
            let arguments = value!({"ports": [8080], "kill": true, "processes": 2, "_ansible_check_mode": check});
            let (answer, _) = task(&arguments);
            let (failed, changed, msg) = told(&answer);
            assert!(failed && !changed && msg.contains("'processes: 2' does not cover"), "{answer:#}");
            assert_eq!(answer["kill"]["outcome"], "refused");
        }
        drop(role);
    });
}

#[test]
fn a_wait_ends_in_time() {
    in_namespace(|| {
        let (answer, _) = task(&value!({"ports": [8080], "wait": "listening", "timeout": "50ms"}));
        let (failed, _, msg) = told(&answer);
        assert!(failed && msg.starts_with("nobody listens on 8080/tcp, after"), "{msg}");
        assert_eq!(answer["exit_code"], 124);
        let (answer, _) = task(&value!({"ports": [8080], "wait": "listening", "_ansible_check_mode": true}));
        assert!(!told(&answer).0, "what would start the server did nothing either: {answer:#}");
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        let (answer, _) = task(&value!({"ports": [8080], "wait": "listening"}));
        assert!(!told(&answer).0 && told(&answer).2.starts_with("a process listens on 8080/tcp"), "{answer:#}");
    });
}

#[test]
fn picked_ports_are_leased_except_in_check_mode() {
    in_namespace(|| {
        let mut arguments = value!({"free": 2, "range": ["21000-21999"], "ttl": "2s"});
        let (answer, _) = task(&arguments);
        let (failed, changed, msg) = told(&answer);
        let ports = answer["free"]["ports"].as_array().unwrap();
        assert_eq!((failed, changed, ports.len()), (false, false, 2), "{answer:#}");
        assert_eq!(msg, format!("{} and {} are free", ports[0], ports[1]));
        assert_eq!(answer["free"]["leases"].as_array().unwrap().len(), 2, "{answer:#}");
        arguments["_ansible_check_mode"] = value!("yes");
        let (answer, _) = task(&arguments);
        assert_eq!((told(&answer).0, &answer["free"]["leases"]), (false, &value!([])), "{answer:#}");
        let (answer, _) = task(&value!({"free": 2, "range": "21000"}));
        assert!(told(&answer).0 && told(&answer).2.starts_with("you asked for 2 ports"), "{answer:#}");
    });
}

#[test]
fn listeners_are_facts() {
    in_namespace(|| {
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let (answer, _) = task(&value!({"facts": true, "_ansible_version": "2.19.0"}));
        let fact = &answer["ansible_facts"]["portcheck"];
        let expected = value!({"port": 8080, "protocol": "tcp", "addresses": ["127.0.0.1"], "pids": [role.pid()], "owners": "known"});
        for (key, expected) in expected.as_object().unwrap() {
            assert_eq!(&fact["listening"][0][key], expected, "{key}: {answer:#}");
        }
        assert_eq!((&fact["listening"][0]["exposure"], &answer["ports"]), (&value!("loopback"), &Value::Null));
    });
}

/// A host where we may not see the holder is no host where the port is free.
#[test]
fn a_hidden_holder_is_not_free() {
    in_namespace(|| {
        if !is_root() {
            return skip("only root can become another user");
        }
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        let (answer, code) =
            task_of(portcheck_as_nobody(&["ansible", "-"]), &value!({"ports": ["8080/tcp"], "state": "free"}));
        let (failed, _, msg) = told(&answer);
        assert!(failed && code == 1 && msg.ends_with("'become: true' would show more"), "{msg}");
        assert_eq!(answer["ports"][0]["sockets"][0]["owners"]["kind"], "hidden", "{answer:#}");
        let (answer, _) = task_of(portcheck_as_nobody(&["ansible", "-"]), &value!({"facts": true}));
        let fact = &answer["ansible_facts"]["portcheck"];
        assert_eq!((&fact["complete"], &fact["listening"][0]["owners"]), (&value!(false), &value!("hidden")));
    });
}

#[test]
fn files_that_ask_for_ports() {
    in_namespace(|| {
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("compose.yaml");
        std::fs::write(&file, "services:\n  web:\n    ports: ['8080:80']\n").unwrap();
        let mut arguments = value!({"preflight": [file]});
        let (answer, _) = task(&arguments);
        assert_eq!(told(&answer), (false, false, "1 of 1 port of 1 file is not available"));
        assert_eq!(answer["preflight"][0]["status"], "held");
        arguments["state"] = value!("free");
        assert!(told(&task(&arguments).0).0);
        std::fs::write(&file, "services: [").unwrap();
        let (answer, _) = task(&arguments);
        assert!(told(&answer).0 && answer["error"]["kind"] == "usage", "{answer:#}");
    });
}

/// What cannot be told fails a task, whatever it wants of the port.
#[test]
fn unknown_is_not_free() {
    const ENOBUFS: &str = "bind!105";
    in_namespace(|| {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("args");
        for (arguments, outcome) in [
            (value!({"ports": ["8080/tcp"], "state": "free"}), &Value::Null),
            (value!({"ports": ["8080/tcp"], "kill": true}), &value!("unknown")),
            (value!({"ports": ["8080/tcp"], "kill": true, "_ansible_check_mode": true}), &value!("unknown")),
        ] {
            std::fs::write(&file, arguments.to_string()).unwrap();
            let Some(mut command) = without(ENOBUFS, &["ansible", file.to_str().unwrap()]) else { return };
            let answer = answer_in(&Run::from(command.output().unwrap()));
            let (failed, changed, msg) = told(&answer);
            assert!(failed && !changed && msg.contains("cannot tell whether"), "{msg}");
            assert_eq!((&answer["exit_code"], &answer["kill"]["outcome"]), (&value!(3), outcome));
        }
    });
}

/// Ansible calls a module that is a program with the path of a file alone.
#[test]
fn the_program_is_a_module_by_itself() {
    in_namespace(|| {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("args");
        let path = file.to_str().unwrap();
        std::fs::write(&file, value!({"ports": [8080], "_ansible_version": "2.19.0"}).to_string()).unwrap();
        let run = Run::from(portcheck(&[path]).output().unwrap());
        let answer = answer_in(&run);
        assert!(!told(&answer).0 && told(&answer).2.starts_with("8080 is free"), "{answer:#}");
        // Any other file is no target, as ever.
        std::fs::write(&file, value!({"ports": [8080]}).to_string()).unwrap();
        let run = Run::from(portcheck(&[path]).output().unwrap());
        assert_eq!((run.code, &*run.stdout), (2, ""), "{run:?}");
        assert!(run.stderr.starts_with("portcheck: "), "{run:?}");
    });
}

#[test]
fn what_is_wrong_is_one_object_as_well() {
    let (answer, _) = task(&value!({"prots": [80]}));
    assert_eq!(told(&answer), (true, false, "unknown option 'prots': did you mean ports?"));
    assert_eq!((&answer["exit_code"], &answer["error"]["kind"]), (&value!(2), &value!("usage")));
    let (answer, _) = task(&value!({"ports": ["80x80"], "state": "free"}));
    assert!(told(&answer).2.contains("80x80"), "{answer:#}");
    let (answer, _) = task(&value!([]));
    assert!(told(&answer).2.contains("not a JSON object"), "{answer:#}");
    let missing = Run::from(portcheck(&["ansible", "/nonexistent/args"]).output().unwrap());
    assert!(missing.code == 1 && missing.stdout.contains("\"failed\":true"), "{missing:?}");
}
