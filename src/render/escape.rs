//! Makes foreign text fit for a terminal: what a process calls itself must not move the cursor.

use std::borrow::Cow;

use crate::platform::machine::IS_WINDOWS;

/// Replaces every character that a terminal acts upon or that hides text by its escape: `\n`,
/// `\u{1b}`.
///
/// These are control characters, and the invisible ones that reorder or join what stands around
/// them.
pub fn terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_dangerous(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal acts upon it, or hides text by it.
pub(super) fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A command line as it could be typed, fit for a terminal.
pub fn command_line(arguments: &[String]) -> String {
    terminal(&typed(arguments)).into_owned()
}

/// A command as it is typed into a shell.
pub fn typed(arguments: &[String]) -> String {
    let words: Vec<Cow<'_, str>> = arguments.iter().map(|argument| quote(argument)).collect();
    words.join(" ")
}

/// A word as a shell takes it for one; on Windows as its programs split their command lines.
pub fn quote(word: &str) -> Cow<'_, str> {
    if IS_WINDOWS {
        return quote_for_windows(word);
    }
    // shlex quotes more than a shell asks for.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return Cow::Borrowed(word);
    }
    // With a NUL inside, no shell could pass it on anyway.
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

/// Quoted where it has to be: backslashes are part of paths, and only double quotes quote.
fn quote_for_windows(word: &str) -> Cow<'_, str> {
    let is_plain = |character: char| !character.is_whitespace() && !"\"&|<>^()%!".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("\"{}\"", word.replace('"', "\\\"")))
}

/// How many columns a text takes on a terminal.
pub fn width_of(text: &str) -> usize {
    textwrap::core::display_width(text)
}

/// At most `most` columns wide, the last one `…` if something was cut off.
pub fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if width_of(text) <= most {
        return Cow::Borrowed(text);
    }
    let (kept, _) = split_at_width(text, most.saturating_sub(1));
    Cow::Owned(format!("{kept}…"))
}

/// Splits a text behind what fits into `width` columns.
pub fn split_at_width(text: &str, width: usize) -> (&str, &str) {
    let mut used = 0;
    let overflows = |&(at, character): &(usize, char)| {
        used += width_of(&text[at..at + character.len_utf8()]);
        used > width
    };
    let end = text.char_indices().find(overflows).map_or(text.len(), |(at, _)| at);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_are_shown_and_not_obeyed() {
        assert_eq!(terminal("a)\n(b"), "a)\\n(b");
        assert_eq!(terminal("\u{1b}[31mred\u{7}"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(terminal("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert!(matches!(terminal("größe 大"), Cow::Borrowed("größe 大")));
    }

    #[test]
    fn command_lines_can_be_typed_again() {
        let line = |arguments: &[&str]| command_line(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>());
        let quoted = |text: &str| if IS_WINDOWS { format!("\"{text}\"") } else { format!("'{text}'") };
        assert_eq!(line(&["python3", "-c", "print(1)"]), format!("python3 -c {}", quoted("print(1)")));
        assert_eq!(line(&["x", ""]), format!("x {}", quoted("")));
    }

    #[test]
    fn windows_knows_no_quotes_but_double_ones() {
        for (word, expected) in [
            (r"C:\tools\node.exe", r"C:\tools\node.exe"),
            (r"C:\Program Files\node.exe", r#""C:\Program Files\node.exe""#),
            ("a\"b", r#""a\"b""#),
            ("", r#""""#),
            ("a&b", r#""a&b""#),
        ] {
            assert_eq!(quote_for_windows(word), expected);
        }
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        assert_eq!(shorten("größe", 5), "größe");
        assert_eq!(shorten("größer", 5), "größ…");
        assert_eq!(shorten("大きい", 6), "大きい");
        assert_eq!(shorten("大きい", 5), "大き…");
        assert_eq!(split_at_width("大き", 3), ("大", "き"));
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_gets_through(text in any::<String>()) {
            prop_assert!(!terminal(&text).chars().any(char::is_control));
        }
    }
}
