use std::time::Instant;

use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::*;
use crate::model::{Family, Protocol, Socket, State, TcpInfo};
#[cfg(unix)]
use crate::render::pictures;
use crate::request::Order;
#[cfg(unix)]
use crate::terminal::live::ansi;
use crate::terminal::live::details::Details;
use crate::terminal::live::help;
use crate::terminal::live::row::Sample;
use crate::terminal::live::row::tests::row;

const COLUMNS: [Column; 5] = [Column::Port, Column::Protocol, Column::Process, Column::Pid, Column::Command];

fn sample(rows: &[(u16, u32, &str)]) -> Sample {
    let row = |&(port, pid, name): &(u16, u32, &str)| {
        row(port, pid, &[&port.to_string(), "tcp", name, &pid.to_string(), &format!("/usr/bin/{name} --port {port}")])
    };
    Sample { rows: rows.iter().map(row).collect(), widths: vec![5, 5, 7, 5, 30], is_partial: true }
}

fn app(size: (u16, u16)) -> App {
    let mut app = App::new(COLUMNS.to_vec(), Order::default(), size);
    app.take(
        sample(&[(22, 812, "sshd"), (80, 9, "nginx"), (3000, 4242, "node"), (5432, 77, "postgres")]),
        Instant::now(),
    );
    app
}

fn drawn(app: &App) -> String {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| assert!(draw(app, frame.buffer_mut()).is_none_or(|cursor| cursor.x < app.size.0))).unwrap();
    // What the backend shows of no columns panics.
    let text = if app.size.0 == 0 { String::new() } else { terminal.backend().to_string() };
    let lines = text.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

fn connection(peer: &str, received: u64) -> Socket {
    let info = TcpInfo {
        rtt_us: 1234,
        retransmits: 0,
        bytes_sent: Some(received / 2),
        bytes_received: Some(received),
        idle_ms: 0,
    };
    Socket {
        remote: Some(peer.parse().unwrap()),
        tcp_info: Some(info),
        ..Socket::new(Protocol::Tcp, Family::Ipv4, State::Established, "10.0.0.1:3000".parse().unwrap())
    }
}

#[test]
fn a_list_with_what_comes_and_goes() {
    let mut app = app((80, 12));
    app.take(
        sample(&[(22, 812, "sshd"), (3000, 4242, "node"), (5432, 77, "postgres"), (8080, 4300, "java")]),
        Instant::now(),
    );
    app.select(2);
    insta::assert_snapshot!(drawn(&app));
}

/// At 80 columns, the pid 23328 was shown as 2332, and PROCESS as PROCES.
#[test]
fn no_number_and_no_heading_is_cut_whatever_the_width() {
    const CONNECTIONS: [Column; 7] =
        [Column::Port, Column::Protocol, Column::State, Column::Address, Column::Peer, Column::Process, Column::Pid];
    let cells =
        ["40000", "tcp", "established", "2001:db8::1:2:3:4", "[2001:db8::1:2:3:5]:40001", "postgres", "23328 +12"];
    let widths = vec![5, 5, 11, 17, 25, 8, 9];
    for column in CONNECTIONS {
        for width in 20..=100 {
            let mut app = App::new(CONNECTIONS.to_vec(), Order { column, is_reversed: true }, (width, 8));
            let rows = vec![row(40000, 23328, &cells)];
            app.take(Sample { rows, widths: widths.clone(), is_partial: false }, Instant::now());
            let text = drawn(&app);
            let lines: Vec<&str> = text.lines().skip(1).take(2).collect();
            assert!(
                lines[0].split_whitespace().all(|word| {
                    let word = word.trim_end_matches('↑');
                    CONNECTIONS.iter().any(|&column| columns::heading(column) == word)
                }),
                "{text}"
            );
            assert!(lines[1].starts_with(">   40000") || lines[1].starts_with(">  40000"), "{text}");
            assert_eq!(lines[0].contains("PID"), lines[1].ends_with("23328 +12"), "{text}");
            assert!(width < 23 || lines[0].contains("PID"), "{text}");
            let is_whole_or_marked =
                |word: &str| word == ">" || word.contains('…') || cells.join(" ").split(' ').any(|cell| cell == word);
            assert!(lines[1].split_whitespace().all(is_whole_or_marked), "{text}");
        }
    }
}

#[test]
fn a_filter_is_typed() {
    let mut app = app((80, 8));
    app.mode = Mode::Filter;
    "node".clone_into(&mut app.filter);
    app.narrow();
    insta::assert_snapshot!(drawn(&app));
}

