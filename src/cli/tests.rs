use super::*;

fn arguments(typed: &str) -> Vec<OsString> {
    typed.split(' ').map(OsString::from).collect()
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn json_is_recognised_before_the_command_line_is_understood() {
    assert!(wants_json(&arguments("portcheck --nonsense --json")));
    assert!(wants_json(&arguments("portcheck --format=json 99999")));
    assert!(wants_json(&arguments("portcheck --format json 99999")));
    assert!(!wants_json(&arguments("portcheck --format csv json")));
    assert!(!wants_json(&arguments("portcheck 1 -- --json")));
}

#[test]
fn every_mistake_is_one_line() {
    for typed in
        ["--nonsense", "--jsn", "--format xml", "--pid x", "80 --pid 1", "--quiet --json", "99999", "53/udp --tcp"]
    {
        match parse(&arguments(&format!("portcheck {typed}"))) {
            Err(Stop::Usage(message)) => assert!(!message.is_empty() && !message.contains('\n'), "{message}"),
            other => panic!("{typed}: {other:?}"),
        }
    }
}

fn usage(typed: &str) -> String {
    match parse(&arguments(&format!("portcheck {typed}"))) {
        Err(Stop::Usage(message)) => message,
        other => panic!("{typed}: {other:?}"),
    }
}

/// Regression: clap does not ask for what an option requires if that conflicts with another one that is given, so that
/// `8080 --wait free --dry-run -- CMD` ran CMD.
#[test]
fn an_option_of_one_action_is_refused_beside_another() {
    const KILL: [&str; 9] = [
        "--yes",
        "--dry-run",
        "--signal KILL",
        "--grace 1s",
        "--force",
        "--clients",
        "--supervisor",
        "--remnants",
        "--settle 1s",
    ];
    const WAIT: [&str; 3] = ["--timeout 1s", "--any", "--by nosuch"];
    const FREE: [&str; 11] = [
        "--range 1-2",
        "--prefer 80",
        "--near 80",
        "--addr 127.0.0.1",
        "--sticky x",
        "--ttl 5s",
        "--hold",
        "--env A",
        "--env-file x",
        "--pass-fds",
        "--release-on-exec",
    ];
    let all = [("--kill", &KILL[..]), ("--wait", &WAIT), ("--free", &FREE)];
    let asked = [
        "8080 --kill",
        "8080 --wait free",
        "8080 --wait listening",
        "--free",
        "--leases",
        "--release 80",
        "--explain free",
        "8080",
        "--all",
    ];
    for typed in asked {
        for (action, options) in all.iter().filter(|(action, _)| !typed.contains(action)) {
            for option in *options {
                let name = option.split(' ').next().unwrap();
                let typed = format!("{typed} {option}");
                assert_eq!(usage(&typed), format!("{name} goes with {action}"), "{typed}");
            }
        }
    }
    for typed in ["8080 --wait free --dry-run -- echo", "--free --dry-run -- echo", "8080 --wait free -y -- echo"] {
        assert!(usage(typed).ends_with(" goes with --kill"), "{typed}");
    }
    for typed in ["--explain free --kill", "--explain free --wait free", "--explain free --leases"] {
        assert!(usage(typed).contains("--explain"), "{typed}");
    }
    // The same of what goes with a command: --ttl and --hold conflict with one.
    for option in ["--pass-fds", "--release-on-exec"] {
        for other in ["", " --ttl 5s", " --hold"] {
            let typed = format!("--free {option}{other}");
            assert_eq!(usage(&typed), format!("{option} goes with a command: add '-- CMD'"), "{typed}");
        }
    }
}

/// Regression: it judged the owners of a port that has none, and waited until the time was over.
#[test]
fn nobody_is_awaited_on_a_free_port() {
    assert!(usage("8080 --wait free --by node").starts_with("--by "));
}

/// Regression: the JSON said that all went well, before a command that ended with another code.
#[test]
fn standard_output_is_the_commands_own() {
    for typed in ["8080 --wait free --json -- false", "8080 --wait listening --format json -- false"] {
        assert!(usage(typed).starts_with("--json: standard output is the command's own"), "{typed}");
    }
}

/// Regression: the protocols of a service name were taken for some that were asked for, so that `https --wait listening`
/// waited for 443/udp too, and `https --udp` was refused because of 443/tcp.
#[test]
fn a_service_name_asks_for_no_protocol() {
    let goals = |typed: &str| match parse(&arguments(&format!("portcheck {typed}"))) {
        Ok(Wish::Wait(_, waiting)) => waiting.goals,
        other => panic!("{typed}: {other:?}"),
    };
    for (name, number) in [
        ("https --wait listening", "443 --wait listening"),
        ("https,80 --wait listening", "443,80 --wait listening"),
        ("domain --wait listening --udp", "53 --wait listening --udp"),
        ("domain/udp --wait listening", "53/udp --wait listening"),
        ("192.0.2.7:https --wait listening", "192.0.2.7:443 --wait listening"),
        ("db:https --wait listening", "db:443 --wait listening"),
    ] {
        assert_eq!(goals(name), goals(number), "{name}");
    }
    assert!(usage("db:domain/udp --wait listening").contains("UDP"));
    for (option, expected) in [("--tcp", Protocol::Tcp), ("--udp", Protocol::Udp)] {
        let wish = parse(&arguments(&format!("portcheck domain {option}"))).unwrap();
        let Wish::Answer(Invocation { request: Request { question: Question::Check(targets), .. }, .. }) = wish else {
            panic!("{option}: {wish:?}")
        };
        assert_eq!(targets.iter().map(|target| target.protocol).collect::<Vec<_>>(), [Some(expected)]);
    }
    assert!(matches!(parse(&arguments("portcheck --free --near https")), Ok(Wish::Free(..))));
}

/// Regression: what cannot be told of another machine was ignored.
#[test]
fn other_machines_are_asked_for_tcp_and_tell_no_owner() {
    assert!(usage("db:80 --wait listening --udp").starts_with("--udp "));
    assert!(usage("8080 db:80 --wait listening --by node").starts_with("--by "));
}

/// Regression: as clap does not ask for a target beside options of the listing, these were ignored there.
#[test]
fn what_is_about_a_target_is_refused_without_one() {
    for beside in ["", "--exposed ", "--sort port ", "--process x ", "--leases ", "--release 80 ", "--explain free "] {
        for option in ["--reuse-addr", "--quick"] {
            let message = usage(&format!("{beside}{option}"));
            assert!(message.starts_with(&format!("{option} goes with a TARGET")), "{beside}{option}: {message}");
        }
    }
}
