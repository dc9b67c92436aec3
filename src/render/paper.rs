//! Prose for a terminal: escaped, wrapped at words, fields in line. What is meant to be copied is
//! never broken.

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::Style as Colour;
use textwrap::{Options, WordSeparator, WordSplitter};

use super::colour;
use super::escape::{self, width_of};
use crate::diagnose::Remedy;
use crate::platform::machine::IS_WINDOWS;

/// Where prose is written.
pub struct Paper<'a> {
    /// The writer, for what is no prose.
    pub out: &'a mut dyn Write,
    width: usize,
}

/// How far the values of fields stand in.
const VALUE: &str = "                  ";

/// How much of a command line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Enough to recognise a program.
    Short,
    /// All arguments.
    Whole,
}

impl<'a> Paper<'a> {
    /// Paper as wide as the terminal; without end if `width` is `None`.
    pub fn new(width: Option<u16>, out: &'a mut dyn Write) -> Self {
        Self { out, width: width.map_or(usize::MAX, usize::from) }
    }

    /// A sentence of foreign and own words.
    pub fn sentence(&mut self, text: &str) -> io::Result<()> {
        self.coloured(text, Colour::new())
    }

    /// The same in one colour.
    pub fn coloured(&mut self, text: &str, colour: Colour) -> io::Result<()> {
        let text = escape::terminal(text);
        for line in textwrap::wrap(&text, whole_words(self.width).subsequent_indent("  ")) {
            writeln!(self.out, "{colour}{line}{colour:#}")?;
        }
        Ok(())
    }

    /// A name, and behind it a text that may take several lines.
    pub fn field(&mut self, name: &str, value: &str) -> io::Result<()> {
        let value = escape::terminal(value);
        for (index, line) in wrap(&value, self.room()).iter().enumerate() {
            match index {
                0 => self.whole_field(name, line)?,
                _ => writeln!(self.out, "{VALUE}{line}")?,
            }
        }
        Ok(())
    }

    /// A name, and behind it what must stay in one piece.
    pub fn whole_field(&mut self, name: &str, value: &str) -> io::Result<()> {
        writeln!(self.out, "    {0}{name:<12}{0:#}  {value}", colour::FAINT)
    }

    /// A command line as the value of a field. Arguments that do not fit side by side are put below
    /// each other, with backslashes, so that it can still be pasted.
    pub fn command(&mut self, name: &str, arguments: &[String], length: Length) -> io::Result<()> {
        for (index, line) in command_lines(arguments, self.room(), length).iter().enumerate() {
            match index {
                0 => self.whole_field(name, line)?,
                _ => writeln!(self.out, "{VALUE}  {line}")?,
            }
        }
        Ok(())
    }

    /// What to do, with the command where there is one.
    pub fn remedy(&mut self, remedy: &Remedy) -> io::Result<()> {
        match &remedy.command {
            Some(command) => {
                let (text, command) = (escape::terminal(&remedy.text), escape::command_line(command));
                writeln!(self.out, "  to {text}:  {0}{command}{0:#}", colour::STRONG)
            }
            None => self.sentence(&format!("  {}", escape::terminal(&remedy.text))),
        }
    }

    /// What values of fields have of the width.
    fn room(&self) -> usize {
        self.width.saturating_sub(VALUE.len()).max(VALUE.len())
    }

    /// An empty line.
    pub fn gap(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }
}

/// Breaks at spaces only: an address, a range of ports or an option stays in one piece, even if it
/// is too long.
pub fn wrap(text: &str, width: usize) -> Vec<Cow<'_, str>> {
    textwrap::wrap(text, whole_words(width))
}

fn whole_words(width: usize) -> Options<'static> {
    Options::new(width)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false)
}

/// The lines of a command line in `room` columns, of which the indent of those after the first
/// takes 2.
fn command_lines(arguments: &[String], room: usize, length: Length) -> Vec<String> {
    let end = if IS_WINDOWS { "" } else { " \\" };
    let room = room.saturating_sub("  ".len() + end.len());
    let mut lines = vec![String::new()];
    let mut used = 0;
    let longest = if length == Length::Whole { usize::MAX } else { room };
    for word in words(arguments, longest, length) {
        let needed = width_of(&word);
        let line = lines.last_mut().filter(|_| used + 1 + needed <= room);
        match line {
            Some(line) if used > 0 => {
                line.extend([" ", &word]);
                used += 1 + needed;
            }
            _ => {
                used = add_below(&mut lines, &word, room, end);
            }
        }
    }
    lines
}

