//! The keys, as `?` shows them.

use ratatui_core::style::Stylize;
use ratatui_core::text::{Line, Span};

/// The keys and what they do; docs/watch.md has the same.
pub const KEYS: &[(&str, &str)] = &[
    ("Up Down PgUp PgDn", "select a row"),
    ("Enter", "open or close the report on the selected row"),
    ("Tab", "move in the report, or back in the list"),
    ("/", "filter as you type; Enter keeps it, Esc drops it"),
    ("s", "sort by the next column"),
    ("1 to 9", "sort by that column; again: the other way round"),
    ("r", "reverse the order"),
    ("k", "end the holder of the selected row, after a question"),
    ("f", "find a free port"),
    ("Esc", "close the report, then drop the filter"),
    ("Ctrl-Z", "suspend; fg resumes"),
    ("Ctrl-L", "redraw the screen"),
    ("?", "show this"),
    ("q, Ctrl-C", "quit"),
    ("mouse", "click a row or a heading; the wheel moves"),
];

/// What the marks in front of rows mean.
const MARKS: &[(&str, &str)] =
    &[("+", "opened within the last 5 s"), ("-", "closed within the last 5 s"), (">", "selected")];

/// The text.
pub fn lines() -> Vec<Line<'static>> {
    let line = |&(key, text): &(&'static str, &'static str)| {
        Line::from(vec![Span::from(format!("{key:<19}")).bold(), Span::from(text)])
    };
    KEYS.iter().map(line).chain([Line::default()]).chain(MARKS.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_a_small_terminal() {
        assert!(lines().len() <= 20 && lines().iter().all(|line| line.width() <= 74));
    }

    #[test]
    fn the_document_has_the_same_keys() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/watch.md");
        let document = std::fs::read_to_string(path).unwrap();
        for (key, text) in KEYS {
            assert!(document.contains(&format!("| {key} | {text} |")), "| {key} | {text} |");
        }
    }
}
