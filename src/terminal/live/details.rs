//! The pane about the selected row: the report on its port, and its connections.

use std::collections::VecDeque;

use ratatui_core::layout::Rect;
use ratatui_core::style::Stylize;
use ratatui_core::text::{Line, Span};

use super::row::Row;
use super::traffic::{Traffic, sparkline};
use crate::model::Socket;
use crate::render::bytes;

/// What the pane shows.
#[derive(Debug)]
pub struct Details {
    /// The row that it is about.
    pub row: Row,
    /// The report, as soon as it is there.
    pub report: Option<Vec<Line<'static>>>,
    /// What its connections do.
    pub traffic: Traffic,
    /// How far it is scrolled.
    pub scroll: usize,
}

impl Details {
    /// Nothing yet about `row`.
    pub fn of(row: Row) -> Self {
        Self { row, report: None, traffic: Traffic::default(), scroll: 0 }
    }

    /// Scrolls by so many lines.
    pub fn scroll_by(&mut self, lines: isize, pane: Rect) {
        let most = self.lines(pane.width).len().saturating_sub(pane.height.into());
        self.scroll = self.scroll.saturating_add_signed(lines).min(most);
    }

    /// The text: what its connections do, the report, and the connections one by one.
    pub fn lines(&self, width: u16) -> Vec<Line<'static>> {
        let mut lines = rates(&self.traffic, width.into());
        match &self.report {
            Some(report) => lines.extend(report.iter().cloned()),
            None => lines.push(Line::from("looking …").dim()),
        }
        lines.extend(connections(&self.traffic));
        lines
    }
}

/// How many connections there are, and what went over them, over the last minutes.
fn rates(traffic: &Traffic, width: usize) -> Vec<Line<'static>> {
    let Some(&count) = traffic.counts.back() else { return Vec::new() };
    if traffic.counts.iter().all(|&count| count == 0) {
        return vec![Line::from("no connections in the last minutes").dim(), Line::default()];
    }
    let now = |history: &VecDeque<u64>| format!("{}/s", bytes(history.back().copied()));
    let room = width.saturating_sub(NAME + VALUE);
    let line = |name: &'static str, value: String, history: &VecDeque<u64>| {
        let name = Span::from(format!("{name:<NAME$}"));
        Line::from(vec![name.dim(), format!("{value:<VALUE$}").into(), sparkline(history, room).into()])
    };
    vec![
        line("connections", count.to_string(), &traffic.counts),
        line("received", now(&traffic.received), &traffic.received),
        line("sent", now(&traffic.sent), &traffic.sent),
        Line::default(),
    ]
}

/// The connections, a line each.
fn connections(traffic: &Traffic) -> Vec<Line<'static>> {
    if traffic.connections.is_empty() {
        return Vec::new();
    }
    let heading = cells(["PEER", "STATE", "RECEIVED", "SENT", "RTT"].map(str::to_owned));
    let mut lines = vec![Line::default(), Line::from(heading).bold()];
    lines.extend(traffic.connections.iter().take(MOST).map(|socket| connection(socket).into()));
    if let Some(more) = traffic.connections.len().checked_sub(MOST).filter(|&more| more > 0) {
        lines.push(Line::from(format!("and {more} more: portcheck connections")).dim());
    }
    lines
}

/// The widths of names and values.
const NAME: usize = 13;
const VALUE: usize = 12;

/// More connections are only counted.
const MOST: usize = 200;

fn connection(socket: &Socket) -> String {
    let info = socket.tcp_info;
    cells([
        socket.remote.map(|peer| peer.to_string()).unwrap_or_default(),
        socket.state.to_string(),
        bytes(info.and_then(|info| info.bytes_received)),
        bytes(info.and_then(|info| info.bytes_sent)),
        info.map(|info| milliseconds(info.rtt_us)).unwrap_or_default(),
    ])
}

fn cells([peer, state, received, sent, rtt]: [String; 5]) -> String {
    format!("{peer:<28}  {state:<12}  {received:>9}  {sent:>9}  {rtt:>9}")
}

fn milliseconds(microseconds: u32) -> String {
    format!("{:.1} ms", f64::from(microseconds) / 1000.0)
}
