//! JUnit XML, which most CI systems show as tests.

use std::io::{self, Write};

use super::{Case, Outcome, harmless};

/// Writes a test for each case.
pub fn write(suite: &str, cases: &[Case], out: &mut dyn Write) -> io::Result<()> {
    let count = |result: Outcome| cases.iter().filter(|case| case.result == result).count();
    let (failures, errors) = (count(Outcome::Bad), count(Outcome::Unknown));
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites>")?;
    writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\">",
        text(suite),
        cases.len()
    )?;
    for case in cases {
        test(suite, case, out)?;
    }
    writeln!(out, "  </testsuite>")?;
    writeln!(out, "</testsuites>")
}

fn test(suite: &str, case: &Case, out: &mut dyn Write) -> io::Result<()> {
    let (class, place) = match &case.place {
        Some((file, line, _)) => (file.as_str(), format!(" file=\"{}\" line=\"{line}\"", text(file))),
        None => (suite, String::new()),
    };
    write!(out, "    <testcase classname=\"{}\" name=\"{}\"{place}", text(class), text(&case.name))?;
    let element = match case.result {
        Outcome::Good if case.message.is_empty() && case.warnings.is_empty() => return writeln!(out, "/>"),
        Outcome::Good => None,
        Outcome::Bad => Some("failure"),
        Outcome::Unknown => Some("error"),
    };
    writeln!(out, ">")?;
    let mut said: Vec<&str> = case.warnings.iter().map(String::as_str).collect();
    match element {
        Some(element) => {
            let first = case.message.lines().next().unwrap_or_default();
            let (kind, first, message) = (text(case.kind), text(first), text(&case.message));
            writeln!(out, "      <{element} type=\"{kind}\" message=\"{first}\">{message}</{element}>")?;
        }
        None => said.extend(Some(case.message.as_str()).filter(|message| !message.is_empty())),
    }
    if !said.is_empty() {
        writeln!(out, "      <system-out>{}</system-out>", text(&said.join("\n")))?;
    }
    writeln!(out, "    </testcase>")
}

/// Text between tags and in attributes. Characters that XML does not have are replaced.
fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in harmless(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
