//! Variables in manifests, as docker compose has them: `${WEB_PORT:-8080}`, `$PORT`, `$$`.
//!
//! Values come from the environment of portcheck itself, as docker compose takes them from its own,
//! and from `.env` files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::platform::named;

/// How deep a default may be within a default.
const DEEPEST: usize = 16;

/// The longest text that comes of it.
const LONGEST: usize = 4096;

/// The most bytes that all values of a file come to.
const MOST: usize = 2 * 1024 * 1024;

/// Where values of variables come from.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Those of `.env` files. The environment comes before them.
    files: BTreeMap<String, String>,
    /// Whether the environment counts.
    has_environment: bool,
}

/// A text with its variables replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// The variables in it: their names, and where their values begin and end.
    pub parts: Vec<(String, usize, usize)>,
    /// Why a variable has no value, if one has none.
    pub unresolved: Option<String>,
}

impl Text {
    /// The variable whose value is exactly this part of the text.
    pub fn variable_at(&self, start: usize, end: usize) -> Option<&str> {
        let mut parts = self.parts.iter();
        parts.find(|(_, from, to)| (*from, *to) == (start, end)).map(|(name, ..)| &**name)
    }
}

impl Variables {
    /// Those of the environment of this process.
    pub fn of_environment() -> Self {
        Self { files: BTreeMap::new(), has_environment: true }
    }

    /// Adds the variables of a file, if it can be read. What is known already stays.
    pub fn add_file(&mut self, path: &Path) {
        let found = named::read(path).map(|text| self.assignments(&text)).unwrap_or_default();
        // Within a file, the last one counts.
        let found: BTreeMap<String, String> = found.into_iter().map(|(name, value, _)| (name, value)).collect();
        for (name, value) in found {
            self.files.entry(name).or_insert(value);
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        let own = if self.has_environment { std::env::var(name).ok() } else { None };
        own.or_else(|| self.files.get(name).cloned())
    }

    /// The assignments of a file such as `.env`, and the line of each.
    pub fn assignments(&self, text: &str) -> Vec<(String, String, usize)> {
        let mut known = self.clone();
        let mut found = Vec::new();
        let mut left = MOST;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start_matches('\u{feff}').trim();
            let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
            let Some((name, value)) = line.split_once('=') else { continue };
            let name = name.trim();
            if name.starts_with('#') || name.is_empty() || name.contains(char::is_whitespace) {
                continue;
            }
            let value = known.value(value.trim());
            // Values that stand for each other could grow without end.
            let Some(rest) = left.checked_sub(value.len()) else { break };
            left = rest;
            known.files.insert(name.to_owned(), value.clone());
            found.push((name.to_owned(), value, index + 1));
        }
        found
    }

    /// The value that stands behind an equals sign.
    fn value(&self, text: &str) -> String {
        if let Some(rest) = text.strip_prefix('\'') {
            return rest.split('\'').next().unwrap_or_default().to_owned();
        }
        let raw = match text.strip_prefix('"') {
            Some(rest) => rest.split('"').next().unwrap_or_default(),
            // A comment begins behind a blank.
            None => text.split(" #").next().unwrap_or_default().trim_end(),
        };
        self.replace(raw).map_or_else(|_| raw.to_owned(), |text| text.text)
    }

    /// Replaces the variables in a text. An error says what is no variable.
    pub fn replace(&self, text: &str) -> Result<Text, String> {
        self.replace_within(text, 0)
    }

    fn replace_within(&self, text: &str, depth: usize) -> Result<Text, String> {
        let mut out = Text::default();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.text.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.text.push('$');
                rest = after;
                continue;
            }
            let start = out.text.len();
            let (name, value) = if let Some(braced) = rest.strip_prefix('{') {
                let end = closing(braced).ok_or_else(|| format!("'{}' has a ${{ without its }}", brief(text)))?;
                rest = &braced[end + 1..];
                self.braced(&braced[..end], depth, &mut out)?
            } else {
                let length = name_length(rest);
                if length == 0 {
                    return Err(format!("'{}' has a $ without a variable: write $$ for a dollar sign", brief(text)));
                }
                let (name, after) = rest.split_at(length);
                rest = after;
                (name.to_owned(), self.plain(name, &mut out))
            };
            out.text.push_str(&value);
            if out.text.len() > LONGEST {
                return Err("its value is too long".to_owned());
            }
            out.parts.push((name, start, out.text.len()));
        }
        out.text.push_str(rest);
        Ok(out)
    }

    /// The value of a variable that has no default.
    fn plain(&self, name: &str, out: &mut Text) -> String {
        let value = self.get(name);
        if value.as_deref().unwrap_or_default().is_empty() {
            out.unresolved.get_or_insert_with(|| format!("{name} has no value"));
        }
        value.unwrap_or_default()
    }

    /// What stands between braces: a name, and perhaps what to do if it has a value or none.
    fn braced(&self, inside: &str, depth: usize, out: &mut Text) -> Result<(String, String), String> {
        let length = name_length(inside);
        let (name, rest) = inside.split_at(length);
        let wrong = || format!("'${{{}}}' is no variable", brief(inside));
        if length == 0 || depth > DEEPEST {
            return Err(wrong());
        }
        let value = self.get(name);
        let (is_strict, operator) = match rest.strip_prefix(':') {
            Some(operator) => (true, operator),
            None => (false, rest),
        };
        let value = value.filter(|value| !(is_strict && value.is_empty()));
        let value = match (operator.chars().next(), value) {
            (None, _) if is_strict => return Err(wrong()),
            (None, _) => self.plain(name, out),
            (Some('-' | '?'), Some(value)) => value,
            (Some('-'), None) | (Some('+'), Some(_)) => self.word(&operator[1..], depth, out)?,
            (Some('+'), None) => String::new(),
            (Some('?'), None) => {
                let why = self.word(&operator[1..], depth, out)?;
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                out.unresolved.get_or_insert_with(|| format!("{name} has no value{why}"));
                String::new()
            }
            _ => return Err(wrong()),
        };
        Ok((name.to_owned(), value))
    }

    /// A default, which may have variables in it.
    fn word(&self, text: &str, depth: usize, out: &mut Text) -> Result<String, String> {
        let word = self.replace_within(text, depth + 1)?;
        out.unresolved = out.unresolved.take().or(word.unresolved);
        Ok(word.text)
    }
}

