//! What takes time: each runs on a thread of its own, so no key has to wait for it.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use ratatui_core::text::Line;

use super::app::Popup;
use super::row::{Id, Row};
use super::{Message, ansi};
use crate::answer::Answer;
use crate::collect::{self, Detail, Scope};
use crate::commands::check::check;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::kill::{Chosen, Options, Prepared, SocketId, prepare};
use crate::error::Error;
use crate::model::{Pid, Socket};
use crate::picker::Picker;
use crate::query;
use crate::render::{self, Style, escape};
use crate::request::Request;
use crate::target::Target;

/// How often the connections of the selected row are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Starts what takes time. The results arrive as messages.
#[derive(Debug)]
pub struct Jobs {
    inbox: Sender<Message>,
    /// What the list asks.
    request: Request,
    style: Style,
    /// Dropped to end the look at the row before.
    following: Option<Sender<()>>,
}

impl Jobs {
    /// Jobs for a list that asks this.
    pub fn new(inbox: Sender<Message>, request: Request, style: Style) -> Self {
        Self { inbox, request, style, following: None }
    }

    /// How to write what is shown now, in so many columns.
    fn style(&self, width: u16) -> Style {
        Style { width: Some(width), now: Style::present(), ..self.style.clone() }
    }

    /// Reports on the port of a row, and looks at its connections from now on.
    pub fn follow(&mut self, row: &Row, width: u16) {
        let (stop, stopped) = mpsc::channel::<()>();
        self.following = Some(stop);
        let (inbox, id) = (self.inbox.clone(), row.id.clone());
        let (report, scope) = (self.about(row, None), self.scope(row));
        let style = self.style(width);
        spawn("report", move || {
            let _ = inbox.send(Message::Report(id.clone(), report_on(&report, &style)));
            loop {
                if let Ok(snapshot) = collect::snapshot(&scope) {
                    let sockets = snapshot.sockets.into_iter().filter(|socket| id.is_near(socket)).collect();
                    let _ = inbox.send(Message::Traffic(id.clone(), sockets));
                }
                if stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        });
    }

    /// Looks at no row any more.
    pub fn unfollow(&mut self) {
        self.following = None;
    }

    /// Plans to end what holds a row.
    pub fn plan(&self, row: Row, width: u16) {
        let request = self.about(&row, Some(row.id.protocol));
        let style = self.style(width);
        let inbox = self.inbox.clone();
        spawn("plan", move || {
            let message = match plan(&row, request, &style) {
                Ok(message) => message,
                Err(error) => failed("kill", &error),
            };
            let _ = inbox.send(message);
        });
    }

    /// Carries out a plan.
    pub fn execute(&self, prepared: Prepared, width: u16) {
        let style = self.style(width);
        let inbox = self.inbox.clone();
        spawn("kill", move || {
            let message = match prepared.execute() {
                Ok(report) => Message::Told(Popup::new("kill", written(&Answer::Kill(Box::new(report)), &style))),
                Err(error) => failed("kill", &error),
            };
            let _ = inbox.send(message);
        });
    }

    /// Finds a port that is free.
    pub fn find_free(&self) {
        let inbox = self.inbox.clone();
        spawn("free", move || {
            let message = match Picker::new().pick() {
                Ok(reservation) => Message::Told(Popup::new("free", told_free(&reservation.ports()))),
                Err(error) => failed("free", &error),
            };
            let _ = inbox.send(message);
        });
    }

    /// The question about the port of a row.
    fn about(&self, row: &Row, protocol: Option<crate::model::Protocol>) -> Request {
        let port = row.id.port;
        let target = Target { first: port, last: port, protocol, addresses: Vec::new(), zone: None };
        Request {
            backend: self.request.backend,
            probe: self.request.probe,
            namespaces: self.request.namespaces.clone(),
            program: self.request.program.clone(),
            ..query::request(vec![target])
        }
    }

    /// The sockets of a row's port, without their owners.
    fn scope(&self, row: &Row) -> Scope {
        let request = Request {
            protocols: vec![row.id.protocol],
            connections: true,
            detail: Detail::Nothing,
            ..self.about(row, Some(row.id.protocol))
        };
        Scope { tcp_info: true, ..request.scope() }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    // Without a thread, the message that is waited for never comes; Ctrl-C still quits.
    let _ = thread::Builder::new().name(name.to_owned()).spawn(work);
}

fn report_on(request: &Request, style: &Style) -> Vec<Line<'static>> {
    match check(request) {
        Ok(diagnosis) => written(&Answer::Check(diagnosis), style),
        Err(error) => vec![escape::terminal(&error.to_string()).into_owned().into()],
    }
}

fn written(answer: &Answer, style: &Style) -> Vec<Line<'static>> {
    let mut text = Vec::new();
    // Memory takes everything.
    let _ = render::write(answer, style, &mut text);
    ansi::lines(&String::from_utf8_lossy(&text))
}

