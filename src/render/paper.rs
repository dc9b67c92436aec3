//! Prose for a terminal: escaped, wrapped at words, fields in line. What is meant to be copied is never broken.

use std::io::{self, Write};

use anstyle::Style as Colour;
use textwrap::Options;

use super::{colour, escape};

/// Where prose is written.
pub struct Paper<'a> {
    /// The writer, for what is no prose.
    pub out: &'a mut dyn Write,
    width: usize,
}

/// How far the values of fields stand in.
const VALUE: &str = "                  ";

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
        for line in textwrap::wrap(&text, Options::new(self.width).subsequent_indent("  ")) {
            writeln!(self.out, "{colour}{line}{colour:#}")?;
        }
        Ok(())
    }

    /// A name, and behind it a text that may take several lines.
    pub fn field(&mut self, name: &str, value: &str) -> io::Result<()> {
        let value = escape::terminal(value);
        let options = Options::new(self.width.saturating_sub(VALUE.len()).max(VALUE.len()));
        for (index, line) in textwrap::wrap(&value, options).iter().enumerate() {
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

    /// An empty line.
    pub fn gap(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }
}
