//! Draws the view. Opened and closed rows have a mark as well as a colour, and all other colours
//! are the terminal's own, so it can be light or dark or have none.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Position, Rect};
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::text::Line;

use super::app::{App, Entry, Mark, Mode, Popup};
use super::layout::{Layout, MARK, over};
use crate::render::columns::{self, GUTTER};
use crate::render::escape::{self, shorten, width_of};
use crate::request::Column;

/// Draws everything. Where the cursor belongs, if something is typed.
pub fn draw(app: &App, buffer: &mut Buffer) -> Option<Position> {
    // It was resized a moment ago; the message about that is on its way.
    if app.size != (buffer.area.width, buffer.area.height) || buffer.area.is_empty() {
        return None;
    }
    if app.size.0 < 20 || app.size.1 < 5 {
        buffer.set_stringn(0, 0, "too small", app.size.0.into(), Style::new());
        return None;
    }
    let layout = Layout::of(app);
    title(app, layout.title, buffer);
    list(app, &layout, buffer);
    pane(app, &layout, buffer);
    let cursor = foot(app, layout.foot, buffer);
    match &app.mode {
        Mode::Told(text) => popup(text, &[], app, buffer),
        Mode::Asked(plan) => popup(plan, &[String::new(), "Do this? [y/N]".to_owned()], app, buffer),
        _ => {}
    }
    cursor
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// What is looked at, how much of it there is, and what could not be seen.
fn title(app: &App, area: Rect, buffer: &mut Buffer) {
    let (all, shown) = app.counts();
    let mut parts = vec!["portcheck watch".to_owned()];
    parts.push(match () {
        () if !app.has_looked() => "looking …".to_owned(),
        () if app.filter.is_empty() => count(all, "row"),
        () => format!("{shown} of {}, filter: {}", count(all, "row"), escape::terminal(&app.filter)),
    });
    let order = if app.sorting.is_reversed { ", reversed" } else { "" };
    parts.push(format!("by {}{order}", columns::heading(app.sorting.column).to_lowercase()));
    match &app.failure {
        Some(failure) => parts.push(escape::terminal(failure).into_owned()),
        None if app.is_partial => parts.push("root would see more holders".to_owned()),
        None => {}
    }
    let text = parts.join(" · ");
    buffer.set_stringn(area.x, area.y, shorten(&text, area.width.into()), area.width.into(), bold());
}

fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn list(app: &App, layout: &Layout, buffer: &mut Buffer) {
    let columns = app.fitted();
    let headings = columns.iter().map(|&(index, _)| heading_of(app, app.columns[index]));
    write_cells(app, &columns, headings, layout.headings, buffer);
    buffer.set_style(layout.headings, bold());
    let rows = app.shown().enumerate().skip(app.top).take(layout.list.height.into());
    for (y, (at, entry)) in (layout.list.y..).zip(rows) {
        let area = Rect { y, height: 1, ..layout.list };
        let cells = columns.iter().map(|&(index, _)| entry.row.cell(index).to_owned());
        write_cells(app, &columns, cells, area, buffer);
        mark(entry, at == app.at(), area, buffer);
    }
    if app.has_looked() && app.shown().next().is_none() && layout.list.height > 0 {
        let text = if app.filter.is_empty() { app.nothing } else { "no row fits the filter" };
        let room = usize::from(layout.list.width - MARK);
        buffer.set_stringn(MARK, layout.list.y, shorten(text, room), room, Style::new());
    }
}

/// The heading, with an arrow where the list is ordered by it.
fn heading_of(app: &App, column: Column) -> String {
    columns::heading(column).to_owned()
        + match app.sorting.is_reversed {
            _ if app.sorting.column != column => "",
            true => "↑",
            false => "↓",
        }
}

fn write_cells(
    app: &App,
    columns: &[(usize, usize)],
    cells: impl Iterator<Item = String>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let mut x = area.x + MARK;
    for (&(index, width), cell) in columns.iter().zip(cells) {
        let room = usize::from(area.right().saturating_sub(x));
        let cell = shorten(&cell, room.min(width + usize::from(GUTTER) - 1));
        let is_number = matches!(app.columns[index], Column::Port | Column::Pid);
        let indent = if is_number { width.saturating_sub(width_of(&cell)) } else { 0 };
        let to = x.saturating_add(narrow(indent));
        if to < area.right() {
            buffer.set_stringn(to, area.y, &cell, usize::from(area.right() - to), Style::new());
        }
        x = x.saturating_add(narrow(width)).saturating_add(GUTTER);
    }
}

fn narrow(width: usize) -> u16 {
    u16::try_from(width).unwrap_or(u16::MAX)
}

/// What has become of a row, and whether it is the selected one.
fn mark(entry: &Entry, is_selected: bool, area: Rect, buffer: &mut Buffer) {
    let (sign, style) = match entry.mark {
        Mark::None => (" ", Style::new()),
        Mark::Opened(_) => ("+", Style::new().fg(Color::Green)),
        Mark::Closed(_) => ("-", Style::new().fg(Color::Red).add_modifier(Modifier::DIM)),
    };
    buffer.set_style(area, style);
    let pointer = if is_selected { ">" } else { " " };
    buffer.set_stringn(area.x, area.y, format!("{pointer}{sign} "), MARK.into(), style);
    if is_selected {
        buffer.set_style(area, Style::new().add_modifier(Modifier::REVERSED));
    }
}

/// The report on the selected row, and its connections.
fn pane(app: &App, layout: &Layout, buffer: &mut Buffer) {
    let Some(details) = &app.details else { return };
    let area = layout.pane_title;
    let gone = if app.has(&details.row.id) { "" } else { ", closed" };
    let name = format!("── {}{gone} ", details.row.name());
    let rule = format!("{name}{}", "─".repeat(usize::from(area.width).saturating_sub(width_of(&name))));
    let style = if matches!(app.mode, Mode::Pane) { bold() } else { Style::new() };
    if area.height > 0 {
        buffer.set_stringn(area.x, area.y, rule, area.width.into(), style);
    }
    let lines = details.lines(layout.pane.width);
    write_lines(&lines, details.scroll, layout.pane, buffer);
}

fn write_lines(lines: &[Line<'static>], scroll: usize, area: Rect, buffer: &mut Buffer) {
    for (y, line) in (area.y..area.bottom()).zip(lines.iter().skip(scroll)) {
        buffer.set_line(area.x, y, line, area.width);
    }
}

/// What is typed, what is under way, or what keys do.
fn foot(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let (text, cursor) = match &app.mode {
        Mode::Filter => {
            let text = format!("/{}", escape::terminal(&app.filter));
            let x = narrow(width_of(&text)).min(area.width.saturating_sub(1));
            (text, Some(Position { x, y: area.y }))
        }
        Mode::Busy(what) => (what.clone(), None),
        Mode::Told(_) => ("any key goes back".to_owned(), None),
        Mode::Asked(_) => ("any other key: no".to_owned(), None),
        Mode::Pane => ("Up Down scroll · Tab list · Esc close · ? keys · q quit".to_owned(), None),
        Mode::List => ("Enter report · / filter · s sort · k kill · f free port · ? keys · q quit".to_owned(), None),
    };
    buffer.set_stringn(area.x, area.y, shorten(&text, area.width.into()), area.width.into(), Style::new());
    cursor
}

/// A text in a frame, over everything else. What is below `rest` is always in sight.
fn popup(text: &Popup, rest: &[String], app: &App, buffer: &mut Buffer) {
    let lines = text.folded(app.size);
    let widths = lines.iter().map(Line::width).chain(rest.iter().map(|line| width_of(line)));
    let width = widths.max().unwrap_or(0).max(width_of(&text.title));
    let area = over(app.size, width, lines.len() + rest.len());
    frame(area, &text.title, buffer);
    let inner = Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    };
    let below = narrow(rest.len()).min(inner.height);
    write_lines(&lines, text.scroll, Rect { height: inner.height - below, ..inner }, buffer);
    for (y, line) in (inner.bottom() - below..inner.bottom()).zip(rest) {
        buffer.set_stringn(inner.x, y, line, inner.width.into(), bold());
    }
}

fn frame(area: Rect, title: &str, buffer: &mut Buffer) {
    let across = usize::from(area.width.saturating_sub(2));
    let top = shorten(&format!("─ {title} "), across).into_owned();
    let top = format!("┌{top}{}┐", "─".repeat(across.saturating_sub(width_of(&top))));
    let blank = format!("│{}│", " ".repeat(across));
    for y in area.y..area.bottom() {
        let text = match () {
            () if y == area.y => top.clone(),
            () if y + 1 == area.bottom() => format!("└{}┘", "─".repeat(across)),
            () => blank.clone(),
        };
        // What was there before is not to shine through.
        buffer.set_style(Rect { y, height: 1, ..area }, Style::reset());
        buffer.set_stringn(area.x, y, text, area.width.into(), Style::reset());
    }
}

#[cfg(test)]
mod tests;
