//! Folds lines that are longer than the place where they are shown.

use std::ops::Range;

use ratatui_core::text::{Line, Span};

/// The lines with none wider than `width`: broken between words, and inside a word that is longer.
pub fn fold(lines: &[Line<'static>], width: usize) -> Vec<Line<'static>> {
    lines.iter().flat_map(|line| of_line(line, width.max(1))).collect()
}

fn of_line(line: &Line<'static>, width: usize) -> Vec<Line<'static>> {
    if line.width() <= width {
        return vec![line.clone()];
    }
    let text = line.to_string();
    let mut end = 0;
    let folded = textwrap::wrap(&text, width);
    // Only blanks are left out between two of them.
    let parts = folded.iter().map(|part| {
        let start = text[end..].find(&**part).map_or(end, |at| end + at);
        end = text.len().min(start + part.len());
        start..end
    });
    parts.map(|part| part_of(line, &part)).collect()
}

/// These bytes of a line, styled as they were.
fn part_of(line: &Line<'static>, part: &Range<usize>) -> Line<'static> {
    let mut at = 0;
    let spans = line.spans.iter().filter_map(|span| {
        let start = at;
        at += span.content.len();
        let (from, to) = (part.start.max(start), part.end.min(at));
        let text = (from < to).then(|| span.content.get(from - start..to - start)).flatten()?;
        Some(Span::styled(text.to_owned(), span.style))
    });
    Line::from(spans.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use ratatui_core::style::Stylize;

    use super::*;

    fn texts(lines: &[Line<'static>]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_cut_and_styles_stay() {
        let line = Line::from(vec!["end ".into(), "node (pid 4242)".bold(), " of 3000/tcp".into()]);
        let folded = fold(&[line], 12);
        assert_eq!(texts(&folded), ["end node", "(pid 4242)", "of 3000/tcp"]);
        assert_eq!(folded[0].spans, ["end ".into(), "node".bold()]);
        assert_eq!(folded[1].spans, ["(pid 4242)".bold()]);
    }

    #[test]
    fn a_word_that_is_too_long_is_broken_and_short_lines_stay() {
        let lines = ["".into(), "  indented".into(), "ääääääääääää".into()];
        assert_eq!(texts(&fold(&lines, 10)), ["", "  indented", "ääääääääää", "ää"]);
        for width in 0..9 {
            let folded = fold(&lines, width);
            assert!(folded.iter().all(|line| line.width() <= width.max(1)), "{width}: {folded:?}");
        }
    }
}
