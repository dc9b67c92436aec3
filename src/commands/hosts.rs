//! `--host`: the same question on other machines, over the user's own ssh.
//!
//! What comes back is another machine's word. It is read with limits, belongs to the host that was
//! named here and to no other, and is escaped like any foreign text.

mod answer;
mod own;
mod script;
mod session;

use std::time::Duration;

pub use answer::{Answered, Identified, Kill, Port, Process};

use super::diagnosis::Diagnosis;
use super::exit::{Command, Exit};
use crate::platform::threads;
use own::Own;

/// How many hosts are asked at a time.
const AT_ONCE: usize = 32;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The command.
    pub command: Command,
    /// The hosts, as ssh takes them.
    pub hosts: Vec<String>,
    /// What portcheck is told there: the command and its arguments.
    pub words: Vec<String>,
    /// How long each host may take.
    pub limit: Duration,
    /// What is kept of the answers.
    pub keep: Keep,
}

/// What is kept of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What tables show.
    Facts,
    /// Its text, too.
    Text,
}

/// What came back.
#[derive(Debug)]
pub struct Report {
    /// The command.
    pub command: Command,
    /// Of this machine, which was not asked.
    pub diagnosis: Diagnosis,
    /// The hosts, in the order in which they were named.
    pub hosts: Vec<Host>,
}

/// A host, and what it said.
#[derive(Debug)]
pub struct Host {
    /// Its name, as it was typed here.
    pub name: String,
    /// Its answer, or why there is none.
    pub answer: Result<Answered, Unreachable>,
}

/// A host could not be reached or asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// Why, in one line: often the last words of ssh.
    pub reason: String,
}

impl Unreachable {
    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl Host {
    /// What its answer comes to.
    pub fn exit(&self) -> Exit {
        self.answer.as_ref().map_or(Exit::Unknown, Answered::exit)
    }
}

impl Report {
    /// The worst of all hosts.
    pub fn exit(&self) -> Exit {
        self.hosts.iter().map(Host::exit).max_by_key(|&exit| badness(exit)).unwrap_or(Exit::Yes)
    }

    /// Whether there is a host without an answer.
    pub fn is_incomplete(&self) -> bool {
        self.hosts.iter().any(|host| host.answer.is_err())
    }
}

/// Errors are worse than answers, and not to know is worse than a no.
const fn badness(exit: Exit) -> u8 {
    match exit {
        Exit::Yes => 0,
        Exit::No => 1,
        Exit::Timeout => 2,
        Exit::Unknown => 3,
        Exit::Usage => 4,
        Exit::Failure | Exit::NotExecutable | Exit::NotFound => 5,
    }
}

/// Asks all hosts, so many at a time.
pub fn ask(question: &Question) -> Vec<Host> {
    let own = Own::default();
    let hosts = question.hosts.iter().collect();
    threads::map(hosts, AT_ONCE, |name: &String| Host {
        name: name.clone(),
        answer: session::ask(name, question, &own),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_all_hosts_counts() {
        let order = [Exit::Yes, Exit::No, Exit::Timeout, Exit::Unknown, Exit::Usage, Exit::Failure];
        assert!(order.map(badness).is_sorted());
        let lost = Host { name: "a".to_owned(), answer: Err(Unreachable::because("no route")) };
        assert_eq!(lost.exit(), Exit::Unknown);
    }
}