/// The start of a text, enough to know it again.
fn brief(text: &str) -> String {
    text.chars().take(60).collect()
}

/// How long the name at the start of a text is.
fn name_length(text: &str) -> usize {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    if !text.bytes().next().is_some_and(is_first) {
        return 0;
    }
    text.bytes().position(|byte| !(is_first(byte) || byte.is_ascii_digit())).unwrap_or(text.len())
}

/// Where the brace is that closes one before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if at > 0 && text.as_bytes()[at - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variables() -> Variables {
        let files = [("SET", "8080"), ("EMPTY", ""), ("OTHER", "9090")];
        let files = files.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Variables { files, has_environment: false }
    }

    #[test]
    fn every_form_of_a_variable() {
        for (text, meant) in [
            ("80", "80"),
            ("$SET:80", "8080:80"),
            ("${SET}:80", "8080:80"),
            ("${SET:-1}", "8080"),
            ("${UNSET:-1}", "1"),
            ("${UNSET-1}", "1"),
            ("${EMPTY:-1}", "1"),
            ("${EMPTY-1}", ""),
            ("${SET:+1}", "1"),
            ("${UNSET:+1}", ""),
            ("${EMPTY:+1}", ""),
            ("${EMPTY+1}", "1"),
            ("${SET:?why}", "8080"),
            ("${UNSET:-${OTHER:-2}}", "9090"),
            ("${UNSET:-${UNSET-$SET}}1", "80801"),
            ("$$SET", "$SET"),
            ("$${SET}", "${SET}"),
            ("${UNSET:-a:b}", "a:b"),
        ] {
            let replaced = variables().replace(text).unwrap();
            assert_eq!((&*replaced.text, replaced.unresolved), (meant, None), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_is_told() {
        for (text, why) in [
            ("${UNSET}:80", "UNSET has no value"),
            ("$UNSET", "UNSET has no value"),
            ("${UNSET:?set it}", "UNSET has no value: set it"),
            ("${EMPTY:?}", "EMPTY has no value"),
            ("${A:-${UNSET}}", "UNSET has no value"),
        ] {
            assert_eq!(variables().replace(text).unwrap().unresolved.as_deref(), Some(why), "{text}");
        }
        for wrong in ["${", "$", "$ 1", "${}", "${1}", "${SET", "${SET:}", "${SET!}", "${SET:=1}", "$-"] {
            assert!(variables().replace(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_is_known_which_part_is_a_variable() {
        let text = variables().replace("127.0.0.1:${SET}:${OTHER}").unwrap();
        assert_eq!(
            (text.variable_at(10, 14), text.variable_at(15, 19), text.variable_at(0, 14)),
            (Some("SET"), Some("OTHER"), None)
        );
    }

    #[test]
    fn files_of_variables() {
        let text = "# a comment\nexport A=1\nB = \"two # no\" # yes\nC='$A'\nD=${A}2 # three\nE=\n=x\nbad\nF=a#b\n";
        let found = variables().assignments(text);
        let found: Vec<(&str, &str, usize)> =
            found.iter().map(|(name, value, line)| (&**name, &**value, *line)).collect();
        let expected =
            [("A", "1", 2), ("B", "two # no", 3), ("C", "$A", 4), ("D", "12", 5), ("E", "", 6), ("F", "a#b", 9)];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in "[${}:?+A-C\\-ä ]{0,40}") {
            let _ = variables().replace(&text);
            let _ = variables().assignments(&text);
        }
    }
}
