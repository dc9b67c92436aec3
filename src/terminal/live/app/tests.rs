use std::time::{Duration, Instant};

use super::*;
use crate::terminal::live::row::tests::row;

const COLUMNS: [Column; 3] = [Column::Port, Column::Process, Column::Pid];

fn sample(rows: &[(u16, u32, &str)]) -> Sample {
    Sample {
        rows: rows
            .iter()
            .map(|&(port, pid, name)| row(port, pid, &[&port.to_string(), name, &pid.to_string()]))
            .collect(),
        widths: vec![5, 8, 5],
        is_partial: false,
    }
}

fn app(rows: &[(u16, u32, &str)], now: Instant) -> App {
    let mut app = App::new(COLUMNS.to_vec(), Order::default(), (80, 24));
    app.take(sample(rows), now);
    app
}

fn ports(app: &App) -> Vec<u16> {
    app.shown().map(|entry| entry.row.id.port).collect()
}

#[test]
fn what_comes_and_goes_is_marked_for_a_while() {
    let start = Instant::now();
    let mut app = app(&[(80, 1, "a"), (443, 1, "a")], start);
    assert!(app.shown().all(|entry| entry.mark == Mark::None));
    let later = start + Duration::from_secs(1);
    app.take(sample(&[(443, 1, "a"), (8080, 2, "b")]), later);
    let marks: Vec<Mark> = app.shown().map(|entry| entry.mark).collect();
    assert_eq!(marks, [Mark::Closed(later), Mark::None, Mark::Opened(later)]);
    assert_eq!(app.counts(), (2, 2));
    assert!(!app.expire(start + KEPT));
    assert!(app.expire(later + KEPT));
    assert_eq!(ports(&app), [443, 8080]);
    assert!(app.shown().all(|entry| entry.mark == Mark::None));
}

#[test]
fn what_comes_back_is_opened_again() {
    let start = Instant::now();
    let mut app = app(&[(80, 1, "a")], start);
    app.take(sample(&[]), start);
    app.take(sample(&[(80, 1, "a")]), start);
    assert_eq!(app.shown().map(|entry| entry.mark).collect::<Vec<_>>(), [Mark::Opened(start)]);
}

#[test]
fn the_selected_row_stays_selected_while_others_move() {
    let now = Instant::now();
    let mut app = app(&[(80, 1, "c"), (443, 2, "b"), (8080, 3, "a")], now);
    app.select(1);
    let selected = |app: &App| app.selected().map(|entry| entry.row.id.port);
    app.take(sample(&[(22, 9, "z"), (80, 1, "c"), (443, 2, "b"), (8080, 3, "a")]), now);
    assert_eq!((selected(&app), app.at()), (Some(443), 2));
    app.sort_by(Column::Process);
    assert_eq!((selected(&app), app.at()), (Some(443), 1));
    app.sort_by(Column::Process);
    assert_eq!((selected(&app), app.at()), (Some(443), 2));
    // Another process has the port now: that is another row.
    app.take(sample(&[(443, 7, "b")]), now);
    assert_eq!(app.selected().map(|entry| entry.mark), Some(Mark::Closed(now)));
    app.expire(now + KEPT);
    assert_eq!(app.selected().map(|entry| entry.row.holders[0].0), Some(7));
}

#[test]
fn numbers_are_ordered_by_value_and_unknown_things_come_last() {
    let mut app = app(&[(443, 20, "(hidden)"), (80, 100, "B"), (8080, 3, "a")], Instant::now());
    assert_eq!(ports(&app), [80, 443, 8080]);
    app.sort_by(Column::Pid);
    assert_eq!(ports(&app), [8080, 443, 80]);
    app.sort_by(Column::Process);
    assert_eq!(ports(&app), [8080, 80, 443]);
    app.sort_by(Column::Process);
    assert_eq!(ports(&app), [443, 80, 8080]);
}

#[test]
fn every_word_of_the_filter_has_to_be_in_the_row() {
    let mut app = app(&[(80, 1, "nginx"), (8080, 2, "node"), (8081, 3, "Node")], Instant::now());
    for (filter, expected) in [
        ("", &[80, 8080, 8081][..]),
        ("node", &[8080, 8081]),
        ("NODE 81", &[8081]),
        ("80", &[80, 8080, 8081]),
        ("zzz", &[]),
    ] {
        filter.clone_into(&mut app.filter);
        app.narrow();
        assert_eq!(ports(&app), expected, "{filter}");
    }
    assert_eq!((app.selected(), app.counts()), (None, (3, 0)));
}

#[test]
fn the_selected_row_is_in_sight() {
    let rows: Vec<(u16, u32, &str)> = (1..=100).map(|port| (port, 1, "a")).collect();
    let mut app = app(&rows, Instant::now());
    app.select(99);
    assert_eq!(app.top, 79);
    app.size = (80, 10);
    app.scroll();
    assert_eq!((app.at(), app.top), (99, 93));
    app.select(0);
    assert_eq!(app.top, 0);
}
