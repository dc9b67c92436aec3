//! Who started the holders, and may start them again although it is no known supervisor: a script with a loop, say.
//!
//! Nothing tells beforehand. Afterwards much does: a shell that ran one command, a package manager or a Makefile end with
//! what they started, and an interactive shell is back at its prompt. Who else still runs may start it again.

use super::Surroundings;
use crate::collect::{self, Detail};
use crate::error::Error;
use crate::model::{Ancestor, Pid, Process};
use crate::platform::process::Handle;
use crate::platform::process::{self, Seat};

/// For each holder who started it, the nearest first.
#[derive(Debug, Default)]
pub struct Starters(Vec<Vec<Starter>>);

/// Somebody who started a holder, or started who did.
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
    /// Takes hold of those who started `holders`, but for those who are among them.
    pub fn of(holders: &[&Process], surroundings: &Surroundings) -> Result<Self, Error> {
        let mut chains = Vec::new();
        for holder in holders {
            let mut chain = chain(holder, surroundings)?;
            chain.retain(|starter| holders.iter().all(|holder| holder.pid != starter.pid()));
            chains.push(chain);
        }
        Ok(Self(chains))
    }

    /// Those who may start a holder again: of each the nearest that still runs, as who is above it waits for that one.
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

    /// Whether it is an interactive shell that waits for a command, or let the holder run in the background: one that
    /// runs a loop goes on with the loop's next command. Its jobs are in process groups of their own.
    fn is_at_its_prompt(&self) -> bool {
        if !process::is_shell(&self.name) || self.seat.group == self.job {
            return false;
        }
        let was_in_the_background = self.seat.foreground.is_some_and(|foreground| foreground != self.job);
        let is_asking = || process::seat(self.pid()).is_some_and(|seat| seat.foreground == Some(seat.group));
        was_in_the_background || is_asking()
    }
}

/// Takes hold of those who started `holder`.
fn chain(holder: &Process, surroundings: &Surroundings) -> Result<Vec<Starter>, Error> {
    let mut chain = Vec::new();
    let mut child = process::seat(holder.pid);
    // The first process adopts whoever is left, and mostly has started none of them.
    for ancestor in lineage(holder, surroundings).into_iter().filter(|ancestor| ancestor.pid != 1) {
        let seat = process::seat(ancestor.pid);
        if let (Some(child), Some(seat), Some(handle)) = (child, seat, Handle::open(ancestor.pid)?) {
            chain.push(Starter { name: ancestor.name, handle, seat, job: child.group });
        }
        child = seat;
    }
    Ok(chain)
}

/// Who started `process`, the nearest first: up to a service manager, to what portcheck was started from as well, or to what
/// opened a terminal. An ssh server, a terminal emulator or tmux starts nothing again.
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

/// Whether it starts again only what is a unit of its own, which is known by that.
fn is_service_manager(ancestor: &Ancestor) -> bool {
    let described = || collect::describe(vec![ancestor.pid], Detail::Full).unwrap_or_default();
    ancestor.name == "systemd" && described().iter().any(Process::is_service_manager)
}
