//! The table of rules, and the page that is generated from it.

use std::fmt::Write;

use super::*;
use crate::testing::expect_file;

#[test]
fn the_table_of_rules_is_sound() {
    for (index, rule) in RULES.iter().enumerate() {
        assert!(RULES[..index].iter().all(|other| other.code != rule.code), "{} twice", rule.code);
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        assert!(rule.code.split('-').all(is_word), "{}", rule.code);
        let Explanation { what, why, detection, remedy } = rule.explanation;
        assert!([what, why, detection, remedy].iter().all(|text| text.ends_with('.')), "{}", rule.code);
    }
    let severities: Vec<Severity> = RULES.iter().map(|rule| rule.severity).collect();
    assert!(severities.is_sorted(), "conflicts first: {severities:?}");
}

/// Run with `PORTCHECK_UPDATE=1` to write the page again.
#[test]
fn the_page_of_verdicts_is_current() {
    let mut page = "# Verdicts\n\n\
        What `portcheck` can find on a port. The JSON has the code of each finding in `findings[].code`.\n\
        A code never changes its meaning.\n\n\
        A *conflict* makes the port `held`, *blocked* makes it `blocked`, *unknown* makes it `unknown`.\n\
        A *warning* or an *info* does not change the status.\n\n\
        This page is generated from the rules in `src/diagnose`.\n\n"
        .to_owned();
    for rule in RULES {
        writeln!(page, "- [`{0}`](#{0}), {1}", rule.code, rule.severity.into_str()).unwrap();
    }
    for rule in RULES {
        let Explanation { what, why, detection, remedy } = rule.explanation;
        writeln!(page, "\n## {}\n", rule.code).unwrap();
        writeln!(page, "{}\n", wrapped("", &format!("*{}.* {what}", rule.severity.into_str()))).unwrap();
        for (title, text) in [("Why it happens", why), ("How it is detected", detection), ("What to do", remedy)] {
            writeln!(page, "{}", wrapped("- ", &format!("**{title}:** {text}"))).unwrap();
        }
    }
    expect_file("docs/verdicts.md", &page);
}

/// A paragraph behind `mark`, in lines of at most 100 columns.
fn wrapped(mark: &str, text: &str) -> String {
    let indent = " ".repeat(mark.len());
    let options = textwrap::Options::new(100)
        .initial_indent(mark)
        .subsequent_indent(&indent)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(text, options)
}
