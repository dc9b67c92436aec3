//! Text of our own renderers, with its colours, as lines of the view.
//!
//! What others named is escaped in there, so every escape sequence is one of ours.

use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::text::{Line, Span};

/// The lines of a text.
pub fn lines(text: &str) -> Vec<Line<'static>> {
    let mut style = Style::new();
    text.lines().map(|line| of_line(line, &mut style)).collect()
}

fn of_line(line: &str, style: &mut Style) -> Line<'static> {
    let mut spans = Vec::new();
    let mut parts = line.split("\u{1b}[");
    if let Some(first) = parts.next().filter(|first| !first.is_empty()) {
        spans.push(Span::styled(first.to_owned(), *style));
    }
    for part in parts {
        let (codes, text) = part.split_once('m').unwrap_or(("", part));
        *style = codes.split(';').fold(*style, with_code);
        if !text.is_empty() {
            spans.push(Span::styled(text.to_owned(), *style));
        }
    }
    Line::from(spans)
}

/// The style after a code of SGR (ECMA-48).
fn with_code(style: Style, code: &str) -> Style {
    match code {
        "1" => style.add_modifier(Modifier::BOLD),
        "2" => style.add_modifier(Modifier::DIM),
        "31" => style.fg(Color::Red),
        "32" => style.fg(Color::Green),
        "33" => style.fg(Color::Yellow),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_our_renderers_become_styles() {
        let lines = lines("\u{1b}[1m\u{1b}[31m80/tcp\u{1b}[0m is \u{1b}[2min use\nby nginx\u{1b}[0m");
        let spans: Vec<(String, Style)> =
            lines.iter().flat_map(|line| &line.spans).map(|span| (span.content.to_string(), span.style)).collect();
        let faint = Style::new().add_modifier(Modifier::DIM);
        let held = Style::new().add_modifier(Modifier::BOLD).fg(Color::Red);
        assert_eq!(
            spans,
            [
                ("80/tcp".to_owned(), held),
                (" is ".to_owned(), Style::new()),
                ("in use".to_owned(), faint),
                ("by nginx".to_owned(), faint)
            ]
        );
    }
}
