use crate::model::Protocol;

use super::*;

fn arguments(typed: &str) -> Vec<OsString> {
    typed.split(' ').map(OsString::from).collect()
}

fn wish(typed: &str) -> Result<Wish, Stop> {
    parse(&arguments(&format!("portcheck {typed}"))).and_then(resolve)
}

fn usage(typed: &str) -> String {
    match wish(typed) {
        Err(Stop::Usage(message)) => message,
        other => panic!("{typed}: {other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

fn help(typed: &str) -> String {
    match wish(typed) {
        Err(Stop::Text(text)) => text.to_string(),
        other => panic!("{typed}: {other:?}"),
    }
}

/// Regression: the usage line of a command named the file of the program.
#[test]
fn help_calls_the_program_by_its_name() {
    match parse(&arguments("/tmp/other kill --help")) {
        Err(Stop::Text(text)) => assert!(text.to_string().contains("Usage: portcheck kill "), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_page_of_help_is_one_screen() {
    let page = help("--help");
    assert!(page.lines().count() <= 60, "{page}");
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    assert_eq!((&*page, &*page), (&*help("-h"), &*help("help")));
    // Commands first, then what they have in common.
    let order = ["Commands:", "Common options:", "Examples:", "Exit codes:"].map(|part| page.find(part).unwrap());
    assert!(order.is_sorted(), "{order:?}");
    let examples = page.split("Examples:").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(examples.trim().lines().count(), 5, "{examples}");
}

/// What the page says of options is written by hand.
#[test]
fn the_first_page_of_help_tells_of_options_that_are_there() {
    let definition = definition();
    for word in help::AFTER.split([' ', ',', ';', '\n']).filter(|word| word.starts_with('-') && word.len() > 1) {
        let is_there =
            definition.get_subcommands().flat_map(Command::get_arguments).any(|known| words::is_called(known, word));
        assert!(is_there || ["--", "-V", "--version"].contains(&word), "{word}");
    }
    for line in help::AFTER.lines().filter_map(|line| line.trim().strip_prefix("portcheck")) {
        let typed = line.split("   ").next().unwrap();
        assert!(!matches!(parse(&arguments(&format!("portcheck{typed}"))), Err(Stop::Usage(_))), "{typed}");
    }
}

#[test]
fn every_command_has_a_page_of_its_own() {
    for known in Cli::command().get_subcommands() {
        let command = known.get_name();
        let page = help(&format!("{command} --help"));
        assert!(page.starts_with(&about(known)), "{page}");
        assert!(page.contains(&format!("portcheck {command}")), "{page}");
        assert_eq!(page, help(&format!("help {command}")));
        assert_eq!(page, help(&format!("{command} -h")));
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    }
    let kill = help("kill --help");
    assert!(kill.contains("--grace") && !kill.contains("--sticky"), "{kill}");
    assert_eq!(help("8080 --kill --help"), kill);
}

#[test]
fn each_rule_between_options_is_obeyed() {
    let free = free::RULES.iter().map(|rule| (rule.example, rule.message));
    let wait = wait::RULES.iter().map(|rule| (rule.example, rule.message));
    let list = list::RULES.iter().map(|rule| (rule.example, rule.message));
    let preflight = preflight::RULES.iter().map(|rule| (rule.example, rule.message));
    let kill = kill::RULES.iter().map(|rule| (rule.example, rule.message));
    let reach = reach::RULES.iter().map(|rule| (rule.example, rule.message));
    let identify = identify::RULES.iter().map(|rule| (rule.example, rule.message));
    let check = check::RULES.iter().map(|rule| (rule.example, rule.message));
    let watch = watch::RULES.iter().map(|rule| (rule.example, rule.message));
    for (example, message) in
        free.chain(wait).chain(list).chain(check).chain(preflight).chain(kill).chain(reach).chain(identify).chain(watch)
    {
        assert_eq!(usage(example), message, "{example}");
    }
}

/// Parsing is for every machine the same: it knows no names, no interfaces, and binds nothing.
#[test]
fn what_depends_on_the_machine_is_read_later() {
    for typed in ["nonesuch", "kill [::1%nowhere]:80", "free --addr 203.0.113.9", "wait db:http --for listening"] {
        assert!(parse(&arguments(&format!("portcheck {typed}"))).is_ok(), "{typed}");
    }
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
        let message = usage(typed);
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
    }
}

/// Regression: clap does not ask for what an option requires if that conflicts with another one
/// that is given, so that `8080 --wait free --dry-run -- CMD` ran CMD.
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
                let typed = format!("{typed} {option}");
                let place = format!("it goes with portcheck {}", &action[2..]);
                // connections, preflight and watch have options of that name as well.
                let first = format!("it goes with portcheck connections, or portcheck {}", &action[2..]);
                let others = ["preflight", "watch"].map(|other| format!("{place}, or portcheck {other}"));
                let [second, third] = others;
                assert!([place, first, second, third].iter().any(|end| usage(&typed).ends_with(end)), "{typed}");
            }
        }
    }
    for typed in ["8080 --wait free --dry-run -- echo", "--free --dry-run -- echo", "8080 --wait free -y -- echo"] {
        assert!(usage(typed).ends_with(" goes with portcheck kill"), "{typed}");
    }
    for typed in ["--explain free --kill", "--explain free --wait free", "--explain free --leases"] {
        assert!(usage(typed).contains("two commands"), "{typed}");
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

/// Regression: the protocols of a service name were taken for some that were asked for, so that
/// `https --wait listening` waited for 443/udp too, and `https --udp` was refused because of
/// 443/tcp.
#[test]
fn a_service_name_asks_for_no_protocol() {
    let goals = |typed: &str| match wish(typed) {
        Ok(Wish::Wait(_, waiting, _)) => waiting.goals,
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
        let wish = wish(&format!("domain {option}")).unwrap();
        let Wish::Check(Request { targets, .. }, _) = wish else { panic!("{option}: {wish:?}") };
        assert_eq!(targets.iter().map(|target| target.protocol).collect::<Vec<_>>(), [Some(expected)]);
    }
    assert!(matches!(wish("--free --near https"), Ok(Wish::Pick(..))));
}

/// Regression: what cannot be told of another machine was ignored.
#[test]
fn other_machines_are_asked_for_tcp_and_tell_no_owner() {
    assert!(usage("db:80 --wait listening --udp").starts_with("--udp "));
    assert!(usage("8080 db:80 --wait listening --by node").starts_with("--by "));
}

/// Regression: as clap does not ask for a target beside options of the listing, these were ignored
/// there.
#[test]
fn what_is_about_a_target_is_refused_without_one() {
    for beside in ["", "--exposed ", "--sort port ", "--process x ", "--leases ", "--release 80 ", "--explain free "] {
        for option in ["--reuse-addr", "--quick"] {
            let message = usage(&format!("{beside}{option}"));
            assert!(
                message.contains(&format!("has no {option}: it goes with a TARGET")),
                "{beside}{option}: {message}"
            );
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_typed_makes_it_panic(
        typed in "((--?(kill|free|wait|for|release|explain|env|port|p|k|i|tulpn|json|yes|h|V|1)|kill|free|wait|help|tcp/80|8k|[0-9]:[0-9]|80|--|ß|\\PC{0,4})[ =]){0,6}",
    ) {
        if let Err(Stop::Usage(message)) = parse(&arguments(&format!("portcheck {typed}"))) {
            proptest::prop_assert!(!message.is_empty() && !message.contains('\n'), "{message}");
        }
    }
}

/// The live view ends processes as `portcheck kill` does if nothing is said.
#[test]
fn the_defaults_of_kill_are_those_of_its_options() {
    let Ok(Wish::Kill(_, options, _)) = wish("kill 8080") else { panic!("kill 8080") };
    assert_eq!(options, crate::commands::kill::Options::default());
}
