//! Processes that got a socket of the shown processes, and whether they may be ended, too.
//!
//! Consent covers the processes that were shown, and their children. A process can pass its socket
//! to any other one (SCM_RIGHTS, unix(7)), even in answer to a signal. Such a process is named, and
//! never signalled.

use super::execute::{Run, Victim};
use super::keepers::Keepers;
use super::{Prepared, StepResult, plan};
use crate::collect::{self, Detail};
use crate::commands::check::check;
use crate::commands::diagnosis::Diagnosis;
use crate::error::Error;
use crate::model::{Pid, Process, find_process};
use crate::platform::process::Handle;
use crate::request::Request;

/// What to look for: the sockets of the shown processes.
pub struct Heirs<'a> {
    prepared: &'a Prepared,
    inodes: Vec<u64>,
    /// Processes that have been judged.
    seen: Vec<Pid>,
}

impl<'a> Heirs<'a> {
    pub fn of(prepared: &'a Prepared) -> Self {
        let holders = || prepared.plan.holders.iter();
        let inodes = holders().filter(|holder| !holder.is_stopped_by_keeper).flat_map(|holder| &holder.inodes);
        Self { prepared, inodes: inodes.copied().collect(), seen: holders().map(|holder| holder.pid).collect() }
    }

    /// Adds newcomers that may be ended to `victims`. For the others, `run` notes why not.
    pub fn join(&mut self, victims: &mut Vec<Victim>, run: &mut Run<'_>) -> Result<(), Error> {
        let newcomers = self.newcomers();
        if newcomers.is_empty() {
            return Ok(());
        }
        let now = check(&Request { detail: Detail::Full, ..self.prepared.request.clone() })?;
        for pid in newcomers {
            self.seen.push(pid);
            // It may be ending.
            let Some(process) = find_process(&now.processes, pid) else { continue };
            let Some(handle) = Handle::open(pid)? else { continue };
            match self.why_not(process, victims, &now) {
                Some(reason) => run.spare(pid, &process.name, StepResult::NotShown, reason),
                None => {
                    victims.push(Victim { handle, name: process.name.clone(), inodes: self.inodes.clone() });
                }
            }
        }
        Ok(())
    }

    fn newcomers(&self) -> Vec<Pid> {
        let mut found: Vec<Pid> = collect::owners_of(&self.inodes).into_iter().map(|(_, pid)| pid).collect();
        found.retain(|pid| !self.seen.contains(pid));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Why a newcomer is left alone. `None` if it is to be ended, too.
    fn why_not(&self, process: &Process, victims: &[Victim], now: &Diagnosis) -> Option<String> {
        let descends = process.ancestors.iter().any(|ancestor| {
            // A running process still has its id, so what the kernel says of its parents is about
            // this process.
            victims.iter().any(|victim| victim.handle.pid() == ancestor.pid && victim.handle.is_alive())
        });
        if !descends {
            return Some("it got the socket, but was not shown, and is no child of a process that was".to_owned());
        }
        let shown = self.prepared.plan.holders.iter();
        let mut shown = shown.filter_map(|holder| find_process(&self.prepared.diagnosis.processes, holder.pid));
        if process.uid.is_none() || !shown.any(|shown| shown.uid == process.uid) {
            return Some("it got the socket, but was not shown, and runs as another user".to_owned());
        }
        let Prepared { surroundings, options, request, .. } = self.prepared;
        let later = plan::plan(now, surroundings, &Keepers::of(now, surroundings), options, request);
        let is_to_be_ended =
            later.holders.iter().any(|holder| holder.pid == process.pid && !holder.is_stopped_by_keeper);
        (!is_to_be_ended).then(|| "it got the socket, but was not shown, and may not be ended".to_owned())
    }
}
