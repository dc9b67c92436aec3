//! What keys and the mouse do: each changes the state, and may ask for more than that.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::app::{App, Mark, Mode, Popup};
use super::details::Details;
use super::help;
use super::layout::{Layout, MARK, over};
use super::row::Row;
use crate::render::columns::GUTTER;

/// What a key asks for beyond the state of the view.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// To end.
    Quit,
    /// To stop as by Ctrl-Z, until the shell goes on with it.
    Suspend,
    /// To redraw the screen.
    Redraw,
    /// To report on the selected row.
    Report(Box<Row>),
    /// To plan the end of what holds this row.
    Plan(Box<Row>),
    /// To carry out the plan that was shown.
    Execute,
    /// To forget it.
    Forget,
    /// To find a free port.
    FindFree,
}

/// A key was pressed.
pub fn press(app: &mut App, key: KeyEvent) -> Option<Effect> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        match key.code {
            KeyCode::Char('c') => return Some(Effect::Quit),
            KeyCode::Char('z') => return Some(Effect::Suspend),
            KeyCode::Char('l') => return Some(Effect::Redraw),
            _ => {}
        }
    }
    match app.mode {
        Mode::List | Mode::Pane => browse(app, key.code),
        Mode::Filter => filter(app, key),
        Mode::Told(_) => read(app, key.code),
        Mode::Asked(_) => answer(app, key.code),
        // What is under way cannot be stopped; the list still can be left.
        Mode::Busy(_) => (key.code == KeyCode::Char('q')).then_some(Effect::Quit),
    }
}

fn browse(app: &mut App, key: KeyCode) -> Option<Effect> {
    match key {
        KeyCode::Char('q') => return Some(Effect::Quit),
        KeyCode::Char('/') => app.mode = Mode::Filter,
        KeyCode::Char('?') => app.mode = Mode::Told(Popup::new("keys", help::lines())),
        KeyCode::Char('f') => return Some(start(app, "looking for a free port …", Effect::FindFree)),
        KeyCode::Char('k') => return kill(app),
        KeyCode::Char('s') => sort_by_next(app),
        KeyCode::Char('r') => app.sort_by(app.sorting.column),
        KeyCode::Char(digit @ '1'..='9') => sort_by_number(app, digit),
        KeyCode::Enter => return open_or_close(app),
        KeyCode::Tab if app.details.is_some() => {
            app.mode = if matches!(app.mode, Mode::Pane) { Mode::List } else { Mode::Pane };
        }
        KeyCode::Esc => leave(app),
        _ => return move_by(app, key),
    }
    None
}

/// What Esc leaves first: the pane, then the filter.
fn leave(app: &mut App) {
    app.mode = Mode::List;
    if app.details.take().is_none() {
        app.filter.clear();
    }
    app.narrow();
}

/// Says what is under way from now on.
fn start(app: &mut App, what: &str, effect: Effect) -> Effect {
    app.mode = Mode::Busy(what.to_owned());
    effect
}

/// Plans the end of what holds the selected row, as it is now: what comes to its place later is not
/// meant.
fn kill(app: &mut App) -> Option<Effect> {
    let entry = app.selected()?;
    let row = entry.row.clone();
    if matches!(entry.mark, Mark::Closed(_)) {
        let text = format!("{} is closed already: nothing was done", row.name());
        app.mode = Mode::Told(Popup::new("kill", vec![text.into()]));
        return None;
    }
    let what = format!("looking at who holds {} …", row.name());
    Some(start(app, &what, Effect::Plan(Box::new(row))))
}

fn sort_by_next(app: &mut App) {
    let shown: Vec<usize> = app.fitted().into_iter().map(|(index, _)| index).collect();
    let now = app.columns.iter().position(|&column| column == app.sorting.column);
    let next = shown.iter().find(|&&index| Some(index) > now).or_else(|| shown.first());
    if let Some(&index) = next {
        app.sort_by(app.columns[index]);
    }
}

/// By the column with this number, as they stand on the terminal.
fn sort_by_number(app: &mut App, digit: char) {
    let number = digit.to_digit(10).and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
    if let Some(&(index, _)) = app.fitted().get(number - 1) {
        app.sort_by(app.columns[index]);
    }
}

fn open_or_close(app: &mut App) -> Option<Effect> {
    if app.details.take().is_some() {
        app.mode = Mode::List;
        app.scroll();
        return None;
    }
    let row = app.selected()?.row.clone();
    app.details = Some(Details::of(row.clone()));
    app.scroll();
    Some(Effect::Report(Box::new(row)))
}

