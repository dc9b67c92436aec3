//! `portcheck watch` on a terminal: a list that follows what happens, and what can be done with a
//! row of it.
//!
//! One thread draws and decides. Everything else arrives as a [`Message`]: keys, signals, looks at
//! the machine, and results of what keys asked for. So no key waits for the machine.

mod ansi;
mod app;
mod details;
mod draw;
mod fit;
mod fold;
mod help;
mod jobs;
mod keys;
mod layout;
mod look;
mod row;
mod screen;
mod signals;
mod traffic;

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyEventKind};
use ratatui_core::terminal::Terminal;
use ratatui_core::text::Line;

use super::watch::Watching;
use super::{Printing, complain};
use crate::collect::Detail;
use crate::commands::exit::Exit;
use crate::commands::kill::Prepared;
use crate::error::Error;
use crate::model::Socket;
use crate::render::{Style, columns};
use crate::request::Request;
use app::{App, Mode, Popup};
use jobs::Jobs;
use keys::Effect;
use look::Look;
use row::{Id, Sample};
use screen::{Colours, Screen};
use signals::Asked;

/// How often to look, unless it is said.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the view reacts to.
enum Message {
    Input(Event),
    /// No key can come any more.
    Lost,
    #[cfg_attr(not(unix), expect(dead_code, reason = "Windows has no such signals"))]
    Signal(Asked),
    Sample(Sample),
    Failed(String),
    Report(Id, Vec<Line<'static>>),
    Traffic(Id, Vec<Socket>),
    Planned(Box<Prepared>, Popup),
    Told(Popup),
}

/// Why the view ended.
enum End {
    Quit,
    Lost,
    Signal(i32),
}

/// Shows the view until somebody quits it.
pub fn run(request: &Request, watching: &Watching, printing: &Printing) -> Exit {
    let style = printing.style.clone().unwrap_or_default();
    let colours = colours(printing);
    screen::guard_against_panics();
    let ended = View::open(request, watching, style, colours).and_then(|mut view| view.run());
    screen::give_back();
    match ended {
        Ok(End::Quit) => Exit::Yes,
        Ok(End::Lost) => Exit::Failure,
        Ok(End::Signal(signal)) => {
            signals::end_by(signal);
            Exit::Failure
        }
        Err(error) => {
            complain(&Error::Write(error).to_string());
            Exit::Failure
        }
    }
}

/// What the reader wants, by option or by NO_COLOR.
fn colours(printing: &Printing) -> Colours {
    let out = io::stdout();
    let choice = match printing.color {
        anstream::ColorChoice::Auto => anstream::AutoStream::choice(&out),
        choice => choice,
    };
    if choice == anstream::ColorChoice::Never { Colours::None } else { Colours::Some }
}

struct View {
    app: App,
    terminal: Terminal<Screen>,
    inbox: Receiver<Message>,
    jobs: Jobs,
    /// A plan that waits for an answer.
    planned: Option<Box<Prepared>>,
    parent: Option<u32>,
    has_to_panic: bool,
}

impl View {
    fn open(request: &Request, watching: &Watching, style: Style, colours: Colours) -> io::Result<Self> {
        // Rows say less than events.
        let detail = watching.filter.detail(Detail::Brief);
        let request = Request { detail, ..request.clone() };
        let (outbox, inbox) = mpsc::channel();
        signals::listen(&outbox)?;
        screen::take()?;
        let terminal = Terminal::new(Screen::new(colours))?;
        let size = terminal.size()?;
        let mut app = App::new(columns::shown(&style), watching.order, (size.width, size.height));
        if !request.connections {
            app.nothing = "nothing to show: no socket matches; --all adds connections";
        }
        read_keys(outbox.clone())?;
        let interval = watching.interval.unwrap_or(INTERVAL);
        Look::new(&request, &watching.filter, &style).start(interval, outbox.clone())?;
        let jobs = Jobs::new(outbox, request, style);
        Ok(Self { app, terminal, inbox, jobs, planned: None, parent: parent(), has_to_panic: watching.has_to_panic })
    }