fn failed(title: &str, error: &Error) -> Message {
    Message::Told(Popup::new(title, vec![escape::terminal(&error.to_string()).into_owned().into()]))
}

fn told_free(ports: &[u16]) -> Vec<Line<'static>> {
    let lines = ports.iter().flat_map(|port| {
        [
            format!("{port} is free, for TCP and UDP"),
            format!("to keep it for a server:  portcheck free --prefer {port}"),
        ]
    });
    lines.map(Line::from).collect()
}

/// Plans the end of the processes of a row as it was selected: with the same ids, start times and
/// sockets, and no others that hold the port as well.
fn plan(row: &Row, request: Request, style: &Style) -> Result<Message, Error> {
    let name = row.name();
    if let Some(namespace) = &row.elsewhere {
        let text = format!("{name} is in another network namespace ({namespace}): nothing was done");
        return Ok(Message::Told(Popup::new("kill", vec![text.into()])));
    }
    let prepared = prepare(request, Options::default())?;
    let chosen = chosen(row, &prepared.diagnosis);
    let prepared = prepared.only(&chosen);
    if prepared.plan.is_empty() && prepared.plan.refusals.is_empty() {
        return Ok(Message::Told(Popup::new("kill", vec![nobody_to_end(row).into()])));
    }
    if let Some(outcome) = prepared.foregone() {
        let report = prepared.untouched(outcome);
        return Ok(Message::Told(Popup::new("kill", written(&Answer::Kill(Box::new(report)), style))));
    }
    let mut text = Vec::new();
    let _ = render::write_plan(&prepared, style, &mut text);
    let plan = Popup::new("kill", ansi::lines(&String::from_utf8_lossy(&text)));
    Ok(Message::Planned(Box::new(prepared), plan))
}

/// What is to be ended with a row. With a connection it is what its processes listen on, as that
/// makes them holders of the port.
fn chosen(row: &Row, now: &Diagnosis) -> Chosen {
    let pids: Vec<Pid> = row.holders.iter().map(|&(pid, _)| pid).collect();
    let is_theirs = |socket: &&Socket| socket.owners.pids().iter().any(|pid| pids.contains(pid));
    let theirs = now.ports.iter().flat_map(|port| &port.observed.sockets).filter(is_theirs);
    let others = theirs.filter(|socket| row.is_connection() && socket.state.is_waiting()).map(SocketId::of);
    Chosen { holders: row.holders.to_vec(), sockets: row.sockets.iter().copied().chain(others).collect() }
}

/// Why there is nothing to be done about a row.
fn nobody_to_end(row: &Row) -> String {
    let name = row.name();
    if !row.is_connection() {
        return format!("who held {name} when you pressed k does not hold it any more: nothing was done");
    }
    let pids: Vec<String> = row.holders.iter().map(|(pid, _)| pid.to_string()).collect();
    match &*pids {
        [] => format!("this is a connection on {name}, and no process was seen that has it: nothing was done"),
        pids => format!(
            "this is a connection on {name}. The process that has it (pid {}) does not hold the port itself: nothing \
             was done. To end who holds the port, select the row that listens.",
            pids.join(", ")
        ),
    }
}

impl Id {
    /// Whether a socket of the same port is in the same network namespace.
    fn is_near(&self, socket: &Socket) -> bool {
        socket.local.port() == self.port && self.is_in(socket.namespace.as_deref())
    }
}
