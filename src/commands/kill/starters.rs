//! What started the holders, and may start them again without being a known supervisor, such as a
//! script with a loop.
//!
//! Nothing tells beforehand. Afterwards much does: a shell that ran one command, a package manager
//! or a Makefile ends with what it started, and an interactive shell is back at its prompt. Any
//! other program that still runs may start the holder again.

use super::Surroundings;
use crate::collect::{self, Detail};
use crate::error::Error;
use crate::model::{Ancestor, Pid, Process};
use crate::platform::process::Handle;
use crate::platform::process::{self, Seat};

/// What started each holder, the nearest first.
#[derive(Debug, Default)]
pub struct Starters(Vec<Vec<Starter>>);

/// A process that started a holder, or an ancestor of it.
#[derive(Debug)]
pub struct Starter {
    /// Its name.
    pub name: String,
    handle: Handle,
    seat: Seat,
    /// The process group of what it started.
    job: Pid,
}

impl Starters {
    /// Opens handles to what started `holders`, except to the holders themselves.
    pub fn of(holders: &[&Process], surroundings: &Surroundings) -> Result<Self, Error> {
        let mut chains = Vec::new();
        for holder in holders {
            let mut chain = chain(holder, surroundings)?;
            chain.retain(|starter| holders.iter().all(|holder| holder.pid != starter.pid()));
            chains.push(chain);
        }
        Ok(Self(chains))
    }

    /// Processes that may start a holder again. Of each holder, only the nearest that still runs,
    /// as those above wait for it.
    pub fn threats(&self) -> Vec<&Starter> {
        let nearest = self.0.iter().filter_map(|chain| chain.iter().find(|starter| !starter.handle.has_ended()));
        let mut threats: Vec<&Starter> = nearest.filter(|starter| !starter.is_at_its_prompt()).collect();
        threats.sort_by_key(|starter| starter.pid());
        threats.dedup_by_key(|starter| starter.pid());
        threats
    }
}

impl Starter {
    /// Its id.
    pub fn pid(&self) -> Pid {
        self.handle.pid()
    }

    /// Whether it is an interactive shell at its prompt, or the holder was its background job. A
    /// shell that runs a loop has the loop's next command in the foreground. Its jobs have their
    /// own process groups.
    fn is_at_its_prompt(&self) -> bool {
        if !process::is_shell(&self.name) || self.seat.group == self.job {
            return false;
        }
        let was_in_the_background = self.seat.foreground.is_some_and(|foreground| foreground != self.job);
        let is_asking = || process::seat(self.pid()).is_some_and(|seat| seat.foreground == Some(seat.group));
        was_in_the_background || is_asking()
    }
}

/// Opens handles to what started `holder`.
fn chain(holder: &Process, surroundings: &Surroundings) -> Result<Vec<Starter>, Error> {
    let mut chain = Vec::new();
    let mut child = process::seat(holder.pid);
    // The first process adopts orphans, and has usually started none of them.
    for ancestor in lineage(holder, surroundings).into_iter().filter(|ancestor| ancestor.pid != 1) {
        let seat = process::seat(ancestor.pid);
        if let (Some(child), Some(seat), Some(handle)) = (child, seat, Handle::open(ancestor.pid)?) {
            chain.push(Starter { name: ancestor.name, handle, seat, job: child.group });
        }
        child = seat;
    }
    Ok(chain)
}

/// What started `process`, the nearest first: up to a service manager, to an ancestor of portcheck,
/// or to what opened a terminal. An ssh server, a terminal emulator or tmux starts nothing again.
pub fn lineage(process: &Process, surroundings: &Surroundings) -> Vec<Ancestor> {
    let mut lineage = Vec::new();
    let mut child = process.pid;
    for ancestor in &process.ancestors {
        let opens_a_terminal = process::seat(child).is_some_and(|seat| seat.is_leader && seat.foreground.is_some());
        let is_ours = ancestor.pid == surroundings.own || surroundings.ancestors.contains(&ancestor.pid);
        if opens_a_terminal || is_ours || is_service_manager(ancestor) {
            break;
        }
        lineage.push(ancestor.clone());
        child = ancestor.pid;
    }
    lineage
}

/// Whether it starts only units again, which are recognised as such.
fn is_service_manager(ancestor: &Ancestor) -> bool {
    let described = || collect::describe(vec![ancestor.pid], Detail::Full).unwrap_or_default();
    ancestor.name == "systemd" && described().iter().any(Process::is_service_manager)
}