    fn run(&mut self) -> io::Result<End> {
        self.draw()?;
        loop {
            let mut has_changed = false;
            match self.inbox.recv_timeout(Duration::from_secs(1)) {
                Ok(message) => {
                    let waiting: Vec<Message> = [message].into_iter().chain(self.inbox.try_iter()).collect();
                    for message in waiting {
                        has_changed = true;
                        if let Some(end) = self.react(message)? {
                            return Ok(end);
                        }
                    }
                }
                // The shell that started us may have ended without a word.
                Err(RecvTimeoutError::Timeout) if parent() != self.parent || screen::is_gone() => return Ok(End::Lost),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Lost),
            }
            has_changed |= self.app.expire(Instant::now());
            if has_changed {
                self.draw()?;
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let app = &self.app;
        self.terminal.draw(|frame| {
            if let Some(cursor) = draw::draw(app, frame.buffer_mut()) {
                frame.set_cursor_position(cursor);
            }
        })?;
        // A test asks for it, to see what a panic leaves behind.
        assert!(!(self.has_to_panic && self.app.has_looked()), "as asked");
        Ok(())
    }

    fn react(&mut self, message: Message) -> io::Result<Option<End>> {
        match message {
            Message::Input(event) => return self.input(&event),
            Message::Lost => return Ok(Some(End::Lost)),
            Message::Signal(Asked::End(signal)) => return Ok(Some(End::Signal(signal))),
            Message::Signal(Asked::Stop) => self.suspend()?,
            Message::Signal(Asked::Resume) => self.resume()?,
            Message::Sample(sample) => self.take(sample),
            Message::Failed(failure) => self.app.failure = Some(failure),
            Message::Report(id, lines) => {
                if let Some(details) = self.app.details.as_mut().filter(|details| details.row.id == id) {
                    details.report = Some(lines);
                }
            }
            Message::Traffic(id, sockets) => {
                if let Some(details) = self.app.details.as_mut().filter(|details| details.row.id == id) {
                    details.traffic.add(sockets);
                }
            }
            Message::Planned(prepared, plan) => {
                self.planned = Some(prepared);
                self.app.mode = Mode::Asked(plan);
            }
            Message::Told(popup) => self.app.mode = Mode::Told(popup),
        }
        Ok(None)
    }

    /// What a look has found. The report on a row that has changed, or is gone, is made anew.
    fn take(&mut self, sample: Sample) {
        let is_there = |app: &App| app.details.as_ref().is_some_and(|details| app.has(&details.row.id));
        let was_there = is_there(&self.app);
        self.app.take(sample, Instant::now());
        if let Some(Effect::Report(row)) = keys::follow(&mut self.app) {
            return self.follow(&row);
        }
        let is_there = is_there(&self.app);
        let now = self.app.selected().map(|entry| entry.row.clone());
        if let (Some(now), Some(details)) = (now, &mut self.app.details)
            && (details.row != now || was_there != is_there)
        {
            details.row = now.clone();
            self.follow(&now);
        }
    }

    fn follow(&mut self, row: &row::Row) {
        self.jobs.follow(row, self.app.size.0);
    }

    fn input(&mut self, event: &Event) -> io::Result<Option<End>> {
        let effect = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => keys::press(&mut self.app, *key),
            Event::Mouse(event) => keys::mouse(&mut self.app, *event),
            Event::Resize(width, height) => {
                self.resize((*width, *height))?;
                None
            }
            _ => None,
        };
        if self.app.details.is_none() {
            self.jobs.unfollow();
        }
        effect.map_or(Ok(None), |effect| self.carry_out(effect))
    }

    fn carry_out(&mut self, effect: Effect) -> io::Result<Option<End>> {
        let width = self.app.size.0.saturating_sub(4);
        match effect {
            Effect::Quit => return Ok(Some(End::Quit)),
            Effect::Suspend => signals::stop_group(),
            Effect::Redraw => self.terminal.clear()?,
            Effect::Report(row) => self.follow(&row),
            Effect::Plan(row) => self.jobs.plan(*row, width),
            Effect::Execute => match self.planned.take() {
                Some(prepared) => self.jobs.execute(*prepared, width),
                None => self.app.mode = Mode::List,
            },
            Effect::Forget => self.planned = None,
            Effect::FindFree => self.jobs.find_free(),
        }
        Ok(None)
    }

    fn resize(&mut self, size: (u16, u16)) -> io::Result<()> {
        self.app.size = size;
        self.app.scroll();
        if let Some(row) = self.app.details.as_ref().map(|details| details.row.clone()) {
            self.follow(&row);
        }
        self.terminal.autoresize()
    }

    fn suspend(&mut self) -> io::Result<()> {
        screen::give_back();
        signals::stop();
        self.resume()
    }

    /// Takes the terminal again: what ran in between may have changed all of it.
    fn resume(&mut self) -> io::Result<()> {
        screen::take()?;
        let size = self.terminal.size()?;
        self.resize((size.width, size.height))?;
        self.terminal.clear()
    }
}

/// Passes on what is typed.
fn read_keys(inbox: Sender<Message>) -> io::Result<()> {
    let read = move || {
        loop {
            let message = crossterm::event::read().map_or(Message::Lost, Message::Input);
            let is_lost = matches!(message, Message::Lost);
            if inbox.send(message).is_err() || is_lost {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(read).map(drop)
}

/// The process that started us, or that stands in for it since it has ended.
fn parent() -> Option<u32> {
    #[cfg(unix)]
    return rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    #[cfg(not(unix))]
    None
}
