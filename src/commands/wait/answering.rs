//! Whether a server answers, as `--for answering` asks: by one connection at a time, in a thread of
//! its own, as a server may take seconds.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::remote::PAUSES;
use super::{Awaited, Goal, Options, Place, Progress, Remote};
use crate::collect::Detail;
use crate::commands::check;
use crate::commands::identify::{self, Call, Typed, choose};
use crate::error::Error;
use crate::model::{Asked, Identified, Protocol, Spoken};
use crate::request::Request;
use crate::target::Target;

/// The statuses of HTTP that are good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted(Vec<(u16, u16)>);

impl Default for Accepted {
    /// A server that answers at all, even if not to this question.
    fn default() -> Self {
        Self(vec![(100, 499)])
    }
}

impl FromStr for Accepted {
    type Err = &'static str;

    /// Reads `2xx`, `204`, or several with commas.
    fn from_str(typed: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is not a status: write 2xx, 204, or several, as in 2xx,301";
        let one = |text: &str| {
            let (first, last) = match text.strip_suffix("xx") {
                Some(class) => (format!("{class}00"), format!("{class}99")),
                None => (text.to_owned(), text.to_owned()),
            };
            let range = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
            (100..600).contains(&range.0).then_some(range)
        };
        typed.split(',').map(one).collect::<Option<_>>().map(Self).ok_or(WRONG)
    }
}

/// Whether what was found is what was waited for, or why not.
fn judge(found: &Identified, is_tls: bool, status: Option<&Accepted>) -> Result<(), String> {
    let has_shaken = found.tls.as_ref().is_some_and(|tls| tls.version.is_some());
    let is_encrypted = is_tls || found.spoken == Some(Spoken::Tls);
    match (found.asked, found.spoken, found.status) {
        (Asked::Answered, Some(_), _) if is_encrypted && !has_shaken => {
            Err(found.note.clone().unwrap_or_else(|| "no handshake of TLS".to_owned()))
        }
        (Asked::Answered, Some(_), Some(code)) => {
            let Accepted(ranges) = &status.cloned().unwrap_or_default();
            let is_good = ranges.iter().any(|&(first, last)| (first..=last).contains(&code));
            if is_good { Ok(()) } else { Err(format!("it answers with status {code}")) }
        }
        (Asked::Answered, Some(spoken), None) if status.is_some() => {
            Err(format!("it answers {}, which has no status", spoken.name()))
        }
        (Asked::Answered, Some(_), None) => Ok(()),
        _ => Err(found.note.clone().unwrap_or_default()),
    }
}

/// How a port is asked.
#[derive(Debug, Clone)]
pub struct How {
    /// The URL that was typed, if it was one.
    pub typed: Option<Typed>,
    /// The statuses that are good enough; those below 500 if `None`.
    pub status: Option<Accepted>,
}

impl How {
    /// Asks a port of another machine.
    pub fn ask_remote(&self, remote: &Remote, address: SocketAddr) -> Result<(), String> {
        let ports = vec![remote.port];
        let typed = self.typed.clone().or_else(|| Some(Typed::of_host(remote.to_string())));
        let question = choose(Protocol::Tcp, &[], &ports, typed.as_ref()).ok_or("nothing is known to ask")?;
        self.put(&Call { address, protocol: Protocol::Tcp, question, ports, typed }).map(drop)
    }

    /// Asks a port of this machine.
    fn ask_here(&self, request: &Request, target: &Target) -> Result<SocketAddr, String> {
        let request = Request {
            targets: vec![target.clone()],
            detail: Detail::Brief,
            probe: false,
            quick: true,
            ..request.clone()
        };
        let (ports, snapshot) = check::observe(&request).map_err(|error| error.to_string())?;
        let urls = self.typed.iter().map(|typed| (target.clone(), typed.clone())).collect();
        let calls = ports
            .iter()
            .filter_map(|port| identify::call(port, &snapshot.processes, request.family, &urls, snapshot.host.os));
        let mut result = Err("nobody listens there, or nothing harmless can be asked".to_owned());
        for call in calls.take(1) {
            result = self.put(&call);
        }
        result
    }

    fn put(&self, call: &Call) -> Result<SocketAddr, String> {
        let found = identify::ask(call);
        judge(&found, call.is_tls(), self.status.as_ref()).map(|()| call.address)
    }
}