#[test]
fn a_pane_with_the_report_and_its_connections() {
    let mut app = app((80, 24));
    app.select(2);
    let mut details = Details::of(app.selected().unwrap().row.clone());
    details.report = Some(vec!["3000/tcp is in use: node".into()]);
    for received in [0, 100, 5000, 5000, 123_456] {
        details.traffic.add(vec![connection("10.0.0.2:40000", received), connection("[::ffff:10.0.0.3]:40001", 7)]);
    }
    app.details = Some(details);
    insta::assert_snapshot!(drawn(&app));
}

/// The cells as a terminal gets them.
#[cfg(unix)]
fn coloured(app: &App) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, app.size.0, app.size.1));
    draw(app, &mut buffer);
    let mut text = String::new();
    for row in buffer.content.chunks(app.size.0.into()) {
        for cell in row {
            text.push_str("\u{1b}[0");
            let codes = [(Modifier::BOLD, ";1"), (Modifier::DIM, ";2"), (Modifier::REVERSED, ";7")];
            text.extend(codes.iter().filter(|(modifier, _)| cell.modifier.contains(*modifier)).map(|(_, code)| *code));
            text.push_str(match cell.fg {
                Color::Red => ";31",
                Color::Green => ";32",
                Color::Yellow => ";33",
                _ => "",
            });
            text.push('m');
            text.push_str(cell.symbol());
        }
        text.push('\n');
    }
    text
}

/// The picture in docs.
#[cfg(unix)]
#[test]
fn a_picture_of_the_view() {
    let mut app = App::new(COLUMNS.to_vec(), Order::default(), (100, 30));
    let all = [
        (22, 812, "sshd", "sshd: /usr/sbin/sshd -D"),
        (3000, 9937, "npm run dev", "node server.js"),
        (5432, 77, "postgres", "/usr/lib/postgresql/15/bin/postgres"),
        (6379, 91, "redis-server", "redis-server 127.0.0.1:6379"),
        (8080, 4300, "java", "java -jar shop.jar"),
    ];
    let shown = |(port, pid, name, command): (u16, u32, &str, &str)| {
        row(port, pid, &[&port.to_string(), "tcp", name, &pid.to_string(), command])
    };
    for left_out in [8080, 6379] {
        let rows = all.into_iter().filter(|(port, ..)| *port != left_out).map(shown).collect();
        app.take(Sample { rows, widths: vec![5, 5, 12, 5, 36], is_partial: false }, Instant::now());
    }
    app.select(1);
    let mut details = Details::of(app.selected().unwrap().row.clone());
    details.report = Some(ansi::lines(&pictures::report(100)));
    for received in [0, 100, 5000, 5200, 123_456, 200_000, 201_000, 340_000, 350_000] {
        details.traffic.add(vec![connection("127.0.0.1:40000", received), connection("127.0.0.1:40012", received / 7)]);
    }
    app.details = Some(details);
    pictures::expect_svg("live", "What portcheck watch shows on a terminal", &coloured(&app));
}

#[test]
fn a_question_over_the_list() {
    let mut app = app((80, 14));
    app.mode = Mode::Asked(Popup::new("kill", vec!["send SIGTERM to node (pid 4242), which holds 3000/tcp".into()]));
    insta::assert_snapshot!(drawn(&app));
}

#[test]
fn help_over_the_list_of_a_small_terminal() {
    let mut app = app((80, 24));
    app.mode = Mode::Told(Popup::new("keys", help::lines()));
    insta::assert_snapshot!(drawn(&app));
}

/// Nothing panics on a terminal of whatever size, and nothing is drawn beyond its edge.
#[test]
fn every_size_can_be_drawn() {
    for width in (0..60).chain([200, 500]) {
        for height in (0..12).chain([24, 60]) {
            let mut app = app((width, height));
            drawn(&app);
            // The terminal may have another size by now.
            draw(&app, &mut Buffer::empty(Rect::new(0, 0, 70, 7)));
            app.details = app.selected().map(|entry| Details::of(entry.row.clone()));
            app.scroll();
            for mode in [Mode::Filter, Mode::Pane, Mode::Told(Popup::new("keys", help::lines()))] {
                app.mode = mode;
                drawn(&app);
            }
        }
    }
}

#[test]
fn nothing_hostile_gets_to_the_terminal() {
    let mut app = app((80, 8));
    app.mode = Mode::Filter;
    "\u{1b}[2J\u{202e}x".clone_into(&mut app.filter);
    app.failure = Some("a\nb\u{7}".to_owned());
    app.narrow();
    let text = drawn(&app);
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{text:?}");
    assert!(text.contains("\\u{1b}[2J"), "{text}");
}