fn move_by(app: &mut App, key: KeyCode) -> Option<Effect> {
    let layout = Layout::of(app);
    let in_pane = matches!(app.mode, Mode::Pane);
    let page = isize::try_from(if in_pane { layout.pane.height } else { layout.list.height }).unwrap_or(1).max(1);
    let lines = match key {
        KeyCode::Up => -1,
        KeyCode::Down => 1,
        KeyCode::PageUp => -page,
        KeyCode::PageDown | KeyCode::Char(' ') => page,
        KeyCode::Home => isize::MIN,
        KeyCode::End => isize::MAX,
        _ => return None,
    };
    if let Some(details) = app.details.as_mut().filter(|_| in_pane) {
        details.scroll_by(lines, layout.pane);
        return None;
    }
    select(app, app.at().saturating_add_signed(lines))
}

/// Selects a row. An open pane tells about it.
fn select(app: &mut App, at: usize) -> Option<Effect> {
    app.select(at);
    follow(app)
}

/// Lets an open pane tell about the selected row.
pub fn follow(app: &mut App) -> Option<Effect> {
    let row = app.selected()?.row.clone();
    let details = app.details.as_mut()?;
    if details.row.id == row.id {
        return None;
    }
    *details = Details::of(row.clone());
    Some(Effect::Report(Box::new(row)))
}

fn filter(app: &mut App, key: KeyEvent) -> Option<Effect> {
    match key.code {
        KeyCode::Enter => app.mode = Mode::List,
        KeyCode::Esc => {
            app.mode = Mode::List;
            app.filter.clear();
        }
        KeyCode::Backspace => {
            app.filter.pop();
        }
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => app.filter.clear(),
        KeyCode::Char(typed) if key.modifiers.difference(KeyModifiers::SHIFT).is_empty() => app.filter.push(typed),
        KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown => return move_by(app, key.code),
        _ => return None,
    }
    app.narrow();
    follow(app)
}

fn read(app: &mut App, key: KeyCode) -> Option<Effect> {
    if !scrolls(app, key) {
        app.mode = Mode::List;
    }
    None
}

fn answer(app: &mut App, key: KeyCode) -> Option<Effect> {
    match key {
        _ if scrolls(app, key) => None,
        KeyCode::Char('y' | 'Y') => Some(start(app, "waiting for it to end …", Effect::Execute)),
        _ => {
            app.mode = Mode::List;
            Some(Effect::Forget)
        }
    }
}

/// Whether the key scrolls the text over the list.
fn scrolls(app: &mut App, key: KeyCode) -> bool {
    let most = usize::from(over(app.size, 0, usize::from(u16::MAX)).height);
    let (popup, room) = match &mut app.mode {
        Mode::Told(popup) => (popup, most.saturating_sub(2)),
        Mode::Asked(popup) => (popup, most.saturating_sub(4)),
        _ => return false,
    };
    let page = isize::try_from(room).unwrap_or(1).max(1);
    let lines = match key {
        KeyCode::Up => -1,
        KeyCode::Down => 1,
        KeyCode::PageUp => -page,
        KeyCode::PageDown => page,
        _ => return false,
    };
    popup.scroll_by(lines, room, app.size);
    true
}

/// The mouse: a click selects a row, or orders by a column; a second one opens the pane; the wheel
/// moves.
pub fn mouse(app: &mut App, event: MouseEvent) -> Option<Effect> {
    if !matches!(app.mode, Mode::List | Mode::Pane | Mode::Filter) {
        return None;
    }
    let layout = Layout::of(app);
    match event.kind {
        MouseEventKind::ScrollUp => move_by(app, KeyCode::Up),
        MouseEventKind::ScrollDown => move_by(app, KeyCode::Down),
        MouseEventKind::Down(MouseButton::Left) if event.row == layout.headings.y => {
            let column = column_at(app, event.column)?;
            app.sort_by(app.columns[column]);
            None
        }
        MouseEventKind::Down(MouseButton::Left) => {
            let at = app.top + layout.line_at(event.column, event.row)?;
            if at >= app.shown().count() {
                return None;
            }
            if at == app.at() { open_or_close(app) } else { select(app, at) }
        }
        _ => None,
    }
}

/// The column that stands there.
fn column_at(app: &App, x: u16) -> Option<usize> {
    let mut end = usize::from(MARK);
    app.fitted().into_iter().find_map(|(index, width)| {
        end += width + usize::from(GUTTER);
        (usize::from(x) < end).then_some(index)
    })
}

#[cfg(test)]
mod tests;