/// What is known of a port of this machine.
struct State {
    is_asked: bool,
    next: Instant,
    pause: Duration,
    /// What the last connection showed.
    last: Option<Progress>,
}

/// Asks the ports of this machine on which somebody listens.
pub struct Asker {
    request: Request,
    status: Option<Accepted>,
    is_needed: bool,
    states: HashMap<usize, State>,
    sender: Sender<(usize, Progress)>,
    receiver: Receiver<(usize, Progress)>,
}

impl Asker {
    /// Asks as `request` looks.
    pub fn new(request: &Request, options: &Options) -> Self {
        let (sender, receiver) = mpsc::channel();
        Self {
            request: request.clone(),
            status: options.status.clone(),
            is_needed: options.awaited == Awaited::Answering,
            states: HashMap::new(),
            sender,
            receiver,
        }
    }

    /// Of the goals on which somebody listens, leaves those met that answer, and asks the others
    /// again.
    pub fn look(&mut self, goals: &mut [Goal]) -> Result<(), Error> {
        if !self.is_needed {
            return Ok(());
        }
        for (index, progress) in self.receiver.try_iter() {
            if let Some(state) = self.states.get_mut(&index) {
                state.is_asked = false;
                state.next = Instant::now() + state.pause;
                state.pause = (state.pause * 2).min(PAUSES.1);
                state.last = Some(progress);
            }
        }
        for (index, goal) in goals.iter_mut().enumerate() {
            let Place::Here(target) = &goal.place else { continue };
            // Another server may listen there next.
            if !goal.is_met && self.states.get(&index).is_none_or(|state| !state.is_asked) {
                self.states.remove(&index);
            }
            let listens = std::mem::replace(&mut goal.is_met, false);
            if listens {
                goal.is_met = self.ask(index, target, goal.typed.as_ref())?;
            }
            goal.progress = self.states.get(&index).and_then(|state| state.last.clone());
        }
        Ok(())
    }

    /// Whether it has answered. If not, asks again when it is time.
    fn ask(&mut self, index: usize, target: &Target, typed: Option<&Typed>) -> Result<bool, Error> {
        let first = || State { is_asked: false, next: Instant::now(), pause: PAUSES.0, last: None };
        let state = self.states.entry(index).or_insert_with(first);
        if matches!(state.last, Some(Progress::Answers(_))) {
            return Ok(true);
        }
        if state.is_asked || Instant::now() < state.next {
            return Ok(false);
        }
        state.is_asked = true;
        let how = How { typed: typed.cloned(), status: self.status.clone() };
        let (request, target, sender) = (self.request.clone(), target.clone(), self.sender.clone());
        let ask = move || {
            let progress = how.ask_here(&request, &target).map_or_else(Progress::Failed, Progress::Answers);
            // Nobody waits any more.
            let _ = sender.send((index, progress));
        };
        let started = thread::Builder::new().spawn(ask);
        started.map(|_| false).map_err(|source| Error::Call { call: "starting a thread that connects", source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_as_people_write_them() {
        assert_eq!("2xx,301".parse(), Ok(Accepted(vec![(200, 299), (301, 301)])));
        for typed in ["", "xx", "2x", "99", "600", "7xx", "2xx,", "-1xx", "99999"] {
            assert!(typed.parse::<Accepted>().is_err(), "{typed}");
        }
    }

    #[test]
    fn an_error_of_the_server_is_no_answer_to_wait_for() {
        let http = |status| Identified {
            spoken: Some(Spoken::Http),
            status: Some(status),
            ..Identified::unknown(Asked::Answered, None, "")
        };
        let only: Accepted = "2xx".parse().unwrap();
        for (status, wanted, is_good) in [
            (200, None, true),
            (404, None, true),
            (503, None, false),
            (404, Some(&only), false),
            (204, Some(&only), true),
        ] {
            assert_eq!(judge(&http(status), false, wanted).is_ok(), is_good, "{status} {wanted:?}");
        }
        // It was asked for TLS.
        assert!(judge(&http(200), true, None).is_err());
        let ssh = Identified { spoken: Some(Spoken::Ssh), status: None, ..http(0) };
        assert!(judge(&ssh, false, None).is_ok() && judge(&ssh, false, Some(&only)).is_err());
        assert!(judge(&Identified::unknown(Asked::Unknown, None, "silent"), false, None).is_err());
    }
}
