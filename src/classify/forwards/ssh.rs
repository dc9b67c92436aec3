//! ssh: `-L`, `-R`, `-D` and the settings of the same meaning, as ssh(1) and ssh_config(5) have them.

use std::iter::Peekable;
use std::str::Chars;

use super::{Destination, Listen, Told, place};
use crate::model::{ForwardKind, Protocol, SshServer, Through};

/// The options of ssh that have a value, in any of its versions.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOopPQRSWw";

/// What a command line has said so far. Of several values the first one counts.
#[derive(Debug, Default)]
struct Line<'a> {
    /// The host, as it is written: `ada@db.example`.
    target: Option<&'a str>,
    host_name: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    is_indirect: bool,
    forwards: Vec<Spec>,
}

/// A forward without the server that it goes through.
#[derive(Debug, PartialEq, Eq)]
struct Spec {
    kind: ForwardKind,
    listen: Listen,
    to: Destination,
}

/// What the arguments of ssh tell.
pub fn told(arguments: &[&str]) -> Vec<Told> {
    let mut line = Line::default();
    let mut rest = arguments.iter().copied();
    while let Some(argument) = rest.next() {
        match argument.strip_prefix('-') {
            Some("-") if line.target.is_none() => line.target = rest.next(),
            Some("-") => break,
            Some(letters) if !letters.is_empty() => line.options(letters, &mut rest),
            // Options may follow the host, but not the command that runs there.
            _ if line.target.is_none() => line.target = Some(argument),
            _ => break,
        }
    }
    line.told()
}

impl<'a> Line<'a> {
    /// Options that stand together, as in `-fNL15432:db:5432`: the first one with a value ends them.
    fn options(&mut self, letters: &'a str, rest: &mut impl Iterator<Item = &'a str>) {
        let Some(at) = letters.find(|letter| WITH_VALUE.contains(letter)) else { return };
        let (letter, joined) = letters[at..].split_at(1);
        let Some(value) = Some(joined).filter(|joined| !joined.is_empty()).or_else(|| rest.next()) else { return };
        match letter {
            "L" => self.forwards.extend(forward(ForwardKind::LocalForward, value)),
            "R" => self.forwards.extend(forward(ForwardKind::RemoteForward, value)),
            "D" => self.forwards.extend(forward(ForwardKind::DynamicForward, value)),
            "o" => self.setting(value),
            "p" => self.port = self.port.or_else(|| place::port(value, Protocol::Tcp)),
            "l" => self.user = self.user.take().or_else(|| Some(value.to_owned())),
            "J" => self.is_indirect = true,
            _ => {}
        }
    }

    /// `LocalForward=15432 db:5432`, `DynamicForward 1080`.
    fn setting(&mut self, text: &str) {
        let text = text.trim();
        let Some(end) = text.find(|letter: char| letter.is_whitespace() || letter == '=') else { return };
        let (keyword, rest) = text.split_at(end);
        let rest = rest.trim_start();
        let words = shlex::split(rest.strip_prefix('=').unwrap_or(rest)).unwrap_or_default();
        let Some(first) = words.first() else { return };
        let both = words.get(1).map_or_else(|| first.clone(), |second| format!("{first}:{second}"));
        match &*keyword.to_ascii_lowercase() {
            "localforward" => self.forwards.extend(forward(ForwardKind::LocalForward, &both)),
            "remoteforward" => self.forwards.extend(forward(ForwardKind::RemoteForward, &both)),
            "dynamicforward" => self.forwards.extend(forward(ForwardKind::DynamicForward, first)),
            "hostname" => self.host_name = self.host_name.take().or_else(|| Some(first.clone())),
            "user" => self.user = self.user.take().or_else(|| Some(first.clone())),
            "port" => self.port = self.port.or_else(|| place::port(first, Protocol::Tcp)),
            "proxyjump" | "proxycommand" => self.is_indirect |= first != "none",
            _ => {}
        }
    }

    fn told(self) -> Vec<Told> {
        let through = self.target.map(|target| {
            let is_url = target.starts_with("ssh://");
            let place = target.strip_prefix("ssh://").unwrap_or(target).trim_end_matches('/');
            let (user, host) = place.rsplit_once('@').map_or((None, place), |(user, host)| (Some(user), host));
            let written = place::host_and_port(host, Protocol::Tcp).filter(|_| is_url);
            let (host, port) = written.map_or_else(|| (place::host(host), None), |(host, port)| (host, Some(port)));
            Through::Ssh(SshServer {
                user: self.user.or_else(|| user.map(str::to_owned)),
                host: self.host_name.map_or_else(|| host.clone(), |name| name.replace("%h", &host)),
                port: self.port.or(port).unwrap_or(22),
                is_direct: !self.is_indirect,
            })
        });
        let complete =
            |Spec { kind, listen, to }| Told { kind, protocol: Protocol::Tcp, listen, to, through: through.clone() };
        self.forwards.into_iter().map(complete).collect()
    }
}

/// `[bind_address:]port:host:hostport`, `[bind_address:]port`, and paths of unix sockets in place of
/// either end (`parse_forward`, readconf.c). A unix socket is no port, so none that listens there
/// is told.
fn forward(kind: ForwardKind, text: &str) -> Option<Spec> {
    let fields = fields(text.trim_start())?;
    let is_path = |at: usize| fields.get(at).is_some_and(|field: &String| field.contains('/'));
    let (listen, to) = match fields.len() {
        1 => (&fields[..1], &fields[1..]),
        2 if is_path(1) => fields.split_at(1),
        2 => (&fields[..2], &fields[2..]),
        3 if is_path(2) => fields.split_at(2),
        3 if !is_path(0) => fields.split_at(1),
        4 => fields.split_at(2),
        _ => return None,
    };
    let to = match to {
        [] if kind == ForwardKind::LocalForward => return None,
        [] => Destination::Anywhere,
        _ if kind == ForwardKind::DynamicForward => return None,
        [path] => Destination::Path(path.clone()),
        [host, port] => Destination::Host(host.clone(), place::port(port, Protocol::Tcp)?),
        _ => return None,
    };
    let (address, number) = match listen {
        [port] => (None, port),
        [address, port] => (Some(address.clone()), port),
        _ => return None,
    };
    let listen = match kind {
        // The server picks one for 0, and may listen on a unix socket.
        ForwardKind::RemoteForward => Listen::There(place::port(number, Protocol::Tcp)),
        _ => Listen::Here(address, place::port(number, Protocol::Tcp)?),
    };
    Some(Spec { kind, listen, to })
}

/// The fields between the colons: at most four, each perhaps in brackets, with colons escaped by a
/// backslash (`parse_fwd_field`, readconf.c).
fn fields(text: &str) -> Option<Vec<String>> {
    let mut letters = text.chars().peekable();
    let mut fields = Vec::new();
    while letters.peek().is_some() {
        fields.push(field(&mut letters)?);
    }
    (fields.len() <= 4).then_some(fields)
}

fn field(letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut field = String::new();
    if letters.next_if_eq(&'[').is_some() {
        loop {
            match letters.next()? {
                ']' => break,
                letter => field.push(letter),
            }
        }
        return matches!(letters.next(), None | Some(':')).then_some(field);
    }
    while let Some(letter) = letters.next() {
        match letter {
            ':' => break,
            '\\' => field.push(letters.next()?),
            letter => field.push(letter),
        }
    }
    Some(field)
}
