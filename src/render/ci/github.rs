//! Commands of a workflow of GitHub Actions: `::error file=compose.yaml,line=12,title=...::...`.

use std::io::{self, Write};

use super::{Case, Outcome, harmless};

/// Writes an annotation for each case, unless a line is as it should be, and one for each warning.
pub fn write(cases: &[Case], out: &mut dyn Write) -> io::Result<()> {
    for case in cases {
        let title = &case.title;
        let level = if case.result == Outcome::Good { "notice" } else { "error" };
        let message = if case.message.is_empty() { title } else { &case.message };
        // A line that is as it should be needs no note.
        if case.result != Outcome::Good || case.place.is_none() {
            annotate(level, case, title, message, out)?;
        }
        for warning in &case.warnings {
            annotate("warning", case, &case.name, warning, out)?;
        }
    }
    Ok(())
}

fn annotate(level: &str, case: &Case, title: &str, message: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut properties = Vec::new();
    if let Some((file, line, column)) = &case.place {
        properties.push(format!("file={}", property(file)));
        properties.extend((*line > 0).then(|| format!("line={line}")));
        properties.extend((*column > 0).then(|| format!("col={column}")));
    }
    properties.push(format!("title={}", property(title)));
    writeln!(out, "::{level} {}::{}", properties.join(","), data(message))
}

/// A message (`escapeData` of actions/toolkit).
fn data(text: &str) -> String {
    harmless(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property (`escapeProperty` of actions/toolkit).
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
