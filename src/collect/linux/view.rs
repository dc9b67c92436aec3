//! The socket tables that are looked at: those of our own network namespace, and of the others if they were asked for.

use std::collections::HashSet;
use std::path::Path;

use super::namespaces::{self, By, Neighbour, Reading};
use super::search::may_be_ours;
use super::sock_diag::Entry;
use super::tables::Tables;
use crate::collect::{Access, Detail, Inside, Namespaces, Scope};
use crate::error::Error;
use crate::model::{Gap, Namespace, ShownBy, Socket, gap};

/// The tables, and what they were found not to show.
#[derive(Debug)]
pub struct View<'a> {
    proc: &'a Path,
    own: Tables,
    /// The namespace of `own`, if it is only seen from outside.
    outside: Option<Box<Namespace>>,
    others: Vec<Neighbour>,
    /// What could not be seen of the others.
    gaps: Vec<String>,
}

impl<'a> View<'a> {
    /// Opens the tables that `scope` asks for. Other namespaces are not even looked for unless they are in it.
    pub fn open(proc: &'a Path, scope: &Scope) -> Result<Self, Error> {
        if let Namespaces::Inside(inside) = &scope.namespaces {
            return Self::of(proc, inside);
        }
        let mut view = Self::own_alone(proc, Tables::open(proc));
        if scope.namespaces == Namespaces::All {
            match namespaces::find(proc) {
                Ok(found) => view.others = found,
                Err(error) => view.gaps.push(format!("other network namespaces could not be looked for: {error}")),
            }
            if scope.detail > Detail::Nothing {
                namespaces::give_names(proc, &mut view.others);
            }
        }
        Ok(view)
    }

    const fn own_alone(proc: &'a Path, own: Tables) -> Self {
        Self { proc, own, outside: None, others: Vec::new(), gaps: Vec::new() }
    }

    /// The tables of the namespace that is looked at from inside, in place of our own.
    fn of(proc: &'a Path, inside: &Inside) -> Result<Self, Error> {
        let phrase = inside.namespace.phrase();
        match inside.access {
            Access::Entered => Ok(Self::own_alone(proc, Tables::open(proc))),
            Access::Text(pid) => Ok(Self {
                outside: Some(Box::new(inside.namespace.clone())),
                gaps: vec![format!("whether bind works in {phrase}, which was read from /proc/{pid}/net")],
                ..Self::own_alone(proc, Tables::text(proc.join(pid.to_string())))
            }),
            Access::Refused => Err(Error::NoEntry(phrase)),
        }
    }

    /// The tables of our own namespace.
    pub fn own(&mut self) -> &mut Tables {
        &mut self.own
    }

    /// Reads the sockets that `scope` asks for.
    pub fn read(&mut self, scope: &Scope) -> Result<Vec<Entry>, Error> {
        let mut entries = self.read_own(scope)?;
        entries.extend(self.read_others(scope));
        Ok(entries)
    }

    fn read_own(&mut self, scope: &Scope) -> Result<Vec<Entry>, Error> {
        let mut entries = self.own.read_scope(scope)?;
        if self.outside.is_some() {
            for entry in &mut entries {
                entry.socket.namespace.clone_from(&self.outside);
            }
        }
        Ok(entries)
    }

    /// Reads the sockets in use that `scope` asks for: not what else decides whether a bind works.
    pub fn read_in_use(&mut self, scope: &Scope) -> Result<Vec<Entry>, Error> {
        let mut entries = self.own.read_elsewhere(scope)?;
        for entry in &mut entries {
            if self.outside.is_some() {
                entry.socket.namespace.clone_from(&self.outside);
            }
        }
        entries.extend(self.read_others(scope));
        // The table of UDP has those with a peer, too.
        entries.retain(|entry| scope.connections || entry.socket.state.is_waiting());
        Ok(entries)
    }

    fn read_others(&mut self, scope: &Scope) -> Vec<Entry> {
        let neighbours: Vec<&Neighbour> = self.others.iter().collect();
        let readings = namespaces::read_all(self.proc, scope, &neighbours);
        self.gaps.extend(gaps(self.proc, &neighbours, &readings));
        readings.into_iter().flatten().flat_map(|reading| reading.entries).collect()
    }

    /// Reads again where the sockets of `doubtful` are.
    pub fn read_again(&mut self, scope: &Scope, doubtful: &[&Socket]) -> Result<Vec<Entry>, Error> {
        let wanted: HashSet<Option<&Namespace>> = doubtful.iter().map(|socket| socket.namespace.as_deref()).collect();
        let mut entries = if wanted.contains(&self.outside.as_deref()) { self.read_own(scope)? } else { Vec::new() };
        let neighbours: Vec<&Neighbour> =
            self.others.iter().filter(|neighbour| wanted.contains(&Some(&neighbour.namespace))).collect();
        let readings = namespaces::read_all(self.proc, scope, &neighbours);
        entries.extend(readings.into_iter().flatten().flat_map(|reading| reading.entries));
        Ok(entries)
    }

    /// Everything that could not be seen.
    pub fn into_gaps(self) -> Vec<Gap> {
        let is_root = rustix::process::geteuid().is_root();
        let shown_by = if is_root { ShownBy::Nothing } else { ShownBy::Root };
        let others = self.gaps.into_iter().map(|summary| Gap { shown_by, ..gap::OTHER_NAMESPACES.gap(summary) });
        self.own.into_gaps().into_iter().chain(others).collect()
    }
}

/// Whether a second look may find out more of a socket: it is here, or its process can be inspected.
pub fn is_worth_a_look(socket: &Socket) -> bool {
    socket.namespace.is_none() || may_be_ours(socket)
}

/// What could not be seen in `neighbours`, which were read in the same order.
fn gaps(proc: &Path, neighbours: &[&Neighbour], readings: &[Option<Reading>]) -> Vec<String> {
    let mut gaps = Vec::new();
    let by_text = |reading: &Reading| matches!(reading.by, By::Text);
    if readings.iter().flatten().any(by_text) {
        let text = "other network namespaces were read from /proc/PID/net, which shows no sockets that are bound \
                    without listening";
        gaps.push(text.to_owned());
    }
    let unread =
        neighbours.iter().zip(readings).filter(|(_, reading)| reading.is_none()).map(|(neighbour, _)| neighbour);
    let unread = unread.filter(|neighbour| neighbour.is_there(proc));
    let unread: Vec<String> = unread.map(|neighbour| neighbour.namespace.title()).collect();
    if !unread.is_empty() {
        let is_any_nameless = neighbours.iter().any(|neighbour| neighbour.namespace.inode.is_none());
        gaps.push(if is_any_nameless {
            format!("which network namespaces are called {}", some(&unread))
        } else {
            format!("these network namespaces could not be read: {}", some(&unread))
        });
    }
    for (neighbour, reading) in neighbours.iter().zip(readings) {
        let Some(Reading { by: By::Entering(own), .. }) = reading else { continue };
        gaps.extend(own.iter().map(|gap| format!("in {}: {}", neighbour.namespace.phrase(), gap.summary)));
    }
    gaps
}

/// The first of many names.
fn some(names: &[String]) -> String {
    const MOST: usize = 3;
    let first = names[..names.len().min(MOST)].join(", ");
    match names.len().saturating_sub(MOST) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