/// Begins a line with a word, or several if one cannot hold it. The width of the last.
fn add_below(lines: &mut Vec<String>, word: &str, room: usize, end: &str) -> usize {
    match lines.last_mut() {
        Some(first) if first.is_empty() => drop(lines.pop()),
        Some(above) => above.push_str(end),
        None => {}
    }
    let mut rest = word;
    loop {
        let (head, tail) = escape::split_at_width(rest, room);
        if tail.is_empty() || head.is_empty() {
            lines.push(rest.to_owned());
            return width_of(rest);
        }
        lines.push(head.to_owned());
        rest = tail;
    }
}

/// The arguments as they could be typed, each at most `longest` columns wide.
fn words(arguments: &[String], longest: usize, length: Length) -> Vec<String> {
    let mut left: usize = if length == Length::Whole { usize::MAX } else { 400 };
    let mut words = Vec::new();
    for argument in arguments {
        let word = word(argument, if words.is_empty() { longest.min(left) } else { longest });
        let width = width_of(&word);
        if width > left {
            words.push("…".to_owned());
            break;
        }
        left = left.saturating_sub(width + 1);
        words.push(word);
    }
    words
}

/// An argument as it could be typed. One that is too wide is cut off within its quotes.
fn word(argument: &str, longest: usize) -> String {
    let typed = |argument: &str| escape::terminal(&escape::quote(argument)).into_owned();
    let whole = typed(argument);
    if width_of(&whole) <= longest {
        return whole;
    }
    let cut = typed(&escape::shorten(argument, longest.saturating_sub("''".len())));
    escape::shorten(&cut, longest).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(command: &[&str], room: usize, length: Length) -> Vec<String> {
        command_lines(&command.iter().map(ToString::to_string).collect::<Vec<_>>(), room, length)
    }

    #[test]
    fn a_command_line_is_broken_between_arguments_only() {
        let command = ["java", "-cp", "/opt/a.jar", "com.example.Main", "--port", "80"];
        let end = if IS_WINDOWS { "" } else { " \\" };
        assert_eq!(lines(&command, 200, Length::Short), [command.join(" ")]);
        assert_eq!(
            lines(&command, 24, Length::Short),
            [format!("java -cp /opt/a.jar{end}"), format!("com.example.Main{end}"), "--port 80".to_owned()]
        );
        assert!(lines(&command, 24, Length::Short).iter().all(|line| width_of(line) <= 22));
    }

    #[test]
    fn an_argument_that_is_too_long_is_cut_off_or_goes_on_below() {
        let end = if IS_WINDOWS { "" } else { " \\" };
        let long = "x".repeat(30);
        let cut = if IS_WINDOWS { format!("{}…", "x".repeat(19)) } else { format!("'{}…'", "x".repeat(17)) };
        assert_eq!(lines(&["program", &long], 24, Length::Short), [format!("program{end}"), cut]);
        let whole = if IS_WINDOWS { 22 } else { 20 };
        assert_eq!(
            lines(&["a", &long, "b"], 24, Length::Whole),
            [format!("a{end}"), "x".repeat(whole), format!("{} b", "x".repeat(30 - whole))]
        );
        let many = vec!["0123456789"; 100];
        let shown = lines(&many, usize::MAX, Length::Short);
        assert!(shown.len() == 1 && width_of(&shown[0]) <= 402 && shown[0].ends_with('…'), "{shown:?}");
        assert_eq!(lines(&many, usize::MAX, Length::Whole), [many.join(" ")]);
    }

    #[test]
    fn nothing_is_broken_but_at_spaces() {
        let text = "held on 127.0.0.1:54079 and 10000-10199/tcp by a--b";
        for width in 1..60 {
            let lines = wrap(text, width);
            let words: Vec<&str> = lines.iter().flat_map(|line| line.split(' ')).collect();
            assert_eq!(words, text.split(' ').collect::<Vec<_>>(), "{width}");
        }
    }
}
