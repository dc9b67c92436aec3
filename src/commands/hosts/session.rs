//! A session of ssh with one host: what is written to it, what it says, and for how long.

use std::io::{Read, Write};
use std::process::{self, Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::{self, Answered, Fault};
use super::own::{Own, Program};
use super::script::{self, COMMAND, Said};
use super::{Question, Unreachable};
use crate::commands::exit::Command;
use crate::duration::words;

/// How much a host may print.
const MOST_BYTES: usize = 16 << 20;

/// How much of its complaints is kept: the end.
const TAIL: usize = 4096;

/// How long to wait for the last words after the end.
const ECHO: Duration = Duration::from_millis(200);

/// The longest line of last words that is told.
const LONGEST: usize = 300;

/// What a host says, in pieces; the other ends of these are in threads of their own, which end with
/// ssh. A process that ssh leaves behind may keep its pipes open, so nobody waits for those threads.
struct Session {
    child: Child,
    /// What goes to its standard input. Closed by dropping it.
    input: Option<Sender<Arc<Vec<u8>>>>,
    output: Receiver<Vec<u8>>,
    complaints: Complaints,
    limit: Duration,
    deadline: Instant,
    /// What it has said lately, of which the part before `read` was read.
    pending: Vec<u8>,
    read: usize,
    received: usize,
}

/// The end of what was printed on standard error.
struct Complaints {
    tail: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

/// Asks one host.
pub fn ask(host: &str, question: &Question, own: &Own) -> Result<Answered, Unreachable> {
    let mut session = Session::start(host, question.limit)?;
    session.send(Arc::new(script::beginning(&question.words)));
    let answered = session.converse(own, question)?;
    session.finish();
    Ok(answered)
}

impl Session {
    fn start(host: &str, limit: Duration) -> Result<Self, Unreachable> {
        let seconds = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0)).clamp(1, 86_400);
        let mut command = process::Command::new("ssh");
        command.args(["-T", "-o", "BatchMode=yes", "-o", &format!("ConnectTimeout={seconds}")]);
        // What would get in the way of a question: another command, and ports that it opens here.
        command.args(["-o", "RemoteCommand=none", "-o", "ClearAllForwardings=yes", "--", host, COMMAND]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Unreachable::because(format!("cannot run ssh: {error}")))?;
        let (input, to_write) = mpsc::channel::<Arc<Vec<u8>>>();
        let (said, output) = mpsc::sync_channel(4);
        let tail = Arc::new(Mutex::new(Vec::new()));
        let (ending, ended) = mpsc::channel();
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let kept = Arc::clone(&tail);
        // Without one of these threads, the time runs out.
        let _ = thread::Builder::new().spawn(move || stdin.map(|pipe| write(pipe, &to_write)));
        let _ = thread::Builder::new().spawn(move || stdout.map(|pipe| pass_on(pipe, &said)));
        let _ = thread::Builder::new().spawn(move || {
            let _ending: Sender<()> = ending;
            stderr.map(|pipe| keep_end(pipe, &kept))
        });
        let complaints = Complaints { tail, ended };
        let deadline = Instant::now() + limit;
        let input = Some(input);
        Ok(Self { child, input, output, complaints, limit, deadline, pending: Vec::new(), read: 0, received: 0 })
    }

    fn send(&self, bytes: Arc<Vec<u8>>) {
        // Whoever does not listen says why, or nothing.
        let _ = self.input.as_ref().map(|input| input.send(bytes));
    }

    /// Has the portcheck there answer, or else a copy of this one.
    fn converse(&mut self, own: &Own, question: &Question) -> Result<Answered, Unreachable> {
        match self.ask_installed(question)? {
            Ok(answered) => Ok(answered),
            Err((system, fault)) => {
                let program = own.program_for(&system).map_err(|why| match fault {
                    Some(_) => Unreachable::because("its portcheck is of another version, and does not know an option"),
                    None => Unreachable::because(format!("{}; install portcheck there", shorten(&why))),
                })?;
                self.ask_copy(program, question)
            }
        }
    }

    /// The answer of the portcheck there; else its system, and what is wrong with the answer if
    /// there is one.
    fn ask_installed(&mut self, question: &Question) -> Result<Result<Answered, (String, Option<Fault>)>, Unreachable> {
        let mut fault = None;
        loop {
            match self.say()? {
                Said::Answer => match answer::read(&self.answer()?, question.keep) {
                    Ok(answered) => return Ok(Ok(answered)),
                    Err(Fault::Large) => return Err(Self::too_much()),
                    // It may have done what it was told. Nothing is ended twice.
                    Err(Fault::Foreign) if question.command == Command::Kill => return Err(Self::unclear()),
                    Err(other) => fault = Some(other),
                },
                Said::None(system) => return Ok(Err((system, fault))),
                Said::End | Said::Refused => {}
            }
        }
    }

    fn ask_copy(&mut self, program: &Program, question: &Question) -> Result<Answered, Unreachable> {
        self.send(Arc::new(script::announcement(program.bytes.len(), program.sha256.as_deref())));
        self.send(Arc::clone(&program.bytes));
        self.input = None;
        loop {
            match self.say()? {
                Said::Answer => break,
                Said::Refused => return Err(self.failed("portcheck could not be copied there")),
                Said::End | Said::None(_) => {}
            }
        }
        match answer::read(&self.answer()?, question.keep) {
            Ok(answered) => Ok(answered),
            Err(Fault::Large) => Err(Self::too_much()),
            Err(_) => Err(self.failed("a copy of portcheck did not run there")),
        }
    }

    /// The next thing that the script says. What a login shell prints is skipped.
    fn say(&mut self) -> Result<Said, Unreachable> {
        loop {
            if let Some(said) = Said::read(self.line()?) {
                return Ok(said);
            }
        }
    }

    /// What portcheck prints, up to the end of it.
    fn answer(&mut self) -> Result<Vec<u8>, Unreachable> {
        let mut answer = Vec::new();
        loop {
            let line = self.line()?;
            if Said::read(line) == Some(Said::End) {
                return Ok(answer);
            }
            answer.extend_from_slice(line);
            answer.push(b'\n');
        }
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<&[u8], Unreachable> {
        let mut searched = self.read;
        loop {
            if let Some(length) = self.pending[searched..].iter().position(|&byte| byte == b'\n') {
                let (start, end) = (self.read, searched + length);
                self.read = end + 1;
                return Ok(&self.pending[start..end]);
            }
            self.pending.drain(..self.read);
            self.read = 0;
            searched = self.pending.len();
            self.receive()?;
        }
    }

    fn receive(&mut self) -> Result<(), Unreachable> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.output.recv_timeout(left) {
            Ok(piece) if !left.is_zero() => {
                self.received = self.received.saturating_add(piece.len());
                self.pending.extend_from_slice(&piece);
                if self.received > MOST_BYTES { Err(Self::too_much()) } else { Ok(()) }
            }
            Ok(_) | Err(RecvTimeoutError::Timeout) => {
                let late = format!("no answer within {}", words(self.limit));
                Err(Unreachable::because(match self.complaints.last_words(Duration::ZERO) {
                    Some(said) => format!("{late}: {said}"),
                    None => late,
                }))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let said = self.complaints.last_words(ECHO);
                Err(Unreachable::because(said.unwrap_or_else(|| "ssh ended without a word".to_owned())))
            }
        }
    }

    fn unclear() -> Unreachable {
        Unreachable::because("its portcheck is of a version that is not understood here: look there what it did")
    }

    fn too_much() -> Unreachable {
        Unreachable::because("it printed more than portcheck would, and was cut off")
    }

    fn failed(&self, what: &str) -> Unreachable {
        Unreachable::because(match self.complaints.last_words(ECHO) {
            Some(said) => format!("{what}: {said}; install portcheck there"),
            None => format!("{what}; install portcheck there"),
        })
    }

    /// Lets the other side tidy up: it ends when it has no more input.
    fn finish(&mut self) {
        self.input = None;
        while self.receive().is_ok() {
            self.pending.clear();
            self.read = 0;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // One that has ended is not signalled, and one that has not is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Complaints {
    /// The last line, in one piece and not too long.
    fn last_words(&self, patience: Duration) -> Option<String> {
        let _ = self.ended.recv_timeout(patience);
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&tail);
        let last = text.split(['\n', '\r']).map(str::trim).rfind(|line| !line.is_empty())?;
        Some(shorten(last))
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn write(mut pipe: impl Write, pieces: &Receiver<Arc<Vec<u8>>>) {
    while let Ok(piece) = pieces.recv() {
        if pipe.write_all(&piece).and_then(|()| pipe.flush()).is_err() {
            return;
        }
    }
}

fn pass_on(mut pipe: impl Read, to: &SyncSender<Vec<u8>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        if to.send(buffer[..length].to_vec()).is_err() {
            return;
        }
    }
}

fn keep_end(mut pipe: impl Read, tail: &Mutex<Vec<u8>>) {
    let mut buffer = [0; TAIL];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&buffer[..length]);
        let excess = tail.len().saturating_sub(TAIL);
        tail.drain(..excess);
    }
}
