//! Where things stand on the terminal.

use ratatui_core::layout::{Position, Rect};

use super::app::App;

/// What the marks of opened and closed rows take.
pub const MARK: u16 = 3;

/// What the frame of a text over the list takes of its width.
pub const FRAME: u16 = 4;

/// How many rows the list shows at least beside a pane.
const FEW: u16 = 3;

/// The parts of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What is looked at.
    pub title: Rect,
    /// The headings of the columns.
    pub headings: Rect,
    /// The rows.
    pub list: Rect,
    /// The title of the pane; empty if it is closed.
    pub pane_title: Rect,
    /// The pane.
    pub pane: Rect,
    /// What keys do, or what is typed.
    pub foot: Rect,
}

impl Layout {
    /// The layout for the size of the terminal.
    pub fn of(app: &App) -> Self {
        let (width, height) = app.size;
        let line = |y: u16| Rect::new(0, y.min(height.saturating_sub(1)), width, height.min(1));
        let body = height.saturating_sub(3);
        let rows = u16::try_from(app.shown().count()).unwrap_or(u16::MAX);
        let list = if app.details.is_some() { rows.max(FEW).min(body * 2 / 5) } else { body };
        let pane = body - list;
        let pane_top = 2 + list;
        Self {
            title: line(0),
            headings: line(1),
            list: Rect::new(0, 2.min(height), width, list),
            pane_title: Rect::new(0, pane_top.min(height), width, pane.min(1)),
            pane: Rect::new(0, (pane_top + 1).min(height), width, pane.saturating_sub(1)),
            foot: line(height.saturating_sub(1)),
        }
    }

    /// The line of the list at a place of the terminal.
    pub fn line_at(&self, x: u16, y: u16) -> Option<usize> {
        self.list.contains(Position { x, y }).then(|| usize::from(y - self.list.y))
    }
}

/// Where a text over the list stands, of which the longest line is `width` wide.
pub fn over(size: (u16, u16), width: usize, lines: usize) -> Rect {
    let most = |wanted: usize, have: u16| u16::try_from(wanted).unwrap_or(u16::MAX).min(have);
    let (width, height) = (most(width + usize::from(FRAME), size.0), most(lines + 2, size.1.saturating_sub(2)));
    Rect::new((size.0 - width) / 2, (size.1 - height) / 2, width, height)
}
