//! How the JSON is put down: as by serde_json, with what a terminal would act upon written as `\u`
//! escapes.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::render::escape;

/// A line break and the indentation below it. What is nested deeper is indented as much.
const BREAK: &[u8] = b"\n                                ";

/// Lays the JSON out as serde_json does, and escapes what JSON lets stand as it is and a terminal
/// does not. To a parser it is the same.
///
/// It writes what is between two values at once. serde_json's own writes each level of indentation
/// by itself, which takes as long as all values do.
#[derive(Clone, Copy)]
pub struct Escaping {
    /// How many arrays and objects are open; `None` if all is in one line.
    depth: Option<usize>,
    /// Whether the innermost of them has a value so far.
    has_value: bool,
}

impl Escaping {
    /// All in one line.
    pub const fn compact() -> Self {
        Self { depth: None, has_value: false }
    }

    /// A line for each value.
    pub const fn pretty() -> Self {
        Self { depth: Some(0), has_value: false }
    }

    /// The same inside so many arrays and objects.
    pub const fn nested(depth: usize) -> Self {
        Self { depth: Some(depth), has_value: false }
    }

    /// Goes to the next line, if there is one for each value.
    fn next_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        self.depth.map_or(Ok(()), |depth| out.write_all(&BREAK[..BREAK.len().min(1 + 2 * depth)]))
    }

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.map(|depth| depth + 1);
        self.has_value = false;
        out.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.map(|depth| depth.saturating_sub(1));
        if self.has_value {
            self.next_line(out)?;
        }
        out.write_all(bracket)
    }

    fn begin_value<W: ?Sized + Write>(&self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        self.next_line(out)
    }
}

impl Formatter for Escaping {
    /// Only [`LaidOut`] is written as bytes.
    fn write_byte_array<W: ?Sized + Write>(&mut self, out: &mut W, text: &[u8]) -> io::Result<()> {
        out.write_all(text)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        // serde_json has escaped the other control characters of ASCII. Counting them all takes less
        // time than stopping at the first, as many bytes are compared at once.
        if fragment.bytes().filter(|&byte| byte >= 0x7f).count() == 0 {
            return out.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(index) = rest.find(escape::is_dangerous) {
            let (harmless, from) = rest.split_at(index);
            out.write_all(harmless.as_bytes())?;
            let mut characters = from.chars();
            // Beyond U+FFFF these are two, as JSON has it.
            for unit in characters.next().iter().flat_map(|first| first.encode_utf16(&mut [0; 2]).to_vec()) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        out.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.begin_value(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(if self.depth.is_some() { b": " } else { b":" })
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

/// Values of a list whose text is laid out already.
pub struct LaidOut(Vec<u8>);

impl LaidOut {
    /// Lays them out as `layout` does, in the memory of an earlier text.
    pub fn of(
        values: impl Iterator<Item = impl Serialize>,
        layout: Escaping,
        mut text: Vec<u8>,
    ) -> serde_json::Result<Self> {
        text.clear();
        for (index, value) in values.enumerate() {
            if index > 0 {
                layout.begin_value(&mut text, false).map_err(serde_json::Error::io)?;
            }
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, layout))?;
        }
        Ok(Self(text))
    }

    /// The memory, to be used again.
    pub fn into_memory(self) -> Vec<u8> {
        self.0
    }
}

impl Serialize for LaidOut {
    /// As bytes, which nothing else in the JSON is: see `write_byte_array` above.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Serializer, Value, json};

    use super::*;

    fn written(value: &Value, formatter: Escaping) -> String {
        let mut out = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut out, formatter)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        let hostile = "\u{1b}]x\u{7f}y\u{9b}\u{202e}\u{e0041} größe";
        let escaped = r#""\u001b]x\u007fy\u009b\u202e\udb40\udc41 größe""#;
        // Names are foreign, too, where another machine has made the document.
        let text = written(&json!({ hostile: hostile }), Escaping::compact());
        assert_eq!(text, format!("{{{escaped}:{escaped}}}"));
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
            let value = json!([{ &text: text }]);
            let escaped = written(&value, Escaping::compact());
            prop_assert!(!escaped.chars().any(escape::is_dangerous));
            prop_assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
        }
    }
}
