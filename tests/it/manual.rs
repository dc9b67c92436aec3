//! `portcheck man`: pages that man(1) shows, without a warning.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{has, run, skip};

/// The commands, as the first page of help lists them.
fn words() -> Vec<String> {
    let help = run(&["--help"]).stdout;
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let words = list.lines().filter_map(|line| line.split_whitespace().next());
    words.filter(|word| *word != "help").map(str::to_owned).collect()
}

/// What mandoc(1) has to say against a page.
fn complaints(page: &str) -> String {
    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-T", "lint", "-W", "warning"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut mandoc = mandoc.spawn().unwrap();
    mandoc.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    String::from_utf8(mandoc.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn every_command_has_a_page_without_faults() {
    let words = words();
    assert!(words.len() > 10, "{words:?}");
    let names = words.iter().map(|word| vec!["man", &**word]);
    for arguments in names.chain([vec!["man"]]) {
        let page = run(&arguments);
        assert_eq!((page.code, &*page.stderr), (0, ""), "{arguments:?}");
        for part in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "FILES", "SEE ALSO"] {
            let heading = if part.contains(' ') { format!("\n.SH \"{part}\"\n") } else { format!("\n.SH {part}\n") };
            assert!(page.stdout.contains(&heading), "{arguments:?} has no {part}: {}", page.stdout);
        }
        if has("mandoc") {
            assert_eq!(complaints(&page.stdout), "", "{arguments:?}");
        }
    }
    if !has("mandoc") {
        skip("no mandoc(1) to check manual pages");
    }
}

#[test]
fn a_page_that_is_not_there_is_a_mistake() {
    let run = run(&["man", "keep-leases"]);
    assert_eq!((run.code, &*run.stderr), (2, "portcheck: no command 'keep-leases': portcheck --help lists them\n"));
}
