//! Ports of other machines, which are tried by connecting.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};

use super::answering::How;
use super::{Awaited, Goal, Options, Place};
use crate::commands::identify;
use crate::error::Error;
use crate::model::{Family, Protocol};
use crate::request::Request;
use crate::target::{self, Names};

/// How long a connection may take. A machine that is up answers sooner, and a later attempt may
/// find it up.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pauses between attempts: the first, and the longest.
pub const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(200));
/// How many ports are tried at a time. If there are more, each thread has several.
const MOST_THREADS: usize = 16;

/// A TCP port of another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The progress of attempts on a port of another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Other ports are tried first.
    NotTried,
    /// The name of the machine is being looked up, for the first time.
    LookingUp,
    /// The first connection is being made.
    Connecting,
    /// The name does not exist.
    UnknownName,
    /// The last attempt failed, for this reason.
    Failed(String),
    /// A server answers at this address.
    Answers(SocketAddr),
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTried => f.write_str("not tried yet"),
            Self::LookingUp => f.write_str("the name is still being looked up"),
            Self::Connecting => f.write_str("no answer yet"),
            Self::UnknownName => f.write_str("the name does not exist"),
            Self::Failed(why) => f.write_str(why),
            Self::Answers(address) => address.fmt(f),
        }
    }
}

/// Reads `db.internal:5432`, `192.0.2.1:80`, `[2001:db8::1]:80` or a URL. `None` if it does not
/// name a machine.
pub fn parse(typed: &str, names: &Names) -> Option<Result<Vec<Remote>, String>> {
    let text = typed.trim();
    let start = text.find("://").map_or(0, |at| at + 3);
    let authority = text[start..].split(['/', '?', '#']).next().unwrap_or_default();
    let authority = if start == 0 { &text[start..] } else { authority };
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    let place = &authority[user..];
    let host = match place.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?.0,
        None => match place.split_once(':') {
            Some((host, rest)) if !rest.contains(':') => host,
            None if start > 0 => place,
            _ => return None,
        },
    };
    if !is_host(host) {
        return None;
    }
    // The rest follows the grammar of targets, as if it were this machine.
    let written = if place.starts_with('[') { host.len() + 2 } else { host.len() };
    let at = start + user;
    let local = format!("{}localhost{}", &text[..start], &text[at + written..]);
    let targets = match target::parse_usual(&local, names, Some(Protocol::Tcp)) {
        Ok(targets) => targets,
        Err(error) => return Some(Err(format!("'{typed}' {}", error.reason))),
    };
    if targets.iter().any(|target| target.protocol == Some(Protocol::Udp)) {
        return Some(Err(format!(
            "'{typed}' is a UDP port, which cannot be tried on another machine: give a TCP port"
        )));
    }
    let ports = targets.iter().flat_map(crate::target::Target::ports);
    Some(Ok(ports.map(|port| Remote { host: host.to_owned(), port }).collect()))
}

