//! What the live view shows: its state, and how looks at the machine change it. Keys are in
//! [`super::keys`].

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use ratatui_core::text::Line;

use super::details::Details;
use super::fit::fit;
use super::fold::fold;
use super::layout::FRAME;
use super::row::{Id, Row, Sample};
use crate::render::columns::{concede, heading};
use crate::render::escape::width_of;
use crate::request::{Column, Order};

/// For how long a row is marked as opened, and a closed one is kept.
pub const KEPT: Duration = Duration::from_secs(5);

/// The state of the view.
#[derive(Debug)]
pub struct App {
    /// The columns of the list.
    pub columns: Vec<Column>,
    /// How wide each would like to be.
    pub widths: Vec<usize>,
    /// What is said if there is no row.
    pub nothing: &'static str,
    /// What narrows the list.
    pub filter: String,
    /// What it is ordered by.
    pub sorting: Order<Column>,
    /// What keys mean now.
    pub mode: Mode,
    /// The pane about the selected row, if it is open.
    pub details: Option<Details>,
    /// Why the last look failed.
    pub failure: Option<String>,
    /// Whether root would see more holders.
    pub is_partial: bool,
    /// Columns and lines of the terminal.
    pub size: (u16, u16),
    /// The first line that the list shows.
    pub top: usize,
    entries: Vec<Entry>,
    /// Which entries fit the filter.
    shown: Vec<usize>,
    selected: Option<Id>,
    /// Where the selected row was last, among those shown.
    at: usize,
    has_looked: bool,
}

/// A row, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The row.
    pub row: Row,
    /// Whether it is new, or gone.
    pub mark: Mark,
}

/// What has become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is there.
    None,
    /// It came at that time.
    Opened(Instant),
    /// It went at that time.
    Closed(Instant),
}

/// What keys mean.
#[derive(Debug, Default)]
pub enum Mode {
    /// They move in the list.
    #[default]
    List,
    /// They move in the pane.
    Pane,
    /// They are typed into the filter.
    Filter,
    /// A text is read.
    Told(Popup),
    /// Whether to carry out a plan is asked.
    Asked(Popup),
    /// Something is under way; the text says what.
    Busy(String),
}

/// A text over the list.
#[derive(Debug, Default)]
pub struct Popup {
    /// What it is about.
    pub title: String,
    /// The text.
    pub lines: Vec<Line<'static>>,
    /// How far it is scrolled.
    pub scroll: usize,
}

impl App {
    /// A view of nothing yet.
    pub fn new(columns: Vec<Column>, sorting: Order<Column>, size: (u16, u16)) -> Self {
        Self {
            widths: vec![0; columns.len()],
            columns,
            nothing: "nothing to show: no socket matches",
            filter: String::new(),
            sorting,
            mode: Mode::List,
            details: None,
            failure: None,
            is_partial: false,
            size,
            top: 0,
            entries: Vec::new(),
            shown: Vec::new(),
            selected: None,
            at: 0,
            has_looked: false,
        }
    }

    /// Takes in what a look has found.
    pub fn take(&mut self, sample: Sample, now: Instant) {
        let before = std::mem::take(&mut self.entries);
        let mut known: HashMap<&Id, Mark> = before.iter().map(|entry| (&entry.row.id, entry.mark)).collect();
        let mark = if self.has_looked { Mark::Opened(now) } else { Mark::None };
        self.entries.extend(sample.rows.into_iter().map(|row| {
            let mark = match known.remove(&row.id) {
                Some(Mark::Closed(_)) | None => mark,
                Some(mark) => mark,
            };
            Entry { row, mark }
        }));
        let gone: HashSet<Id> = known.into_keys().cloned().collect();
        let gone = before.into_iter().filter(|entry| gone.contains(&entry.row.id));
        self.entries.extend(gone.map(|entry| Entry {
            mark: match entry.mark {
                Mark::Closed(at) => Mark::Closed(at),
                _ => Mark::Closed(now),
            },
            ..entry
        }));
        (self.widths, self.is_partial, self.has_looked) = (sample.widths, sample.is_partial, true);
        self.widen();
        self.failure = None;
        self.expire(now);
        self.order();
    }

    /// Makes room for what is gone, which no look sees any more.
    fn widen(&mut self) {
        for entry in self.entries.iter().filter(|entry| matches!(entry.mark, Mark::Closed(_))) {
            for (at, (width, cell)) in self.widths.iter_mut().zip(entry.row.cells()).enumerate() {
                let heading = self.columns.get(at).map_or(0, |&column| heading(column).len());
                *width = (*width).max(if cell.is_empty() { 0 } else { width_of(cell).max(heading) });
            }
        }
    }

