//! How the JSON is put down: as by serde_json, with what a terminal would act upon written as `\u`
//! escapes.

use std::io::{self, Write};

use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::render::escape;

/// Escapes what JSON itself lets stand as it is, and a terminal does not. To a parser it is the
/// same string.
pub struct Escaping<F>(F);

impl Escaping<CompactFormatter> {
    /// All in one line.
    pub const fn compact() -> Self {
        Self(CompactFormatter)
    }
}

impl Escaping<PrettyFormatter<'_>> {
    /// A line for each value.
    pub fn pretty() -> Self {
        Self(PrettyFormatter::new())
    }
}

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(index) = rest.find(escape::is_dangerous) {
            let (harmless, from) = rest.split_at(index);
            self.0.write_string_fragment(out, harmless)?;
            let mut characters = from.chars();
            // Beyond U+FFFF these are two, as JSON has it.
            for unit in characters.next().iter().flat_map(|first| first.encode_utf16(&mut [0; 2]).to_vec()) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        self.0.write_string_fragment(out, rest)
    }

    // The rest is as by the other formatter, and only what one of the two does in its own way.

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;
    use serde_json::{Serializer, Value, json};

    use super::*;

    fn written<F: Formatter>(value: &Value, formatter: F) -> String {
        let mut out = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut out, formatter)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        let text = written(&json!("\u{1b}]x\u{7f}y\u{9b}\u{202e}\u{e0041} größe"), Escaping::compact());
        assert_eq!(text, r#""\u001b]x\u007fy\u009b\u202e\udb40\udc41 größe""#);
    }

    #[test]
    fn all_else_is_as_without_it() {
        let value = json!({"list": [1, -2, 0.5, null, true], "map": {"a": {}, "b": []}, "text": "a\"b\\c\nd"});
        assert_eq!(written(&value, Escaping::compact()), serde_json::to_string(&value).unwrap());
        assert_eq!(written(&value, Escaping::pretty()), serde_json::to_string_pretty(&value).unwrap());
    }

    proptest! {
        #[test]
        fn a_parser_reads_the_same(text in any::<String>()) {
            let escaped = written(&json!([text]), Escaping::compact());
            prop_assert!(!escaped.chars().any(escape::is_dangerous));
            prop_assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), json!([text]));
        }
    }
}