/// Whether it can be a machine: an address, or a name by RFC 1123, with underscores, which many
/// use. Only digits and dots are a misspelt address.
fn is_host(host: &str) -> bool {
    if host.split('%').next().is_some_and(|address| address.parse::<std::net::IpAddr>().is_ok()) {
        return true;
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    name.split('.').all(is_label) && name.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// A port that is tried, and how.
#[derive(Debug, Clone)]
struct Attempt {
    /// Which goal it is.
    index: usize,
    remote: Remote,
    /// What to ask; nothing if a connection is enough.
    how: Option<How>,
}

impl Attempt {
    /// Tries one address, or says why it is not as awaited.
    fn reach(&self, address: SocketAddr) -> Result<(), String> {
        match &self.how {
            Some(how) => how.ask_remote(&self.remote, address),
            None => connect(address).map_err(|error| error.to_string()),
        }
    }
}

/// Attempts in threads of their own, as looking up a name cannot be interrupted.
pub struct Attempts(Receiver<(usize, Progress)>);

impl Attempts {
    /// Starts to try all goals on other machines, at their addresses of `family`; of both if
    /// `None`.
    pub fn start(goals: &[Goal], request: &Request, options: &Options) -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel();
        let family = request.family;
        let is_asked = options.awaited == Awaited::Answering;
        let how = |goal: &Goal| is_asked.then(|| How { typed: goal.typed.clone(), status: options.status.clone() });
        let remotes: Vec<Attempt> = goals
            .iter()
            .enumerate()
            .filter_map(|(index, goal)| match &goal.place {
                Place::There(remote) => Some(Attempt { index, remote: remote.clone(), how: how(goal) }),
                Place::Here(_) => None,
            })
            .collect();
        for first in 0..remotes.len().min(MOST_THREADS) {
            let share = remotes.iter().skip(first).step_by(MOST_THREADS).cloned().collect();
            let sender = sender.clone();
            thread::Builder::new()
                .spawn(move || try_until_all_answer(share, family, &sender))
                .map_err(|source| Error::Call { call: "starting a thread that connects", source })?;
        }
        Ok(Self(receiver))
    }

    /// Notes the results so far in `goals`.
    pub fn collect(&self, goals: &mut [Goal]) {
        for (index, progress) in self.0.try_iter() {
            let Some(goal) = goals.get_mut(index) else { continue };
            goal.is_met = matches!(progress, Progress::Answers(_));
            goal.progress = Some(progress);
        }
    }
}

/// Ends when all of its ports have answered, or nobody waits any more.
fn try_until_all_answer(mut share: Vec<Attempt>, family: Option<Family>, sender: &Sender<(usize, Progress)>) {
    let mut pause = PAUSES.0;
    let mut is_first = true;
    let mut is_awaited = true;
    loop {
        share.retain(|attempt| {
            // Nobody waits for the rest, and an attempt may take long.
            if !is_awaited {
                return false;
            }
            let mut tell = |progress| is_awaited = sender.send((attempt.index, progress)).is_ok();
            let outcome = try_once(attempt, family, |progress| {
                // Later on, the reason of the last failure says more.
                if is_first {
                    tell(progress);
                }
            });
            let is_over = matches!(outcome, Progress::Answers(_));
            tell(outcome);
            !is_over
        });
        if !is_awaited || share.is_empty() {
            return;
        }
        is_first = false;
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Tries all addresses of the machine at once. Returns the first that answers, or why the first one
/// does not.
fn try_once(attempt: &Attempt, family: Option<Family>, mut tell: impl FnMut(Progress)) -> Progress {
    let Attempt { remote, .. } = attempt;
    tell(Progress::LookingUp);
    let addresses = match look_up(remote) {
        Ok(addresses) => addresses.into_iter().filter(|address| Family::fits(family, address.ip())).collect::<Vec<_>>(),
        Err(failure) => return failure,
    };
    tell(Progress::Connecting);
    let (sender, receiver) = mpsc::channel();
    for &address in &addresses {
        let to_send = sender.clone();
        let own = attempt.clone();
        let attempt = move || to_send.send((address, own.reach(address)));
        // The threads are not joined: an address that answers must not wait for one that does not.
        // A single address needs no thread. Without threads, the addresses are tried one after the
        // other.
        if addresses.len() == 1 || thread::Builder::new().spawn(attempt.clone()).is_err() {
            // Received below.
            let _ = attempt();
        }
    }
    drop(sender);
    let kind = match family {
        None => "",
        Some(Family::Ipv4) => "IPv4 ",
        Some(Family::Ipv6) => "IPv6 ",
    };
    let mut why = format!("{} has no {kind}address", remote.host);
    for (address, result) in receiver {
        match result {
            Ok(()) => return Progress::Answers(address),
            Err(error) if Some(&address) == addresses.first() => why = format!("{address}: {error}"),
            Err(_) => {}
        }
    }
    Progress::Failed(why)
}

/// The addresses of the machine, or why there are none. The standard library does not distinguish a
/// name that does not exist from a name server that does not answer.
fn look_up(remote: &Remote) -> Result<Vec<SocketAddr>, Progress> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(&remote.host), None, Some(hints)).map_err(|error| match error.kind() {
        LookupErrorKind::NoName => Progress::UnknownName,
        _ => Progress::Failed(format!("{} cannot be resolved: {error}", remote.host)),
    })?;
    Ok(found.flatten().map(|found| with_port(found.sockaddr, remote.port)).collect())
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// Connects, and hangs up at once.
pub fn connect(address: SocketAddr) -> io::Result<()> {
    identify::connect(address, PATIENCE).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const NAMES: Names = Names {
        services: |_| vec![(5432, Protocol::Tcp)],
        nearest: |_| None,
        hostname: || None,
        addresses: |_| Vec::new(),
    };

    #[test]
    fn places_on_other_machines() {
        for (typed, host, port) in [
            ("db.internal:5432", "db.internal", 5432),
            ("db:postgresql", "db", 5432),
            ("my_db-1.:80", "my_db-1.", 80),
            ("192.0.2.1:80", "192.0.2.1", 80),
            ("[2001:db8::1]:80/tcp", "2001:db8::1", 80),
            ("https://example.org/a:b", "example.org", 443),
            ("http://user:word@example.org:8080/x@y", "example.org", 8080),
        ] {
            let expected = Remote { host: host.to_owned(), port };
            assert_eq!(parse(typed, &NAMES), Some(Ok(vec![expected])), "{typed}");
        }
        assert_eq!(parse("db:80,443", &NAMES).unwrap().unwrap().len(), 2);
        assert_eq!(Remote { host: "::1".to_owned(), port: 80 }.to_string(), "[::1]:80");
    }

    #[test]
    fn what_names_no_machine_is_not_taken_for_one() {
        for typed in
            ["8080", "999:80", "1.2.3:80", ":80", "a:b:80", "-x:80", "a b:80", "", "[::1", "bücher:80", "x..y:80"]
        {
            assert_eq!(parse(typed, &NAMES), None, "{typed}");
        }
        for typed in ["db:99999", "db:53/udp", "db:", "nonsense://db"] {
            assert!(matches!(parse(typed, &NAMES), Some(Err(_))), "{typed}");
        }
    }

    #[test]
    fn a_port_answers_when_somebody_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let remote = Remote { host: "127.0.0.1".to_owned(), port: address.port() };
        let attempt = Attempt { index: 0, remote, how: None };
        let mut told = Vec::new();
        assert_eq!(try_once(&attempt, None, |progress| told.push(progress)), Progress::Answers(address));
        assert_eq!(told, [Progress::LookingUp, Progress::Connecting]);
        drop(listener);
        let refused = try_once(&attempt, None, |_| {});
        assert!(matches!(&refused, Progress::Failed(why) if why.contains("refused")), "{refused:?}");
    }

    #[test]
    fn a_server_of_another_machine_is_asked_for_what_was_typed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let answers = ["503 Busy", "204 Fine"];
            let ask = |answer: &str| {
                let mut stream = listener.accept().unwrap().0;
                let mut question = [0; 1000];
                let length = stream.read(&mut question).unwrap();
                stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes()).unwrap();
                String::from_utf8_lossy(&question[..length]).into_owned()
            };
            answers.map(ask)
        });
        let remote = Remote { host: "127.0.0.1".to_owned(), port: address.port() };
        let how = Some(How { typed: identify::Typed::read("http://db.example/health"), status: None });
        let attempt = Attempt { index: 0, remote, how };
        let busy = try_once(&attempt, None, |_| {});
        assert_eq!(busy, Progress::Failed(format!("{address}: it answers with status 503")));
        assert_eq!(try_once(&attempt, None, |_| {}), Progress::Answers(address));
        for question in server.join().unwrap() {
            assert!(question.starts_with("GET /health HTTP/1.1\r\nHost: db.example\r\n"), "{question}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_typed_makes_it_panic(typed in "(\\[|\\]|://|@|:|%|/|,|\\.|a|ß|1|::1|-){0,12}", other in "\\PC{0,20}") {
            let _ = parse(&typed, &NAMES);
            let _ = parse(&format!("{other}:80"), &NAMES);
            let _ = parse(&format!("http://{other}"), &NAMES);
        }
    }
}
