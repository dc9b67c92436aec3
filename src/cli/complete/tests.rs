use super::*;

fn complete(typed: &str) -> Vec<String> {
    let mut words: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
    let current = words.pop().unwrap();
    super::complete(&words, &current).into_iter().map(|candidate| candidate.value).collect()
}

#[test]
fn a_line_without_a_command_is_completed_as_the_one_it_becomes() {
    for (typed, expected, unexpected) in [
        ("ki", "kill", "--kill"),
        ("he", "help", "check"),
        ("--ex", "--exposed", "--explain"),
        ("--re", "--reuse-addr", "--remnants"),
        ("8080 --re", "--reuse-addr", "--remnants"),
        ("8080 --kill --re", "--remnants", "--reuse"),
        ("kill 8080 --re", "--remnants", "--reuse"),
        ("--json kill --re", "--remnants", "--reuse"),
        ("--format ", "ndjson", "kill"),
        ("--backend n", "native", "kill"),
        ("--columns p", "port", "kill"),
        ("--process kill --so", "--sort", "--signal"),
        ("8080 --wait ", "listening", "8080"),
        ("wait 8080 --for=an", "--for=answering", "answering"),
        ("explain time", "time-wait", "listener"),
        ("--explain time", "time-wait", "listener"),
        #[cfg(unix)]
        ("kill 80 --signal H", "HUP", "TERM"),
        ("completions f", "fish", "zsh"),
        ("man ki", "kill", "check"),
        ("help ki", "kill", "check"),
    ] {
        let found = complete(typed);
        assert!(found.iter().any(|value| value == expected), "{typed}: {found:?}");
        assert!(!found.iter().any(|value| value == unexpected), "{typed}: {found:?}");
    }
}

#[test]
fn nothing_is_offered_for_another_command_and_nothing_panics() {
    for typed in ["free -- ", "free -- portcheck ki", "kill --leases ", "-- 80", "--kill= --", "\u{1b} "] {
        let found = complete(typed);
        assert!(!found.iter().any(|value| value == "kill"), "{typed}: {found:?}");
    }
}

#[test]
fn options_are_offered_when_one_is_begun() {
    let found = complete("kill 8080 --");
    assert!(found.iter().all(|value| value.starts_with("--")) && found.len() > 10, "{found:?}");
    assert!(!complete("").iter().any(|value| value.starts_with('-')));
}

/// A name is anybody's. What a shell would act upon is not offered, and a description is one line.
#[test]
fn hostile_names_stay_words() {
    for hostile in ["$(id)", "a b", "`id`", "a;b", "a\nb", "\u{1b}[2J", "'", "~root", "*", ""] {
        assert!(Candidate::of(&CompletionCandidate::new(hostile)).is_none(), "{hostile}");
    }
    let about = "a\tb\u{1b}[2J\nkill".to_owned();
    let found = candidates::matching(OsStr::new("8"), [("80".to_owned(), Some(about))]);
    let about = Candidate::of(&found[0]).unwrap().about.unwrap();
    assert_eq!(about, "a\\tb\\u{1b}[2J\\nkill");
}

#[test]
fn every_shell_has_a_script_that_calls_back() {
    for shell in Shell::VARIANTS {
        let script = shell.parse::<Shell>().unwrap().script();
        assert!(script.contains(ASKED_BY) && script.contains("portcheck"), "{script}");
    }
}
