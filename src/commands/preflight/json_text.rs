//! JSON as tools for people have it: with comments and commas too many, and with lines.

use std::path::Path;

use serde_json::Value;

use super::wanted::{Fault, Spot};

/// Reads JSON with comments.
pub fn parse(file: &Path, text: &str) -> Result<Value, Fault> {
    serde_json::from_str(&plain(text)).map_err(|error| {
        let spot = Spot { line: error.line(), column: error.column() };
        let message = error.to_string();
        // The place stands in front of the message already.
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        Fault::at(file, spot, message)
    })
}

/// The text with blanks for comments, and for commas in front of a closing bracket.
fn plain(text: &str) -> String {
    let mut plain: Vec<char> = Vec::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut comma = None;
    while let Some(next) = rest.next() {
        match (next, rest.peek()) {
            ('/', Some('/')) => {
                plain.push(' ');
                while rest.peek().is_some_and(|&next| next != '\n') {
                    rest.next();
                    plain.push(' ');
                }
            }
            ('/', Some('*')) => {
                plain.push(' ');
                let mut before = ' ';
                for inside in rest.by_ref() {
                    plain.push(if inside == '\n' { '\n' } else { ' ' });
                    if (before, inside) == ('*', '/') {
                        break;
                    }
                    before = inside;
                }
            }
            ('"', _) => {
                comma = None;
                plain.push(next);
                let mut is_escaped = false;
                for inside in rest.by_ref() {
                    plain.push(inside);
                    if inside == '"' && !is_escaped {
                        break;
                    }
                    is_escaped = inside == '\\' && !is_escaped;
                }
            }
            (']' | '}', _) => {
                if let Some(at) = comma.take() {
                    plain[at] = ' ';
                }
                plain.push(next);
            }
            _ => {
                if next == ',' {
                    comma = Some(plain.len());
                } else if !next.is_whitespace() {
                    comma = None;
                }
                plain.push(next);
            }
        }
    }
    plain.into_iter().collect()
}

/// The line of a text behind these keys, one after the other.
pub fn line_of(text: &str, path: &[&str]) -> usize {
    let mut at = 0;
    for key in path {
        at += text[at..].find(key).unwrap_or(0);
    }
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_commas_too_many_are_no_fault() {
        let text = "{ // one\n \"a\": [1, 2,], /* two\n */ \"b\": \"// no, ]\",\n}\n";
        let value = parse(Path::new("x.json"), text).unwrap();
        assert_eq!(value, serde_json::json!({"a": [1, 2], "b": "// no, ]"}));
        assert_eq!(line_of(text, &["\"b\""]), 3);
        let fault = parse(Path::new("x.json"), "{\n \"a\": x}\n").unwrap_err();
        assert_eq!(fault.to_string(), "x.json:2:7: expected value");
        assert!(parse(Path::new("x.json"), "[1,,]").is_err() && parse(Path::new("x.json"), "/*").is_err());
    }
}
