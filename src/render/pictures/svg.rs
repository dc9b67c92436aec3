//! Text with the colours of a terminal, as SVG for a light and a dark page.

use std::fmt::Write;

use crate::render::escape::width_of;

const STYLE: &str = "\
text { font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1f2328; white-space: pre }
rect { fill: #ffffff; stroke: #d0d7de }
.bold { font-weight: bold } .dim { opacity: .65 }
.red { fill: #cf222e } .green { fill: #1a7f37 } .yellow { fill: #9a6700 }
.bar { fill: #1f2328; stroke: none } .selected { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } rect { fill: #0d1117; stroke: #30363d }
  .red { fill: #ff7b72 } .green { fill: #3fb950 } .yellow { fill: #d29922 }
  .bar { fill: #e6edf3 } .selected { fill: #0d1117 }
}";

const LINE: usize = 20;
const MARGIN: usize = 16;

/// A picture of `text`. `about` is read to those who do not see it.
pub fn of(about: &str, text: &str) -> String {
    let lines: Vec<Vec<Piece>> = lines(text);
    let columns = lines.iter().map(|line| line.iter().map(|piece| width_of(&piece.text)).sum()).max().unwrap_or(0);
    // A character of 14 px is 8.43 px wide in most of these fonts, or a little less.
    let (width, height) = (columns * 843 / 100 + 2 * MARGIN + 2, lines.len() * LINE + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}\n</style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
        escaped(about),
        width - 1,
        height - 1
    );
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let y = MARGIN + index * LINE + 14;
        if line.iter().any(|piece| piece.classes.contains(&"selected")) {
            let top = y - 15;
            let _ = writeln!(
                svg,
                "<rect class=\"bar\" x=\"{MARGIN}\" y=\"{top}\" width=\"{}\" height=\"{LINE}\"/>",
                width - 2 * MARGIN
            );
        }
        let _ = write!(svg, "<text x=\"{MARGIN}\" y=\"{y}\" xml:space=\"preserve\">");
        for Piece { text, classes } in line {
            let text = escaped(text);
            let _ = match classes.join(" ") {
                none if none.is_empty() => write!(svg, "{text}"),
                classes => write!(svg, "<tspan class=\"{classes}\">{text}</tspan>"),
            };
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text of one look.
#[derive(Debug)]
struct Piece {
    text: String,
    classes: Vec<&'static str>,
}

/// The pieces of each line.
fn lines(text: &str) -> Vec<Vec<Piece>> {
    let mut classes: Vec<&'static str> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut pieces: Vec<Piece> = Vec::new();
        for (index, part) in line.split("\u{1b}[").enumerate() {
            let shown = if index == 0 { part } else { obey(part, &mut classes) };
            match pieces.last_mut() {
                Some(last) if last.classes == classes => last.text.push_str(shown),
                _ if shown.is_empty() => {}
                _ => pieces.push(Piece { text: shown.to_owned(), classes: classes.clone() }),
            }
        }
        lines.push(pieces);
    }
    lines
}

/// Obeys the sequence that `part` begins with, and returns the rest.
fn obey<'a>(part: &'a str, classes: &mut Vec<&'static str>) -> &'a str {
    let (codes, rest) = part.split_once('m').unwrap();
    for code in codes.split(';') {
        match code {
            "" | "0" => classes.clear(),
            "1" => classes.push("bold"),
            "2" => classes.push("dim"),
            "31" => classes.push("red"),
            "32" => classes.push("green"),
            "33" => classes.push("yellow"),
            // On a bar, as wide as the text.
            "7" => classes.push("selected"),
            other => panic!("the picture has no colour for {other}"),
        }
    }
    rest
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[test]
fn colours_become_classes_and_markup_is_text() {
    let svg = of("a < b", "x \u{1b}[1m\u{1b}[31m<red>\u{1b}[0m & more");
    assert!(svg.contains("x <tspan class=\"bold red\">&lt;red&gt;</tspan> &amp; more</text>"), "{svg}");
    assert!(svg.contains("<title>a &lt; b</title>") && svg.contains("prefers-color-scheme: dark"), "{svg}");
}
