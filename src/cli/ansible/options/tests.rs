use serde_json::json;

use super::*;

fn typed(arguments: &Value) -> Result<(Task, String), String> {
    let (task, words) = command_line(arguments.as_object().unwrap())?;
    let words: Vec<String> = words.into_iter().map(|word| word.into_string().unwrap()).collect();
    Ok((task, words.join(" ")))
}

fn line(arguments: &Value) -> Result<String, String> {
    typed(arguments).map(|(_, line)| line)
}

#[test]
fn every_task_is_a_command_line() {
    for (arguments, meant) in [
        (json!({}), "list --json"),
        (json!({"ports": [5432, "53/udp"]}), "check 5432 53/udp --json"),
        (json!({"ports": "5432, 80", "protocol": "tcp"}), "check 5432 80 --tcp --json"),
        (json!({"ports": 80, "state": "free", "reuse_addr": "yes"}), "check 80 --reuse-addr --json"),
        (json!({"ports": [80], "state": "free", "kill": true}), "kill --yes 80 --json"),
        (json!({"ports": [80], "kill": "true", "processes": 7, "force": true}), "kill 80 --yes=7 --force --json"),
        (json!({"ports": [80], "kill": false, "timeout": null}), "check 80 --json"),
        (json!({"ports": [80], "wait": "listening", "timeout": 5}), "wait --for=listening 80 --timeout=5 --json"),
        (json!({"free": 2, "range": ["20000-20010", 30000]}), "free 2 --range=20000-20010,30000 --ttl=5m --json"),
        (json!({"free": 1, "ttl": "9m", "_ansible_check_mode": true}), "free 1 --ttl=0 --json"),
        (json!({"ports": [80], "wait": "free", "timeout": 5, "_ansible_check_mode": true}), "check 80 --json"),
        (json!({"reach": true, "from": ["10.0.0.1"]}), "reach --from=10.0.0.1 --json"),
        (json!({"preflight": ["/srv/compose.yaml"], "state": "free"}), "preflight /srv/compose.yaml --json"),
        (json!({"facts": true, "_ansible_version": "2.19.0"}), "list --json"),
    ] {
        assert_eq!(line(&arguments).as_deref(), Ok(meant), "{arguments}");
    }
}

#[test]
fn what_a_task_requires() {
    let task = |arguments: &Value| typed(arguments).unwrap().0;
    assert_eq!(task(&json!({"ports": [80]})).state, State::Reported);
    assert_eq!(task(&json!({"ports": [80], "kill": true})).state, State::Free);
    assert_eq!(task(&json!({"ports": [80], "state": "listening"})).state, State::Listening);
    assert!(task(&json!({"ports": [80], "kill": true, "_ansible_check_mode": true})).is_check);
    assert!(task(&json!({"facts": true})).is_fact);
}

/// A value must never become an option.
#[test]
fn what_cannot_be_meant_is_refused() {
    for (arguments, reason) in [
        (json!({"prots": [80]}), "unknown option 'prots': did you mean ports?"),
        (json!({"something": 1}), "unknown option 'something'"),
        (json!({"ports": ["--force"], "kill": true}), "'--force' is neither a port nor a file"),
        (json!({"ports": ["--yes"], "kill": true, "processes": 2}), "'--yes' is neither a port nor a file"),
        (json!({"ports": [""]}), "'' is neither a port nor a file"),
        (json!({"preflight": ["--env-file=/etc/passwd"]}), "neither a port nor a file"),
        (json!({"ports": [[80]]}), "ports is a list of single values"),
        (json!({"ports": [80], "kill": "perhaps"}), "kill is true or false, not 'perhaps'"),
        (json!({"ports": [80], "state": "open"}), "state is one of reported, free, listening, not 'open'"),
        (json!({"ports": [80], "protocol": "sctp"}), "protocol is tcp, udp or both, not 'sctp'"),
        (json!({"ports": [80], "kill": true, "wait": "free"}), "kill and wait are two tasks"),
        (json!({"ports": [80], "kill": true, "state": "reported"}), "kill goes with state: free"),
        (json!({"kill": true}), "kill needs 'ports'"),
        (json!({"free": 1, "ports": [80]}), "leave 'ports' out"),
        (json!({"ports": [80], "timeout": 5}), "timeout goes with wait only"),
        (json!({"state": "free"}), "give 'ports'"),
    ] {
        let told = line(&arguments).unwrap_err();
        assert!(told.contains(reason), "{arguments}: {told}");
    }
}