    /// Drops marks, and rows that are gone, after a while. Returns whether there were any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let is_over = |at: Instant| now.saturating_duration_since(at) >= KEPT;
        let count = self.entries.len();
        self.entries.retain(|entry| !matches!(entry.mark, Mark::Closed(at) if is_over(at)));
        let mut has_changed = self.entries.len() < count;
        for entry in &mut self.entries {
            if matches!(entry.mark, Mark::Opened(at) if is_over(at)) {
                entry.mark = Mark::None;
                has_changed = true;
            }
        }
        if has_changed {
            self.narrow();
        }
        has_changed
    }

    /// Whether something has been seen.
    pub const fn has_looked(&self) -> bool {
        self.has_looked
    }

    /// How many rows there are, and how many fit the filter, without those that are gone.
    pub fn counts(&self) -> (usize, usize) {
        let is_there = |entry: &&Entry| !matches!(entry.mark, Mark::Closed(_));
        (self.entries.iter().filter(is_there).count(), self.shown().filter(is_there).count())
    }

    /// The rows that fit the filter.
    pub fn shown(&self) -> impl Iterator<Item = &Entry> {
        self.shown.iter().filter_map(|&index| self.entries.get(index))
    }

    /// The selected row.
    pub fn selected(&self) -> Option<&Entry> {
        self.shown.get(self.at).and_then(|&index| self.entries.get(index))
    }

    /// Where it stands among those shown.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Selects the row that stands there among those shown, or the last.
    pub fn select(&mut self, at: usize) {
        self.at = at.min(self.shown.len().saturating_sub(1));
        self.selected = self.selected().map(|entry| entry.row.id.clone());
        self.scroll();
    }

    /// Orders by another column, or the other way round by the same.
    pub fn sort_by(&mut self, column: Column) {
        let is_reversed = self.sorting.column == column && !self.sorting.is_reversed;
        self.sorting = Order { column, is_reversed };
        self.order();
    }

    /// Puts the rows in order. The selected one stays selected, wherever it goes.
    pub fn order(&mut self) {
        let Order { column, is_reversed } = self.sorting;
        let index = self.columns.iter().position(|&known| known == column).unwrap_or(0);
        self.entries.sort_by_cached_key(|entry| (Key::of(column, entry.row.cell(index)), entry.row.id.clone()));
        if is_reversed {
            self.entries.reverse();
        }
        self.narrow();
    }

    /// Applies the filter.
    pub fn narrow(&mut self) {
        let filter = self.filter.to_lowercase();
        let fitting = self.entries.iter().enumerate().filter(|(_, entry)| entry.row.fits(&filter));
        self.shown = fitting.map(|(index, _)| index).collect();
        let at = self.selected.as_ref().and_then(|id| self.shown().position(|entry| entry.row.id == *id));
        match at {
            Some(at) => {
                self.at = at;
                self.scroll();
            }
            // The one that stands where it was.
            None => self.select(self.at),
        }
    }

    /// Keeps the selected row in sight.
    pub fn scroll(&mut self) {
        let height = super::layout::Layout::of(self).list.height.into();
        self.top = self.top.min(self.shown.len().saturating_sub(height));
        if self.at < self.top {
            self.top = self.at;
        } else if self.at >= self.top + height {
            self.top = self.at + 1 - height;
        }
    }

    /// Whether the row is still there.
    pub fn has(&self, id: &Id) -> bool {
        self.entries.iter().any(|entry| entry.row.id == *id && !matches!(entry.mark, Mark::Closed(_)))
    }

    /// The columns that are shown, and their widths.
    pub fn fitted(&self) -> Vec<(usize, usize)> {
        // The last one may be the one with the arrow.
        let room = self.size.0.saturating_sub(super::layout::MARK + 1);
        let widths = concede(&self.columns, self.widths.clone(), |_| NARROW_ADDRESS, Some(room));
        let widths = fit(&self.columns, &widths, room.into());
        widths.into_iter().enumerate().filter(|&(_, width)| width > 0).collect()
    }
}

/// What a column of several addresses has at least.
const NARROW_ADDRESS: usize = 15;

/// What a row is ordered by: numbers by their value, unknown things last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(bool, Option<u64>, String);

impl Key {
    fn of(column: Column, cell: &str) -> Self {
        let is_unknown = cell.is_empty() || cell.starts_with('(') && column == Column::Process;
        match column {
            Column::Port | Column::Pid => {
                let digits = cell.find(|c: char| !c.is_ascii_digit()).map_or(cell, |end| &cell[..end]);
                Self(is_unknown, digits.parse().ok(), String::new())
            }
            _ => Self(is_unknown, None, cell.to_lowercase()),
        }
    }
}

impl Popup {
    /// A text with a title.
    pub fn new(title: impl Into<String>, lines: Vec<Line<'static>>) -> Self {
        Self { title: title.into(), lines, scroll: 0 }
    }

    /// The text as it fits over a list of this size.
    pub fn folded(&self, (width, _): (u16, u16)) -> Vec<Line<'static>> {
        fold(&self.lines, width.saturating_sub(FRAME).into())
    }

    /// Scrolls by so many lines, where `room` are in sight, over a list of this size.
    pub fn scroll_by(&mut self, lines: isize, room: usize, size: (u16, u16)) {
        let most = self.folded(size).len().saturating_sub(room);
        self.scroll = self.scroll.saturating_add_signed(lines).min(most);
    }
}

#[cfg(test)]
mod tests;
