use std::time::Instant;

use super::*;
use crate::request::{Column, Order};
use crate::terminal::live::app::KEPT;
use crate::terminal::live::row::Sample;
use crate::terminal::live::row::tests::row;

fn sample(ports: &[u16]) -> Sample {
    let rows = ports.iter().map(|&port| row(port, u32::from(port) + 1, &[&port.to_string(), "node"]));
    Sample { rows: rows.collect(), widths: vec![5, 7], is_partial: false }
}

fn app(ports: &[u16]) -> App {
    let mut app = App::new(vec![Column::Port, Column::Process], Order::default(), (80, 24));
    app.take(sample(ports), Instant::now());
    app
}

fn key(app: &mut App, code: KeyCode) -> Option<Effect> {
    press(app, KeyEvent::new(code, KeyModifiers::NONE))
}

fn type_text(app: &mut App, text: &str) {
    for letter in text.chars() {
        assert_eq!(key(app, KeyCode::Char(letter)), None);
    }
}

fn selected(app: &App) -> u16 {
    app.selected().unwrap().row.id.port
}

#[test]
fn letters_are_commands_in_the_list_and_letters_in_the_filter() {
    let mut app = app(&[80, 443, 8080]);
    type_text(&mut app, "/q80");
    assert_eq!((&*app.filter, app.shown().count()), ("q80", 0));
    assert_eq!(key(&mut app, KeyCode::Esc), None);
    assert_eq!((&*app.filter, app.shown().count()), ("", 3));
    type_text(&mut app, "/80x");
    key(&mut app, KeyCode::Backspace);
    key(&mut app, KeyCode::Enter);
    assert_eq!((app.shown().count(), selected(&app)), (2, 80));
    assert_eq!(key(&mut app, KeyCode::Char('q')), Some(Effect::Quit));
    for mode in ["", "/", "?"] {
        type_text(&mut app, mode);
        assert_eq!(press(&mut app, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Effect::Quit));
        assert_eq!(press(&mut app, KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL)), Some(Effect::Suspend));
    }
}

/// What has moved to where the selected row was must not be ended in its place.
#[test]
fn the_row_that_was_selected_is_the_one_to_be_ended() {
    let mut app = app(&[80, 443]);
    key(&mut app, KeyCode::Down);
    let row = app.selected().unwrap().row.clone();
    app.take(sample(&[22, 80, 443, 500]), Instant::now());
    assert_eq!(key(&mut app, KeyCode::Char('k')), Some(Effect::Plan(Box::new(row))));
    // Until the plan is there, keys do nothing.
    for code in [KeyCode::Char('y'), KeyCode::Down, KeyCode::Enter, KeyCode::Char('k')] {
        assert_eq!(key(&mut app, code), None);
    }
    assert!(matches!(app.mode, Mode::Busy(_)));
}

#[test]
fn a_row_that_is_gone_is_not_ended_nor_is_what_comes_after_it() {
    let mut app = app(&[80, 443]);
    let now = Instant::now();
    app.take(sample(&[443]), now);
    assert_eq!((selected(&app), key(&mut app, KeyCode::Char('k'))), (80, None));
    let Mode::Told(told) = &app.mode else { panic!("{:?}", app.mode) };
    assert_eq!(told.lines[0].to_string(), "80/tcp is closed already: nothing was done");
    app.expire(now + KEPT);
    assert_eq!(selected(&app), 443);
}

#[test]
fn only_a_yes_carries_a_plan_out() {
    for (code, expected) in [
        (KeyCode::Char('y'), Effect::Execute),
        (KeyCode::Char('n'), Effect::Forget),
        (KeyCode::Enter, Effect::Forget),
        (KeyCode::Esc, Effect::Forget),
        (KeyCode::Char('q'), Effect::Forget),
    ] {
        let mut app = app(&[80]);
        app.mode = Mode::Asked(Popup::default());
        assert_eq!(key(&mut app, KeyCode::Down), None);
        assert_eq!(key(&mut app, code), Some(expected));
        assert!(!matches!(app.mode, Mode::Asked(_)));
    }
}

#[test]
fn the_pane_follows_the_selection() {
    let mut app = app(&[80, 443]);
    let reported = |effect: Option<Effect>| match effect {
        Some(Effect::Report(row)) => Some(row.id.port),
        _ => None,
    };
    let opened = key(&mut app, KeyCode::Enter);
    assert_eq!(reported(opened), Some(80));
    let moved = key(&mut app, KeyCode::Down);
    assert_eq!(reported(moved), Some(443));
    assert_eq!(key(&mut app, KeyCode::Down), None);
    // In the pane, the same keys scroll.
    key(&mut app, KeyCode::Tab);
    assert_eq!((key(&mut app, KeyCode::Up), selected(&app)), (None, 443));
    key(&mut app, KeyCode::Esc);
    assert!(app.details.is_none() && matches!(app.mode, Mode::List));
}

#[test]
fn the_list_is_sorted_by_keys() {
    let mut app = app(&[80, 443]);
    key(&mut app, KeyCode::Char('s'));
    assert_eq!(app.sorting, Order { column: Column::Process, is_reversed: false });
    key(&mut app, KeyCode::Char('s'));
    assert_eq!(app.sorting, Order { column: Column::Port, is_reversed: false });
    key(&mut app, KeyCode::Char('r'));
    assert_eq!(app.sorting, Order { column: Column::Port, is_reversed: true });
    key(&mut app, KeyCode::Char('2'));
    key(&mut app, KeyCode::Char('2'));
    assert_eq!(app.sorting, Order { column: Column::Process, is_reversed: true });
    key(&mut app, KeyCode::Char('9'));
    assert_eq!(app.sorting.column, Column::Process);
}

#[test]
fn the_mouse_selects_opens_sorts_and_scrolls() {
    let mut app = app(&[80, 443, 8080]);
    let event = |kind, column, row| MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    let click = MouseEventKind::Down(MouseButton::Left);
    assert_eq!(mouse(&mut app, event(click, 5, 3)), None);
    assert_eq!(selected(&app), 443);
    assert!(matches!(mouse(&mut app, event(click, 5, 3)), Some(Effect::Report(_))));
    assert_eq!(mouse(&mut app, event(click, 5, 9)), None);
    assert!(matches!(mouse(&mut app, event(MouseEventKind::ScrollDown, 5, 3)), Some(Effect::Report(_))));
    assert_eq!(selected(&app), 8080);
    mouse(&mut app, event(click, 10, 1));
    assert_eq!(app.sorting.column, Column::Process);
    for x in 0..90 {
        for y in 0..30 {
            mouse(&mut app, event(click, x, y));
        }
    }
}

/// Nothing panics on a terminal of whatever size.
#[test]
fn keys_do_no_harm_without_rows_and_on_small_terminals() {
    for size in [(0, 0), (1, 1), (20, 5), (80, 24), (u16::MAX, 3)] {
        for ports in [&[][..], &[80, 443]] {
            let mut app = app(ports);
            app.size = size;
            for code in [
                KeyCode::Down,
                KeyCode::Up,
                KeyCode::PageDown,
                KeyCode::PageUp,
                KeyCode::End,
                KeyCode::Home,
                KeyCode::Enter,
                KeyCode::Tab,
                KeyCode::PageDown,
                KeyCode::End,
                KeyCode::Char('?'),
                KeyCode::PageDown,
                KeyCode::PageUp,
                KeyCode::Esc,
                KeyCode::Char('s'),
                KeyCode::Char('r'),
                KeyCode::Char('1'),
                KeyCode::Char('k'),
                KeyCode::Esc,
            ] {
                key(&mut app, code);
            }
        }
    }
}
