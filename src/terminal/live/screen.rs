//! The terminal: taken for the view, and given back whatever happens.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::AnsiColor;
use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::{cursor, queue, terminal};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

use crate::platform::machine::IS_WINDOWS;

/// Clicks and the wheel, but no movements: those would wake us for nothing.
const MOUSE_ON: &str = "\u{1b}[?1000h\u{1b}[?1006h";
const MOUSE_OFF: &str = "\u{1b}[?1006l\u{1b}[?1000l";

/// Whether the terminal is ours now.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the terminal: keys arrive one by one, and what it shows is kept aside.
pub fn take() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    let mut out = io::stdout();
    queue!(out, terminal::EnterAlternateScreen, cursor::Hide)?;
    if IS_WINDOWS {
        queue!(out, EnableMouseCapture)?;
    } else {
        queue!(out, Print(MOUSE_ON))?;
    }
    out.flush()
}

/// Gives the terminal back. Does as much of it as it can, as a terminal may be gone.
pub fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let written = if IS_WINDOWS { queue!(out, DisableMouseCapture) } else { queue!(out, Print(MOUSE_OFF)) };
    let _ = written
        .and_then(|()| queue!(out, SetAttribute(Attribute::Reset), cursor::Show, terminal::LeaveAlternateScreen));
    let _ = out.flush();
    let _ = terminal::disable_raw_mode();
}

/// Gives the terminal back before a panic is reported, and ends the program then: a release build
/// would abort.
pub fn guard_against_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        report(panic);
        std::process::exit(101);
    }));
}

/// Whether nobody can see any more what is written. A hung-up terminal refuses even to write
/// nothing.
pub fn is_gone() -> bool {
    #[cfg(unix)]
    return rustix::io::write(rustix::stdio::stdout(), b"").is_err();
    #[cfg(not(unix))]
    false
}

/// Whether the view has colours besides bold, faint and reversed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// It has.
    Some,
    /// They are not wanted.
    None,
}

/// What cells are written to.
#[derive(Debug)]
pub struct Screen {
    out: BufWriter<Stdout>,
    colours: Colours,
}

impl Screen {
    /// Standard output.
    pub fn new(colours: Colours) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout()), colours }
    }

    fn set_style(&mut self, foreground: Color, modifier: Modifier) -> io::Result<()> {
        queue!(self.out, SetAttribute(Attribute::Reset))?;
        let attributes = [
            (Modifier::BOLD, Attribute::Bold),
            (Modifier::DIM, Attribute::Dim),
            (Modifier::REVERSED, Attribute::Reverse),
        ];
        for (_, attribute) in attributes.into_iter().filter(|&(known, _)| modifier.contains(known)) {
            queue!(self.out, SetAttribute(attribute))?;
        }
        let colour = match foreground {
            Color::Red => AnsiColor::Red,
            Color::Green => AnsiColor::Green,
            Color::Yellow => AnsiColor::Yellow,
            _ => return Ok(()),
        };
        // As the reports have them: one of the eight that every terminal knows.
        if self.colours == Colours::Some { write!(self.out, "{}", colour.render_fg()) } else { Ok(()) }
    }
}

impl Backend for Screen {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let (mut place, mut look) = (None, None);
        for (x, y, cell) in content {
            if place != Some((x, y)) {
                queue!(self.out, cursor::MoveTo(x, y))?;
            }
            if look != Some((cell.fg, cell.modifier)) {
                self.set_style(cell.fg, cell.modifier)?;
            }
            queue!(self.out, Print(cell.symbol()))?;
            (place, look) = (Some((x + 1, y)), Some((cell.fg, cell.modifier)));
        }
        if look.is_some() { queue!(self.out, SetAttribute(Attribute::Reset)) } else { Ok(()) }
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        queue!(self.out, cursor::Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        queue!(self.out, cursor::Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        queue!(self.out, cursor::MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        queue!(self.out, terminal::Clear(terminal::ClearType::All))
    }

    fn clear_region(&mut self, kind: ClearType) -> io::Result<()> {
        let kind = match kind {
            ClearType::All => terminal::ClearType::All,
            ClearType::AfterCursor => terminal::ClearType::FromCursorDown,
            ClearType::BeforeCursor => terminal::ClearType::FromCursorUp,
            ClearType::CurrentLine => terminal::ClearType::CurrentLine,
            ClearType::UntilNewLine => terminal::ClearType::UntilNewLine,
        };
        queue!(self.out, terminal::Clear(kind))
    }

    fn size(&self) -> io::Result<Size> {
        terminal::size().map(Size::from)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
